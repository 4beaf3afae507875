"""Annotations: the tissues drawn in a clip, and the clip a better machine saw.

They lie in a folder as `<SHA-256 of the clip's file>.npz` with any of `mask`,
the tissue of each pixel (see `shapes`), and `clean`, the same frames in grey,
both uint8 [time, height, width] in the pixel grid of the clip. A frame whose
mask is 255 everywhere is not drawn. `ingest` writes what belongs to its
frames below DATA/anatomy and DATA/targets, under the frames' own names.
"""

import hashlib
import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from echogan_jax.command import BadInput, existing
from echogan_jax.data import files, limits
from echogan_jax.data.sector import Sector, crop
from echogan_jax.shapes import TISSUES, UNDRAWN


class Kind(NamedTuple):
  """One kind of annotation.

  Attributes:
    array: its name in the file that is read.
    folder: where its pictures are written, below the data.
    blank: level of the picture that stands for none.
  """

  array: str
  folder: str
  blank: int


KINDS = {
  'anatomy': Kind('mask', 'anatomy', UNDRAWN),
  'target': Kind('clean', 'targets', 0),
}


def folder(path: str, flag: str) -> pathlib.Path:
  """Return where the files lie: the folder, or `truth` in it.

  Args:
    path: as a person gave it; `phantom` writes the files to OUT/truth.
    flag: which flag it was given to.

  Raises:
    BadInput: nothing is there.
  """
  found = existing(path, flag).resolve()
  return found / 'truth' if (found / 'truth').is_dir() else found


def of(folder: pathlib.Path | None, sha256: str) -> pathlib.Path | None:
  """Return the annotations of a clip, None where there are none."""
  path = folder and folder / f'{sha256}.npz'
  # the hash comes from a manifest: it may be a path
  return path if path and path.parent == folder and path.is_file() else None


def state(
  folder: pathlib.Path | None, rows: Sequence[Mapping[str, object]]
) -> dict[str, list[int]]:
  """Return `files.state` of the annotations of some rows of the manifest."""
  names = [f'{row["source_sha256"]}.npz' for row in rows]
  found = files.state(folder, names) if folder else {}
  return {name: state for name, state in found.items() if state}


def read(
  path: pathlib.Path,
  numbers: Sequence[int],
  place: Sector,
  size: int,
  *,
  length: int | None = None,
) -> dict[str, list[UInt8[np.ndarray, 'size size'] | None]]:
  """Return what is annotated of some frames of a clip, cropped as they are.

  Args:
    path: the annotations of the clip, or of one frame that is a file.
    numbers: which frames; not looked at where the file holds one frame and
      `length` is unknown.
    place: the clip's sector.
    size: side of the result in pixels.
    length: of the clip in frames, None if unknown.

  Returns:
    by kind, a picture for each frame, None in place of what is not there.

  Raises:
    BadInput: the file is damaged or does not fit the clip.
  """
  needed = (length or '?', place.height, place.width)

  def check(name: str, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    fits = len(shape) == 3 and shape[1:] == needed[1:]
    if dtype != np.uint8 or not fits or length not in (None, shape[0]):
      raise BadInput(
        f'{path}: {name} is {dtype} {list(shape)}, the clip needs '
        f'uint8 {list(needed)}: correct or remove the file'
      )

  arrays = _load(path, check)
  for name, array in arrays.items():
    if length is None and len(array) == 1:
      numbers = [0] * len(numbers)
    if max(numbers) >= len(array):
      raise BadInput(f'{path}: {name} ends before frame {max(numbers)}')
  result = {kind: [None] * len(numbers) for kind in KINDS}
  if 'mask' in arrays:
    drawn = [_tissues(arrays['mask'][n], place, size, path) for n in numbers]
    result['anatomy'] = drawn
  if 'clean' in arrays:
    result['target'] = list(crop(arrays['clean'][numbers], place, size))
  return result


def _load(path: pathlib.Path, check: limits.Check) -> dict[str, np.ndarray]:
  names = [kind.array for kind in KINDS.values()]
  try:
    arrays = limits.arrays(path, names, check=check)
  except ValueError as error:
    why = ' '.join(str(error).split())
    raise BadInput(
      f'{path} cannot be read as annotations ({why}): write it again, or '
      'remove it to use its clip without'
    ) from error
  if not arrays:
    raise BadInput(f'{path} holds neither of the arrays {" and ".join(names)}')
  return arrays


def _tissues(
  mask: np.ndarray, place: Sector, size: int, path: pathlib.Path
) -> np.ndarray | None:
  """Return one mask in the grid of the crop; None if nothing is drawn."""
  drawn = mask != UNDRAWN
  if not drawn.any():
    return None
  if not drawn.all() or mask.max() >= TISSUES:
    raise BadInput(
      f'{path}: mask holds {mask.max()}: a frame is drawn whole in 0 to '
      f'{TISSUES - 1}, or {UNDRAWN} everywhere'
    )
  each = [np.where(mask == t, 255, 0) for t in range(1, TISSUES)]
  cover = crop(np.stack(each).astype(np.uint8), place, size)
  # a pixel belongs to the tissue that covers most of it, if one covers half
  most = np.where(cover.max(0) > 127, cover.argmax(0) + 1, 0)
  return most.astype(np.uint8)


def beside(path: str, kind: str) -> str:
  """Return the path of a frame's annotation, relative to the data.

  Args:
    path: of the frame, as the manifest has it.
    kind: of `KINDS`.
  """
  name = pathlib.PurePosixPath(path)
  return pathlib.PurePosixPath(KINDS[kind].folder, *name.parts[1:]).as_posix()


def kinds(data: pathlib.Path) -> list[str]:
  """Return which kinds of annotation a data set has."""
  return [name for name in KINDS if (data / KINDS[name].folder).is_dir()]


def png(picture: UInt8[np.ndarray, 'height width']) -> bytes:
  """Return a grey picture as a PNG file."""
  file = io.BytesIO()
  Image.fromarray(picture).save(file, 'PNG')
  return file.getvalue()


def gather(
  paths: Sequence[pathlib.Path | None],
  numbers: Sequence[int],
  place: Sector,
  size: int,
  *,
  length: int,
  drawn: UInt8[np.ndarray, 'time height width'] | None = None,
) -> dict[str, list[UInt8[np.ndarray, 'size size'] | None]]:
  """Return what is annotated of a clip's frames, as `read` does.

  Args:
    paths: the annotations of each of its files, None for none.
    numbers: which frames.
    place: the clip's sector.
    size: side of the result in pixels.
    length: of the clip in frames.
    drawn: tissues as the data set itself gives them, where nothing else does.

  Raises:
    BadInput: a file is damaged or does not fit the clip.
  """
  found = {kind: [None] * len(numbers) for kind in KINDS}
  if len(paths) == 1 and paths[0]:
    found = read(paths[0], numbers, place, size, length=length)
  for at, number in enumerate(numbers if len(paths) > 1 else ()):
    if path := paths[number]:
      for kind, (picture,) in read(path, [0], place, size, length=1).items():
        found[kind][at] = picture
  if drawn is not None and not any(p is not None for p in found['anatomy']):
    where = pathlib.Path('the data set')
    masks = [_tissues(drawn[n], place, size, where) for n in numbers]
    found['anatomy'] = masks
  return found


def write(
  found: Mapping[str, Sequence[UInt8[np.ndarray, 'size size'] | None]],
  data: pathlib.Path,
  rows: Sequence[Mapping[str, object]],
) -> dict[str, str]:
  """Write what is annotated of a clip's frames below the data.

  Args:
    found: what `gather` returned.
    data: the folder that is written.
    rows: of the manifest, one for each frame.

  Returns:
    the SHA-256 of every file written, by its path relative to the data.
  """
  written = {}
  for kind, pictures in found.items():
    for row, picture in zip(rows, pictures, strict=True):
      if picture is None:
        continue
      name, content = beside(str(row['path']), kind), png(picture)
      files.write(data / name, content)
      written[name] = hashlib.sha256(content).hexdigest()
  return written
