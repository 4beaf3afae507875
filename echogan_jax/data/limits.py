"""What a file from a stranger may claim, asked before anything is allocated.

Headers are read, never believed: a kilobyte can claim a terabyte, a name can
lead to any place of the machine, and a pipe can be waited on for ever.
"""

import contextlib
import io
import math
import pathlib
import warnings
import zipfile
from collections.abc import Callable, Collection, Iterator

import numpy as np
from PIL import Image

from echogan_jax.command import BadInput
from echogan_jax.data.reject import Rejected

BYTES = 4 << 30  # of a clip's decoded pixels: a long one in colour has 1 GB
FRAMES = 1 << 20  # of a clip: hours of it
FEW = 16  # frames from which to tell tissue, text and sector
SIDE = 1 << 13  # pixels: every crop is a square, so the area is no limit
TABLE = 1 << 28  # bytes of a text that is read whole: large ones have 1e8

Check = Callable[[str, np.dtype, tuple[int, ...]], None]


def excess(count: int, height: int, width: int, channels: int = 1) -> str:
  """Say in one line why frames are too large to be decoded, '' if they fit.

  Args:
    count: of frames.
    height: of each in pixels.
    width: of each in pixels.
    channels: bytes of a pixel.
  """
  claim = count * height * width * channels
  if claim > BYTES:
    return f'{claim / 1e9:.0f} GB of pixels claimed, the limit is 4 GB'
  if max(height, width) > SIDE:
    return f'frames of more than 67 million pixels or {SIDE} to a side'
  if count > FRAMES:
    return 'more than a million frames'
  return ''


def stride(count: int, size: int, most: int) -> int:
  """Return which of so many frames to hold, every first, second, ... one.

  Args:
    count: of frames.
    size: bytes of one.
    most: bytes to hold, but never fewer than `FEW` frames.
  """
  return -(-count // max(most // size, FEW)) or 1


def regular(path: pathlib.Path, most: int = BYTES) -> pathlib.Path:
  """Return a path unless what lies there is no file, or a larger one.

  What does not exist or is a folder passes: to open it says so.

  Args:
    path: of the file.
    most: bytes that it may have.

  Raises:
    BadInput: it is a pipe or a device, which are read for ever, or too large.
  """
  if path.exists() and not (path.is_file() or path.is_dir()):
    raise BadInput(f'{path} is no file')
  if path.is_file() and path.stat().st_size > most:
    size, limit = path.stat().st_size >> 20, most >> 20
    raise BadInput(f'{path} has {size} MB, the limit is {limit} MB')
  return path


def within(folder: pathlib.Path, name: str) -> pathlib.Path:
  """Return the path of a file that a table of a folder names.

  Args:
    folder: that the file has to lie in.
    name: relative to it.

  Raises:
    BadInput: the name or a link leads out of the folder, or to no file.
  """
  path = folder / name
  try:
    inside = path.resolve().is_relative_to(folder.resolve())
  except (OSError, RuntimeError, ValueError):  # links in a circle, a NUL
    inside = False
  if not inside:
    raise BadInput(f'{folder}: {name!r} leads out of the folder: remove it')
  return regular(path)


@contextlib.contextmanager
def picture(path: pathlib.Path, *formats: str) -> Iterator[Image.Image]:
  """Open a picture by its header; nothing is decoded yet.

  Only these formats are tried: some that Pillow knows run other programs.

  Args:
    path: of the file.
    *formats: as Pillow calls them.

  Raises:
    BadInput: it is no file.
    Rejected: `too_large`, its header claims too many pixels.
    OSError: it is none of the formats.
  """
  with warnings.catch_warnings():
    warnings.simplefilter('ignore', Image.DecompressionBombWarning)
    try:
      with Image.open(regular(path), formats=formats) as file:
        count = getattr(file, 'n_frames', 1)
        if why := excess(count, file.height, file.width, 3):
          raise Rejected('too_large', why)
        yield file
    except Image.DecompressionBombError as error:
      raise Rejected('too_large', 'more pixels than can be held') from error


def arrays(
  source: pathlib.Path | io.BytesIO,
  names: Collection[str] | None = None,
  *,
  most: int = BYTES,
  whole: bool = False,
  check: Check | None = None,
) -> dict[str, np.ndarray]:
  """Read arrays of an `.npz` file, as `numpy.load` does without trust.

  Args:
    source: of the file.
    names: which arrays, None for all; what is not there is left out.
    most: bytes of all of them together.
    whole: read nothing unless all `names` are there.
    check: called with name, type and shape of each before it is allocated.

  Raises:
    ValueError: the file is damaged, holds objects, or more than `most`.
  """
  found = {}
  try:
    if isinstance(source, pathlib.Path):
      regular(source)
    with zipfile.ZipFile(source) as archive:
      there = {i.filename.removesuffix('.npy'): i for i in archive.infolist()}
      some = there.keys() if names is None else there.keys() & names
      for name in () if whole and len(some) < len(names) else some:
        most -= there[name].file_size
        found[name] = _array(archive, there[name], most, name, check)
  except (BadInput, ValueError):
    raise
  except Exception as error:  # whoever made the file chose what breaks
    raise ValueError(f'no intact .npz file: {error}') from error
  return found


def _array(
  archive: zipfile.ZipFile,
  info: zipfile.ZipInfo,
  left: int,
  name: str,
  check: Check | None,
) -> np.ndarray:
  if left < 0:
    raise ValueError(f'{name} is too large')
  if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
    raise ValueError(f'{name} is packed in a way that knows no bounds')
  with archive.open(info) as file:
    if np.lib.format.read_magic(file) != (1, 0):  # others' headers are larger
      raise ValueError(f'{name} is in no form that numpy saves numbers in')
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.hasobject:
      raise ValueError(f'{name} holds objects, which are programs')
    if info.file_size != file.tell() + dtype.itemsize * math.prod(shape):
      raise ValueError(f'{name} does not have the size that it claims')
  if check:
    check(name, dtype, shape)
  with archive.open(info) as file:
    return np.lib.format.read_array(file, allow_pickle=False)
