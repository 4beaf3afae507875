"""Frames as the pixel data of a DICOM object, however many there are.

They pass one by one through a file, so that memory does not grow with the
length of a clip, and a hash of them is known before the object is written.
"""

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
import pydicom
from jaxtyping import UInt8
from pydicom.encaps import itemize_fragment
from pydicom.pixels import get_encoder
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLSLossless

from echogan_jax.command import BadInput

_MOST = 2**32 - 2  # bytes: lengths and offsets have 32 bits


class Spooled(NamedTuple):
  """Frames in a file, as the value of PixelData.

  Attributes:
    file: positioned at the start of the value.
    shape: count, height and width of the frames, 3 behind it if RGB.
    sha256: of the frames before compression, as hex.
    syntax: the transfer syntax of the value.
  """

  file: BinaryIO
  shape: tuple[int, ...]
  sha256: str
  syntax: UID


def spool(
  file: BinaryIO,
  frames: Iterable[UInt8[np.ndarray, 'time height width *channels']],
  shape: tuple[int, int, int],
  *,
  compress: bool = False,
) -> Spooled:
  """Write frames into a file as PixelData wants them.

  Args:
    file: empty, to be written and read.
    frames: chunks of a clip, all grey or all RGB.
    shape: count, height and width that they must add up to.
    compress: to JPEG-LS, lossless, with a basic offset table.

  Raises:
    BadInput: the chunks are of another kind, size or number, there are more
      than 4 GB of them, or the codec is not installed.
  """
  encode = _encoder(shape) if compress else None
  digest, offsets, channels = hashlib.sha256(), [], ()
  start = 8 + 4 * shape[0] if compress else 0
  file.seek(start)
  for frame in _checked(frames, shape):
    channels = frame.shape[2:]
    content = frame.tobytes()
    digest.update(content)
    offsets.append(file.tell() - start)
    file.write(encode(frame) if encode else content)
    if file.tell() > _MOST:
      raise BadInput('more than 4 GB of pixels do not fit a DICOM object')
  file.write(bytes(file.tell() % 2))
  if compress:
    table = struct.pack(f'<{len(offsets)}L', *offsets)
    file.seek(0)
    file.write(itemize_fragment(table))
  file.seek(0)
  syntax = JPEGLSLossless if compress else ExplicitVRLittleEndian
  return Spooled(file, (*shape, *channels), digest.hexdigest(), syntax)


def _checked(
  chunks: Iterable[np.ndarray], shape: tuple[int, int, int]
) -> Iterator[UInt8[np.ndarray, 'height width *channels']]:
  """Yield the frames of chunks, as many and as large as they must be."""
  count, *size = shape
  seen, channels = 0, None
  for chunk in chunks:
    channels = chunk.shape[3:] if channels is None else channels
    alike = chunk.shape[1:] == (*size, *channels) and channels in ((), (3,))
    if not alike or chunk.dtype != np.uint8:
      raise BadInput(
        f'frames of {chunk.dtype} {chunk.shape[1:]} cannot be derived from '
        f'{tuple(size)}: write all grey or all RGB, uint8, in the source grid'
      )
    seen += len(chunk)
    if seen > count:
      break
    yield from chunk
  if seen != count:
    raise BadInput(
      f'{"more than " if seen > count else ""}{min(seen, count)} frames cannot '
      f'be derived from {count}: write one for each of the source'
    )


def _encoder(shape: tuple[int, int, int]) -> Callable[[np.ndarray], bytes]:
  """Return what turns a frame into an item of encapsulated pixel data."""
  encoder = get_encoder(JPEGLSLossless)
  if not encoder.is_available:
    raise BadInput(
      "JPEG-LS cannot be written here: pip install 'echogan_jax[codecs]', or "
      'write uncompressed'
    )

  def encode(frame: np.ndarray) -> bytes:
    colour = frame.ndim == 3
    content = encoder.encode(
      frame,
      rows=shape[1],
      columns=shape[2],
      number_of_frames=1,
      samples_per_pixel=3 if colour else 1,
      photometric_interpretation='RGB' if colour else 'MONOCHROME2',
      planar_configuration=0,
      bits_allocated=8,
      bits_stored=8,
      pixel_representation=0,
    )
    return itemize_fragment(bytes(content) + bytes(len(content) % 2))

  return encode


def fill(dataset: pydicom.Dataset, pixels: Spooled) -> None:
  """Set the image pixel module and the transfer syntax.

  The file must stay open until the dataset is written.
  """
  count, rows, columns, *colour = pixels.shape
  dataset.NumberOfFrames = count
  dataset.Rows, dataset.Columns = rows, columns
  dataset.SamplesPerPixel = 3 if colour else 1
  dataset.PhotometricInterpretation = 'RGB' if colour else 'MONOCHROME2'
  dataset.pop('PlanarConfiguration', None)
  if colour:
    dataset.PlanarConfiguration = 0
  dataset.BitsAllocated = dataset.BitsStored = 8
  dataset.HighBit = 7
  dataset.PixelRepresentation = 0
  dataset.add_new('PixelData', 'OB', pixels.file)
  dataset['PixelData'].is_undefined_length = pixels.syntax.is_encapsulated
  dataset.file_meta = pydicom.dataset.FileMetaDataset()
  dataset.file_meta.TransferSyntaxUID = pixels.syntax
