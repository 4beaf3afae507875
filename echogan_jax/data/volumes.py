"""NIfTI, MHD and MHA to grey frames, with SimpleITK (extra `volumes`)."""

import gzip
import math
import pathlib
import re
import zlib
from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from echogan_jax.command import BadInput
from echogan_jax.data import limits
from echogan_jax.data.reject import Rejected

SUFFIXES = ('.nii.gz', '.nii', '.mhd', '.mha')
RAW = ('.raw', '.zraw')  # where an MHD has its pixels
CLOSED = (FileNotFoundError, IsADirectoryError, PermissionError)

_CHUNK = 1 << 24
_STRETCH = 4  # how far the sides of a pixel may differ
_HEAD = 1 << 16  # a MetaImage header is text of some hundred bytes
_META = re.compile(rb'^[ \t]*(\w+)[ \t]*[=:][ \t]*(.*?)[ \t\r]*$', re.MULTILINE)
_META_LAST = re.compile(rb'^[ \t]*ElementDataFile[ \t]*[=:].+\n?', re.MULTILINE)
# https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h
NIFTI = np.dtype(
  {
    'names': [
      *('sizeof_hdr', 'dim', 'datatype', 'bitpix', 'pixdim', 'vox_offset'),
      *('xyzt_units', 'qform_code', 'sform_code', 'quatern_d', 'srow', 'magic'),
    ],
    'formats': [
      *('<i4', '8<i2', '<i2', '<i2', '8<f4', '<f4'),
      *('u1', '<i2', '<i2', '<f4', '(3,4)<f4', 'S4'),
    ],
    'offsets': [0, 40, 70, 72, 76, 108, 123, 252, 254, 264, 280, 344],
    'itemsize': 352,
  }
)
# bytes of a number, by the name that a header gives its type
_DEPTHS = {
  **dict.fromkeys((2, 256, b'MET_UCHAR', b'MET_CHAR'), 1),
  **dict.fromkeys((4, 512, b'MET_USHORT', b'MET_SHORT'), 2),
  **dict.fromkeys((8, 16, 768, b'MET_UINT', b'MET_INT', b'MET_FLOAT'), 4),
  **dict.fromkeys((64, b'MET_DOUBLE'), 8),
}

Frames = UInt8[np.ndarray, 'time height width']
Size = tuple[float, float]


def read(path: pathlib.Path) -> tuple[Frames, Size | None]:
  """Return the frames, upright, and the size (x, y) of a pixel in mm.

  The size is None where the file says 1 x 1, the default of its format.

  Args:
    path: with one of `SUFFIXES`, or the pixels of an MHD, beside it.

  Raises:
    BadInput: SimpleITK is not installed.
    Rejected: the file is missing, damaged or no stack of 8-bit grey frames.
  """
  sitk = _sitk()
  if path.suffix in RAW:
    path = path.with_suffix('.mhd')
  check = _check_nifti if '.nii' in path.suffixes[-2:] else _check_metaimage
  try:
    check(path)
  except CLOSED as error:
    detail = 'a file of it is missing or cannot be opened'
    raise Rejected('unreadable', detail) from error
  except (OSError, EOFError, zlib.error) as error:
    detail = 'a file of it is damaged or ends early'
    raise Rejected('truncated', detail) from error
  try:
    image = sitk.ReadImage(str(path))
  except RuntimeError as error:
    raise Rejected('corrupt_pixels', 'its pixels cannot be decoded') from error
  if image.GetDimension() > 3 or image.GetNumberOfComponentsPerPixel() > 1:
    raise Rejected('bad_geometry', 'neither a grey picture nor a stack of them')
  frames = _to_8_bit(sitk.GetArrayFromImage(image))
  x, y = (float(f'{step:.6g}') for step in image.GetSpacing()[:2])
  mm = None if (x, y) == (1, 1) else (x, y)
  return frames.reshape(-1, *frames.shape[-2:]), mm


def _sitk():
  try:
    import SimpleITK as sitk  # noqa: N813  as everyone calls it
  except ImportError as error:
    raise BadInput(
      'NIfTI, MHD and MHA files need SimpleITK: pip install '
      "'echogan_jax[volumes]'"
    ) from error
  sitk.ProcessObject.SetGlobalWarningDisplay(False)
  return sitk


def _check_nifti(path: pathlib.Path) -> None:
  """Raise Rejected or OSError unless all pixels are there.

  SimpleITK takes a file that ends early without a word.
  """
  with gzip.open(path) if path.suffix == '.gz' else path.open('rb') as file:
    head = file.read(NIFTI.itemsize)
    if len(head) < NIFTI.itemsize:
      raise EOFError
    header = np.frombuffer(head, NIFTI)[0]
    if header['sizeof_hdr'] != 348:
      header = np.frombuffer(head, NIFTI.newbyteorder())[0]
    dimensions = int(header['dim'][0])
    single = header['magic'] == b'n+1'  # no pixels in another file
    if header['sizeof_hdr'] != 348 or not (single and 0 < dimensions < 8):
      raise Rejected('unreadable', 'no NIfTI-1 header')
    before = float(header['vox_offset']) - NIFTI.itemsize
    if not 0 <= before < _HEAD:
      raise Rejected('unreadable', 'its pixels are not behind its header')
    shape = header['dim'][1 : dimensions + 1].tolist()
    needed = int(before) + _claim(shape, int(header['datatype']))
    there = 0  # only as far as needed: it may inflate without end
    while there <= needed and (chunk := file.read(_CHUNK)):
      there += len(chunk)
  _check_size(needed, there)


def _check_metaimage(path: pathlib.Path) -> None:
  """Raise Rejected or OSError unless all pixels are there, and beside it.

  SimpleITK follows a header to wherever on the machine it points.
  """
  with path.open('rb') as file:
    text = file.read(_HEAD)
  last = _META_LAST.search(text)
  end = last.end() if last else 0
  header = dict(_META.findall(text[:end]))
  shape = header.get(b'DimSize', b'').split()
  digits = all(steps.isdigit() and len(steps) < 20 for steps in shape)
  if not digits or header.get(b'NDims') not in (b'2', b'3', b'4'):
    raise Rejected('unreadable', 'no MetaImage header')
  if int(header[b'NDims']) != len(shape):
    raise Rejected('unreadable', 'no MetaImage header')
  if header.get(b'ElementNumberOfChannels', b'1') != b'1':
    raise Rejected('bad_geometry', 'neither a grey picture nor a stack of them')
  name = header[b'ElementDataFile'].decode('utf-8', 'replace')
  beside = not (name.startswith('LIST') or set(name) & set('/\\%'))
  pixels = path if name == 'LOCAL' or not beside else path.with_name(name)
  # a link may have any name
  if not beside or pixels.resolve().parent != path.resolve().parent:
    detail = 'its header names no single file beside it for the pixels'
    raise Rejected('outside_input', detail)
  start = end if pixels is path else 0
  there = pixels.stat().st_size - start
  needed = _claim(map(int, shape), header.get(b'ElementType'))
  if header.get(b'CompressedData', b'').lower() == b'true':
    # without its size, or of another, SimpleITK makes pixels up
    told = header.get(b'CompressedDataSize') == str(there).encode()
    there = _inflated(pixels, start, needed) if told else 0
  _check_size(needed, there)


def _inflated(path: pathlib.Path, start: int, most: int) -> int:
  """Return how many bytes a zlib stream holds; counting stops above `most`."""
  stream, size = zlib.decompressobj(), 0
  with path.open('rb') as file:
    file.seek(start)
    while size <= most and (
      chunk := stream.unconsumed_tail or file.read(_CHUNK)
    ):
      size += len(stream.decompress(chunk, _CHUNK))
  return size


def _claim(shape: Iterable[int], kind: object) -> int:
  """Return how many bytes the pixels need.

  Raises:
    Rejected: `bad_geometry` or `too_large`.
  """
  width, height, *count = (*shape, 1)
  if kind not in _DEPTHS or min(width, height, *count) < 1:
    raise Rejected('bad_geometry', 'no picture of numbers, or one of no size')
  if why := limits.excess(math.prod(count), height, width, _DEPTHS[kind]):
    raise Rejected('too_large', why)
  return math.prod((width, height, *count, _DEPTHS[kind]))


def _check_size(needed: int, there: int) -> None:
  if there < needed:
    raise Rejected('truncated', 'a file of it ends before its pixels do')


def _to_8_bit(raw: np.ndarray) -> np.ndarray:
  frames = np.clip(np.nan_to_num(raw), 0, 255).astype(np.uint8)
  if not np.array_equal(frames, raw):
    raise Rejected('bad_geometry', 'other grey levels than 0, 1 … 255')
  return frames


def square(
  frames: Frames, mm: Size | None, *, labels: bool = False
) -> tuple[UInt8[np.ndarray, 'time rows columns'], Size | None]:
  """Stretch the longer side of the pixels to the scale of the shorter one.

  Args:
    frames: as read.
    mm: size (x, y) of a pixel; if unknown it is taken to be square.
    labels: pixels are numbers of things, not levels.

  Returns:
    the frames and the size of their pixels.

  Raises:
    Rejected: no pixel looks like that.
  """
  if mm is None or math.isclose(*mm, rel_tol=0.01):
    return frames, mm
  if max(mm) > _STRETCH * min(mm):
    raise Rejected('bad_geometry', 'its pixels are too long and thin')
  height, width = frames.shape[1:]
  size = round(width * mm[0] / min(mm)), round(height * mm[1] / min(mm))
  kind = Image.Resampling.NEAREST if labels else Image.Resampling.BILINEAR
  result = [Image.fromarray(frame).resize(size, kind) for frame in frames]
  scale = (width * mm[0] / size[0], height * mm[1] / size[1])
  return np.stack([np.asarray(frame) for frame in result]), scale
