"""The pixel data of a DICOM file: how much is there, and its frames.

Nothing is allocated by what a header claims: `measure` walks the item
headers in the file first.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
import pydicom
from jaxtyping import UInt, UInt8
from pydicom.pixels import apply_color_lut, iter_pixels

from echogan_jax.data.reject import Rejected

_LIMIT = 4 << 30  # bytes of decoded pixels
_JPEG_BASELINE = '1.2.840.10008.1.2.4.50'
_PIXEL_DATA = (0x7FE0, 0x0010)
_ITEM = (0xFFFE, 0xE000)
_SAME = 4  # grey levels by which the channels of a grey pixel may differ


class Layout(NamedTuple):
  """What the header says of the pixels, checked."""

  count: int  # frames; 0 where the header does not say
  rows: int
  columns: int
  samples: int
  bits: int  # allocated
  stored: int
  photometric: str

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
    claim = int(np.prod([max(n, 1) for n in self.shape], dtype=object))
    if claim > _LIMIT:
      detail = f'{claim / 1e9:.0f} GB of pixels claimed, the limit is 4 GB'
      raise Rejected('too_large', detail)


def measure(
  file: BinaryIO, header: pydicom.Dataset, layout: Layout
) -> tuple[Layout, int]:
  """Count the frames that lie whole in a file.

  Native pixels that are labelled YBR_FULL_422 but take 3 bytes, as careless
  decompression leaves them, are relabelled by what they hold.

  Args:
    file: positioned at the pixel data element.
    header: for the transfer syntax.
    layout: the count is what to expect, 0 where unknown.

  Returns:
    The layout with the number of whole frames (at most a claimed count
    unless an offset table lists more), and the bytes they occupy.

  Raises:
    Rejected: `no_pixels`, `truncated`.
  """
  syntax = header.file_meta.TransferSyntaxUID
  order = '<' if syntax.is_little_endian else '>'
  start = file.read(12)
  if len(start) < 12:
    raise Rejected('truncated', 'the file ends before the pixel data')
  if struct.unpack(order + 'HH', start[:4]) != _PIXEL_DATA:
    raise Rejected('no_pixels', 'no integer pixel data')
  if syntax.is_implicit_VR:
    file.seek(-4, 1)
    length = start[4:8]
  else:
    length = start[8:]
  claimed = struct.unpack(order + 'L', length)[0]
  here = file.tell()
  size = min(claimed, file.seek(0, 2) - here)
  file.seek(here)
  if not size:
    raise Rejected('no_pixels', 'the pixel data is empty')
  if syntax.is_compressed:
    present, size = _fragments(file, here + size, layout.count)
    return layout._replace(count=present), size
  area = 3 * layout.rows * layout.columns
  subsampled = layout.photometric == 'YBR_FULL_422'
  if subsampled and size >= area * max(layout.count, 1):
    layout = layout._replace(photometric=_stored_as(file.read(area)))
  present = size // layout.frame
  return layout._replace(count=min(present, layout.count or present)), size


def _stored_as(frame: bytes) -> str:
  chroma = np.frombuffer(frame, np.uint8).reshape(-1, 3)[:, 1:].mean(axis=0)
  return 'YBR_FULL' if (np.abs(chroma - 128) < 24).all() else 'RGB'


def _fragments(file: BinaryIO, end: int, expected: int) -> tuple[int, int]:
  lengths, table = [], b''
  while len(start := file.read(8)) == 8:
    *tag, length = struct.unpack('<HHL', start)
    if tuple(tag) != _ITEM or file.tell() + length > end:
      break
    if lengths:
      file.seek(length, 1)
    else:
      table = file.read(length)
    lengths.append(length)
  total = sum(8 + n for n in lengths[1:])
  offsets = np.frombuffer(table[: len(table) // 4 * 4], '<u4')
  if len(offsets):
    ends = np.append(offsets[1:], offsets[-1] + 1)  # one byte of the last
    return int((ends <= total).sum()), total
  present = max(len(lengths) - 1, 0)
  return min(present, expected or present), total


def decode(
  file: BinaryIO, header: pydicom.Dataset, layout: Layout, *, recover: bool
) -> tuple[UInt8[np.ndarray, 'time height width *channels'], list[int]]:
  """Return the frames as grey or RGB and the indices that could be read.

  Args:
    file: the whole file.
    header: for the palette.
    layout: with the count of frames that are present.
    recover: leave out what cannot be decoded.

  Raises:
    Rejected: `corrupt_pixels`.
  """
  header = _palette(header)
  frames = np.zeros(layout.shape, np.uint8)
  kept, coloured = [], False
  for index, frame in _frames(file, header, layout, recover):
    frames[index] = frame
    kept.append(index)
    coloured = coloured or frame.ndim == 3 and spread(frame).max() > _SAME
  if not kept or len(kept) < layout.count and not recover:
    detail = f'{len(kept)} of {layout.count} frames can be decoded'
    raise Rejected('corrupt_pixels', detail)
  if len(kept) < layout.count:
    frames = frames[kept]
  if frames.ndim == 4 and not coloured:
    frames = frames[..., 1].copy()  # of the three nearest to the luma
  return frames, kept


def spread(
  frame: UInt[np.ndarray, 'height width 3'],
) -> UInt[np.ndarray, 'height width']:
  """Return how far apart the channels of each pixel are, in grey levels."""
  red, green, blue = np.moveaxis(frame, -1, 0)
  highest = np.maximum(np.maximum(red, green), blue)
  return highest - np.minimum(np.minimum(red, green), blue)


def _frames(
  file: BinaryIO, header: pydicom.Dataset, layout: Layout, recover: bool
) -> Iterator[tuple[int, np.ndarray]]:
  # other decoders fill the lost half of a cut JPEG frame without a word
  jpeg = header.file_meta.TransferSyntaxUID == _JPEG_BASELINE
  options = {
    'decoding_plugin': 'pillow' if jpeg else '',
    'number_of_frames': layout.count,
    'photometric_interpretation': layout.photometric,
  }
  if layout.samples == 3 and 'PlanarConfiguration' not in header:
    options['planar_configuration'] = 0
  index = 0
  while index < layout.count:
    rest = range(index, layout.count) if index else None
    try:
      for frame in iter_pixels(file, indices=rest, **options):
        if index == layout.count:
          break
        yield index, _to_8_bit(frame, header, layout)
        index += 1
      return
    except Rejected:
      raise
    except Exception as error:  # noqa: BLE001  each codec has its own
      if not recover:
        detail = f'frame {index} of {layout.count} cannot be decoded'
        raise Rejected('corrupt_pixels', detail) from error
      index += 1


def _palette(header: pydicom.Dataset) -> pydicom.Dataset:
  """Return the header with its palette as pydicom expects: little endian."""
  syntax = header.file_meta.TransferSyntaxUID
  names = [f'{c}PaletteColorLookupTableData' for c in ('Red', 'Green', 'Blue')]
  if syntax.is_little_endian or names[0] not in header:
    return header
  swapped = pydicom.Dataset()
  swapped.update(header)
  swapped.file_meta = header.file_meta
  for name in names:
    entries = np.frombuffer(header[name].value, '>u2')
    swapped[name] = pydicom.DataElement(
      pydicom.datadict.tag_for_keyword(name),
      'OW',
      entries.astype('<u2').tobytes(),
    )
  return swapped


def _to_8_bit(
  raw: np.ndarray, header: pydicom.Dataset, layout: Layout
) -> np.ndarray:
  if layout.photometric == 'PALETTE COLOR':
    coloured = apply_color_lut(raw, header)
    # 16-bit palettes hold the value in the high byte
    return coloured >> 8 if coloured.itemsize > 1 else coloured
  if layout.stored > 8:
    top = (1 << layout.stored) - 1
    raw = np.minimum(raw, top).astype(np.uint32) * 255 // top
  grey = raw.astype(np.uint8)
  return 255 - grey if layout.photometric == 'MONOCHROME1' else grey
