"""What a coded frame says of itself, before a codec sees it.

A codec allocates what a stream claims and fills what is lost of it with grey:
both are found out here, from the bytes in front of the coded samples.
Sources: ITU-T T.81 annex B, T.87 annex C, T.800 annex A.
"""

import struct
from typing import NamedTuple

from echogan_jax.data import limits
from echogan_jax.data.reject import Rejected

END = b'\xff\xd9'  # of a JPEG, a JPEG-LS and a JPEG 2000 stream
_SIZ = b'\xff\x4f\xff\x51'
_START = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # of a frame
_BARE = {0x01, *range(0xD0, 0xD9)}  # markers without a segment
_SCAN = 0xDA
_JPEG = ('50', '51', '57', '70', '80', '81')  # and JPEG-LS
_JPEG_2000 = ('90', '91', '201', '202', '203')


class Layout(NamedTuple):
  """What the header says of the pixels, checked."""

  count: int  # frames; 0 where the header does not say
  rows: int
  columns: int
  samples: int
  bits: int  # allocated
  stored: int
  high: int  # bits above the lowest, unused ones below included
  photometric: str
  planar: int = 0

  @property
  def shape(self) -> tuple[int, ...]:
    """The shape of all frames when decoded."""
    colour = self.samples == 3 or self.photometric == 'PALETTE COLOR'
    return (self.count, self.rows, self.columns, *([3] if colour else []))

  @property
  def frame(self) -> int:
    """Bytes of one native frame."""
    samples = 2 if self.photometric == 'YBR_FULL_422' else self.samples
    return self.rows * self.columns * samples * self.bits // 8

  def check(self) -> None:
    """Raise Rejected if decoding would take more memory than the limit."""
    count, *rest = self.shape
    if why := limits.excess(max(count, 1), *rest):
      raise Rejected('too_large', why)


class Stream(NamedTuple):
  """What the head of a coded frame says of it."""

  columns: int
  rows: int
  samples: int
  precision: int  # bits of a sample
  whole: bool  # whether its end is there
  colour: str = ''  # RGB or YBR_FULL where the stream tells
  converted: bool = False  # whether a codec hands out RGB

  def check(self, layout: Layout) -> Layout:
    """Return the layout with the depth of the stream.

    Raises:
      Rejected: `corrupt_pixels` where stream and header contradict each
        other or the end is missing.
    """
    own, claimed = (self.columns, self.rows), (layout.columns, layout.rows)
    if own != claimed:
      detail = 'a frame is {}x{}, the header says {}x{}'
      raise Rejected('corrupt_pixels', detail.format(*own, *claimed))
    if self.samples != layout.samples:
      detail = f'SamplesPerPixel is {layout.samples}, the stream has'
      raise Rejected('corrupt_pixels', f'{detail} {self.samples}')
    if not self.whole:
      raise Rejected('corrupt_pixels', 'a frame is cut')
    if not 1 < self.precision <= 16:
      raise Rejected('corrupt_pixels', 'an impossible depth of pixels')
    depth = self.precision
    bits = 8 if depth <= 8 else 16
    return layout._replace(bits=bits, stored=depth, high=depth)


def read(frame: bytes, syntax: str) -> Stream | None:
  """Return what a coded frame says of itself, None for an encoding like RLE.

  Args:
    frame: all bytes of the frame.
    syntax: the UID of its transfer syntax.

  Raises:
    Rejected: `corrupt_pixels`, no such stream.
  """
  kind = syntax.rpartition('.')[2]
  if kind not in _JPEG + _JPEG_2000:
    return None
  try:
    found = (_jpeg if kind in _JPEG else _jpeg_2000)(frame)
  except (struct.error, IndexError):
    found = None
  if found is None:
    raise Rejected('corrupt_pixels', 'a frame is not in its encoding')
  return found


def _jpeg(frame: bytes) -> Stream | None:
  size, colour, converted, at = None, '', False, 2
  if not frame.startswith(b'\xff\xd8'):
    return None
  while frame[at] == 0xFF and frame[at + 1] != _SCAN:
    marker = frame[at + 1]
    if marker == 0xFF or marker in _BARE:  # the first of them fills
      at += 1 if marker == 0xFF else 2
      continue
    length = struct.unpack_from('>H', frame, at + 2)[0]
    segment = frame[at + 4 : at + 2 + length]
    if marker in _START:
      size = struct.unpack_from('>BHHB', segment)
      if segment[6::3] in (b'RGB', b'rgb'):
        colour = 'RGB'
    elif marker == 0xE0 and segment.startswith(b'JFIF'):
      colour = 'YBR_FULL'
    elif marker == 0xEE and segment.startswith(b'Adobe'):
      colour, converted = 'YBR_FULL' if segment[11] else 'RGB', True
    at += 2 + length
  if size is None or frame[at] != 0xFF:
    return None
  depth, rows, columns, samples = size
  whole = frame.find(END, at) > 0
  return Stream(columns, rows, samples, depth, whole, colour, converted)


def _jpeg_2000(frame: bytes) -> Stream | None:
  at = frame.find(_SIZ, 0, 4096)  # some writers leave the JP2 boxes around it
  if at < 0:
    return None
  x1, y1, x0, y0 = struct.unpack_from('>4L', frame, at + 8)
  samples, depth, *steps = struct.unpack_from('>HBBB', frame, at + 40)
  if steps != [1, 1]:
    return None
  whole = frame.find(END, at) > 0
  return Stream(x1 - x0, y1 - y0, samples, (depth & 0x7F) + 1, whole)
