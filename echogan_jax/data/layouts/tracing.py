"""What data sets with tables share: rows, names, splits, videos, tracings."""

import array
import csv
import functools
import itertools
import os
import pathlib
import re
import struct
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from jaxtyping import Float, Float32, UInt8
from PIL import Image, ImageDraw

from echogan_jax.command import BadInput
from echogan_jax.data import limits, video
from echogan_jax.data.clip import Clip
from echogan_jax.data.item import Item
from echogan_jax.data.reject import Rejected
from echogan_jax.shapes import UNDRAWN

SPLITS = ('train', 'validation', 'test')  # ever further from training

Row = dict[str, str]
Outline = Float[np.ndarray, 'point 2']  # x, y in pixels
Tracing = Float32[np.ndarray, 'row column']  # one frame's rows of a table

_SPELLED = dict(zip(('', 'train', 'val', 'test'), ('', *SPLITS), strict=True))
_PLAIN = re.compile(r'\w[\w .+-]*')
_NUMBER = re.compile(r'(\d{1,9})(\.0*)?')
_STRAY = 0.1  # of the frame: so far a tracing may reach over its edge
_UNKNOWN = 0xFFFFFFFF  # the length of a stream that was never rewound
_DAMAGE = (BadInput, IndexError, EOFError, struct.error)


def rows(
  path: pathlib.Path, *columns: str, maybe: tuple[str, ...] = ()
) -> Iterator[tuple[str, Row]]:
  """Yield the rows of a CSV file, each after a phrase for where it stands.

  Args:
    path: the table.
    columns: what it must have.
    maybe: what it may have besides, else ''.

  Raises:
    BadInput: the file is missing, is no table or lacks a column.
  """
  for line, cells in _cells(path, columns, maybe):
    row = dict(zip((*columns, *maybe), cells, strict=True))
    yield f'{path} line {line}', row


def _cells(
  path: pathlib.Path, columns: tuple[str, ...], maybe: tuple[str, ...] = ()
) -> Iterator[tuple[int, list[str]]]:
  """Yield the number of each line and its cells in the columns' order."""
  limits.regular(path, limits.TABLE)
  try:
    with path.open(encoding='utf-8-sig', newline='') as file:
      table = csv.reader(file)
      head = [name.strip() for name in next(table, ())]
      missing = [name for name in columns if name not in head]
      if missing:
        raise BadInput(f'{path} lacks the column {" and ".join(missing)}')
      head += [name for name in maybe if name not in head]
      places = [head.index(name) for name in (*columns, *maybe)]
      for row in table:
        row += [''] * (len(head) - len(row))
        yield table.line_num, [row[place].strip() for place in places]
  except OSError as error:
    raise BadInput(
      f'{path}, a table of the data set, cannot be opened: {error.strerror}'
    ) from error
  except (UnicodeDecodeError, csv.Error) as error:
    raise BadInput(
      f'{path} is no table in CSV: get it anew ({error})'
    ) from error


def plain(name: str, where: str, *, suffix: str = '.avi') -> str:
  """Return a file's name without its suffix, which may be left out.

  Raises:
    BadInput: it is not the name of a file alone.
  """
  if not _PLAIN.fullmatch(name):
    raise BadInput(f'{where}: its file name is no name of a file alone')
  return name.removesuffix(suffix)


def split(text: str, where: str) -> str:
  """Return our name of a split that is spelled train, val or test, or blank.

  Raises:
    BadInput: it is none of them.
  """
  if text.lower() not in _SPELLED:
    raise BadInput(f'{where}: its split is none of train, val and test')
  return _SPELLED[text.lower()]


def frame(text: str) -> int | None:
  """Return the number of a frame, also if written as 46.0; None for none."""
  number = _NUMBER.fullmatch(text)
  return int(number[1]) if number else None


def strictest(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
  """Return the split of each patient, of several the furthest from training.

  Args:
    pairs: patient and split, '' where it is not known.
  """
  found = {}
  for patient, part in pairs:
    if part:
      found[patient] = max(found.get(patient, part), part, key=SPLITS.index)
  return found


def clip(folder: pathlib.Path, item: Item) -> Clip:
  """Return the one video or picture of an item."""
  return decode(folder / item.files[0])


def decode(path: pathlib.Path) -> Clip:
  """Return the frames and times of an AVI or a picture.

  Raises:
    Rejected: the file is damaged.
    BadInput: PyAV is not installed.
  """
  try:
    if path.suffix == '.avi' and _is_cut(path):
      raise Rejected('truncated', 'the video ends before its contents do')
    return video.read(path, strict=True)
  except Rejected:
    raise
  except OSError as error:
    raise Rejected('unreadable', 'it cannot be opened') from error
  except _DAMAGE as error:
    if isinstance(error.__cause__, ImportError):  # of no file in particular
      raise
    raise Rejected('corrupt_pixels', 'it cannot be decoded') from error


def _is_cut(path: pathlib.Path) -> bool:
  """Return whether a RIFF file is shorter than it says.

  The decoder would fill up what is missing of the last frame.
  """
  with path.open('rb') as file:
    head, length = file.read(8), os.fstat(file.fileno()).st_size
  if len(head) < 8 or head[:4] != b'RIFF':
    return False
  claimed = int.from_bytes(head[4:], 'little')
  return claimed != _UNKNOWN and claimed + 8 > length


@functools.lru_cache(maxsize=2)
def read(
  path: pathlib.Path, columns: tuple[str, ...]
) -> dict[str, dict[int | str, Tracing]]:
  """Return the rows of a table of tracings by file name and frame.

  Args:
    path: a table with `FileName`, `Frame` and one row for each line or point.
    columns: the coordinates, such as `X` and `Y`, in pixels.

  Returns:
    by name without suffix, by frame; what stands for a frame that was not
    traced, such as `No Systolic`, has no rows.

  Raises:
    BadInput: the table cannot be used.
  """
  found = {}
  cells = _cells(path, ('FileName', 'Frame', *columns))
  for (name, text), lines in itertools.groupby(cells, lambda c: c[1][:2]):
    first, number = next(lines), frame(text)
    where = f'{path} line {first[0]}'
    frames = found.setdefault(plain(name, where), {})
    key = text if number is None else number
    values = frames.setdefault(key, array.array('f'))
    if number is not None:
      texts = (line[1][2:] for line in itertools.chain([first], lines))
      _extend(values, itertools.chain.from_iterable(texts), where)
  return {
    name: {
      key: np.frombuffer(values, np.float32).reshape(-1, len(columns))
      for key, values in frames.items()
    }
    for name, frames in found.items()
  }


def _extend(values: array.array, texts: Iterable[str], where: str) -> None:
  try:
    values.extend(map(float, texts))
  except ValueError as error:
    raise BadInput(f'{where} or below: a coordinate is no number') from error
  if not np.isfinite(values).all():
    raise BadInput(f'{where} or below: a coordinate is no number')


def area(outline: Outline) -> float:
  """Return the area within an outline in square pixels (shoelace formula)."""
  x, y = outline.T
  return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def largest(outlines: Mapping[int, Outline]) -> int | None:
  """Return the frame of the largest of two outlines or more: end diastole."""
  if len(outlines) < 2:
    return None
  return max(outlines, key=lambda number: area(outlines[number]))


def fill(
  outlines: Mapping[int, Outline], shape: tuple[int, int, int]
) -> UInt8[np.ndarray, 'time height width'] | None:
  """Return 1 within the outlines and 0 around them, UNDRAWN elsewhere.

  Corners are rounded to pixels and the outline itself is inside, as in the
  code that EchoNet-Dynamic came with.

  Args:
    outlines: by frame. One of a frame that the clip lacks, of fewer than
      three points or outside its picture is left out.
    shape: of the clip: frames, rows, columns.

  Returns:
    None if no outline is left.
  """
  length, height, width = shape
  size = np.array([width, height])
  result = np.full(shape, UNDRAWN, np.uint8)
  for number, outline in outlines.items():
    inside = (outline > -_STRAY * size) & (outline < (1 + _STRAY) * size)
    if number >= length or len(outline) < 3 or not inside.all():
      continue
    canvas = Image.new('L', (width, height))
    corners = [tuple(corner) for corner in np.rint(outline).astype(int)]
    ImageDraw.Draw(canvas).polygon(corners, fill=1, outline=1)
    result[number] = np.asarray(canvas)
  return result if (result != UNDRAWN).any() else None
