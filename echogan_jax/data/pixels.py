"""The frames of a DICOM file, decoded one at a time.

The head of every coded frame is read before a codec sees it.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator

import numpy as np
import pydicom
from jaxtyping import UInt, UInt8
from pydicom import pixels, uid
from pydicom.encaps import encapsulate

from echogan_jax.data import codestream, part10
from echogan_jax.data.clip import Frame
from echogan_jax.data.codestream import Layout, Stream
from echogan_jax.data.fragments import Source, film, load
from echogan_jax.data.reject import Rejected

_JPEG = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit)
_LOSSLESS = (uid.JPEGLossless, uid.JPEGLosslessSV1)
_SAME = 4  # grey levels by which the channels of a grey pixel may differ
# those that refuse a damaged stream before those that fill it in
_PLUGINS = ('pillow', 'pyjpegls', 'pylibjpeg', 'pydicom', 'gdcm')


def decode(
  source: Source, header: pydicom.Dataset, *, recover: bool, step: int = 1
) -> tuple[UInt8[np.ndarray, 'time height width *channels'], list[int], str]:
  """Return the frames as grey or RGB, the indices, and how they are stored.

  Args:
    source: from `fragments.find`.
    header: for the palette.
    recover: leave out what cannot be decoded.
    step: hold every so many-th frame only; all are decoded, and the indices
      are of all that can be.

  Raises:
    Rejected: `corrupt_pixels`, `unsupported_transfer_syntax`, `too_large`.
  """
  layout = source.layout
  layout.check()
  stored, _ = _colours(source)
  count = -(-layout.count // step)
  frames = np.zeros((count, *layout.shape[1:]), np.uint8)
  kept, held, coloured = [], [], False
  for index, frame in play(source, header, recover=recover):
    kept.append(index)
    if index % step == 0:
      frames[index // step] = frame
      held.append(index // step)
    coloured = coloured or frame.ndim == 3 and spread(frame).max() > _SAME
  if not held:
    raise Rejected('corrupt_pixels', 'none of the frames can be decoded')
  if len(held) < count:
    frames = frames[held]
  if frames.ndim == 4 and not coloured:
    frames = grey(frames).copy()
  return frames, kept, stored


def play(
  source: Source, header: pydicom.Dataset, *, recover: bool
) -> Iterator[tuple[int, Frame]]:
  """Yield index and pixels of each frame, grey or RGB as they are stored.

  Args:
    source: from `fragments.find`.
    header: for the palette.
    recover: leave out what cannot be decoded.

  Raises:
    Rejected: as `decode`.
  """
  table = part10.palette(header, source.layout.stored)
  _, given = _colours(source)
  for index, frame in _frames(source, recover):
    if table is not None:
      frame = table[np.minimum(frame, len(table) - 1)]
    elif given.startswith('YBR_FULL'):
      frame = pixels.convert_color_space(frame, 'YBR_FULL', 'RGB')
    elif given == 'MONOCHROME1':
      frame = 255 - frame
    yield index, frame


def grey(
  frames: UInt8[np.ndarray, '*size 3'],
) -> UInt8[np.ndarray, '*size']:
  """Return pixels without colour as one channel."""
  return frames[..., 1]  # of the three nearest to the luma


def spread(
  frame: UInt[np.ndarray, 'height width 3'],
) -> UInt[np.ndarray, 'height width']:
  """Return how far apart the channels of each pixel are, in grey levels."""
  red, green, blue = np.moveaxis(frame, -1, 0)
  highest = np.maximum(np.maximum(red, green), blue)
  return highest - np.minimum(np.minimum(red, green), blue)


def _colours(source: Source) -> tuple[str, str]:
  """Return in which colours frames are stored, and the codec hands them out.

  Labels are wrong after careless conversion: where the stream itself does not
  tell, the first frame does. Ultrasound is mostly black, and black is
  0, 0, 0 in the one and 0, 128, 128 in the other.
  """
  layout, label = source.layout, source.layout.photometric
  own = source.syntax in uid.JPEG2000TransferSyntaxes
  if layout.samples == 1 or own or part10.is_video(source.syntax):
    return label, label
  for index in range(layout.count):
    try:
      first, stream = _raw(source, index)
    except Exception:  # noqa: BLE001  told when its turn comes
      continue
    if stream and stream.colour and source.syntax in _JPEG:
      return stream.colour, 'RGB' if stream.converted else stream.colour
    levels = first.astype(int)
    ybr = np.abs(levels[..., 1:] - 128).mean()
    rgb = np.abs(levels[..., 1:] - levels[..., :1]).mean()
    ybr, rgb = (ybr, 2 * rgb) if label != 'RGB' else (2 * ybr, rgb)
    stored = 'YBR_FULL' if ybr < rgb else 'RGB'
    return stored, stored
  return label, label


def _frames(
  source: Source, recover: bool
) -> Iterator[tuple[int, UInt8[np.ndarray, 'height width *channels']]]:
  count = source.layout.count
  if part10.is_video(source.syntax):
    yield from zip(range(count), film(source), strict=False)
    return
  for index in range(count):
    try:
      frame, _ = _raw(source, index)
    except Exception as error:  # noqa: BLE001  each codec has its own
      if recover:
        continue
      if isinstance(error, Rejected):
        raise
      detail = f'frame {index} of {count} cannot be decoded'
      raise Rejected('corrupt_pixels', detail) from error
    yield index, frame


def _raw(source: Source, index: int) -> tuple[np.ndarray, Stream | None]:
  """Return a frame as stored, in 8 bits, and what its own head says."""
  layout, syntax, stream = source.layout, source.syntax, None
  if syntax in part10.NATIVE:
    data, syntax = _native(source, index), uid.ExplicitVRLittleEndian
  else:
    data = load(source.file, source.pieces[index])
    stream = codestream.read(data, syntax)
    if stream:
      layout = stream.check(layout)
    if stream and syntax in _JPEG and layout.stored > 8:
      detail = '12-bit JPEG cannot be decoded here'
      raise Rejected('unsupported_transfer_syntax', detail)
    if not stream and not 0 < len(data) <= 3 * layout.frame + 64:
      raise Rejected('corrupt_pixels', 'a frame is empty or too long')
    data = encapsulate([data], has_bot=False)
  with _refusing() if syntax in _LOSSLESS else contextlib.nullcontext():
    frame = _decoded(data, syntax, layout)
  frame = frame >> (layout.high - layout.stored)
  if layout.stored > 8 and layout.photometric != 'PALETTE COLOR':
    frame = frame.astype(np.uint32) * 255 // ((1 << layout.stored) - 1)
  if layout.photometric != 'PALETTE COLOR':
    frame = frame.astype(np.uint8)
  return frame, stream


def _decoded(data: bytes, syntax: str, layout: Layout) -> np.ndarray:
  decoder = pixels.get_decoder(syntax)
  plugins = [p for p in _PLUGINS if p in decoder.available_plugins]
  frame, _ = decoder.as_array(
    data,
    index=0,
    raw=True,
    decoding_plugin=plugins[0] if plugins else '',
    pixel_keyword='PixelData',
    number_of_frames=1,
    rows=layout.rows,
    columns=layout.columns,
    samples_per_pixel=layout.samples,
    planar_configuration=layout.planar,
    bits_allocated=layout.bits,
    bits_stored=layout.high,
    pixel_representation=0,
    photometric_interpretation=layout.photometric,
  )
  return frame


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
  """Raise Rejected where a codec says on stderr that it makes up samples.

  GDCM has no other way to tell.
  """
  terminal = os.dup(2)
  with tempfile.TemporaryFile() as heard:
    os.dup2(heard.fileno(), 2)
    try:
      yield
    finally:
      os.dup2(terminal, 2)
      os.close(terminal)
    heard.seek(0)
    said = heard.read()
  if b'Corrupt' in said or b'Premature' in said:
    raise Rejected('corrupt_pixels', 'a frame is damaged')


def _native(source: Source, index: int) -> bytes:
  start, length = source.pieces[index][0]
  if not source.swapped:
    return load(source.file, [(start, length)])
  odd = index * length % 2  # a frame may begin inside a word
  data = load(source.file, [(start - odd, length + odd + 1)])
  words = np.frombuffer(data[: len(data) // 2 * 2], '>u2')
  return words.astype('<u2').tobytes()[odd : odd + length]
