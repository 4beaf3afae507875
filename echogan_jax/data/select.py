"""Which files are looked at, which split they join, which frames they give."""

import hashlib
import os
import pathlib
from collections.abc import Collection

import numpy as np
from jaxtyping import Bool, UInt8

from echogan_jax.data.reject import Rejected

SPLITS = ('train', 'validation', 'test')
_MOVES = 2.0  # grey levels of standard deviation over time
_STATIC = 0.02  # of the sector; beating hearts move in 0.2 to 0.4 of it


def files(
  source: pathlib.Path, skip: Collection[pathlib.Path] = ()
) -> list[str]:
  """Return every file below a folder in a fixed order, relative to it.

  Not seen are hidden files, a `labels.csv` at the top, and what `phantom`
  puts beside its studies: `phantom.json` and `truth/*.npz`.

  Args:
    source: the folder; links to folders in it are not followed.
    skip: files and folders to pass over.

  Raises:
    OSError: a folder cannot be listed.
  """
  skip = {*skip, source / 'labels.csv', source / 'phantom.json'}
  found = []
  for folder, folders, names in os.walk(source, onerror=_raise):
    here = pathlib.Path(folder)
    folders[:] = [f for f in folders if f[0] != '.' and here / f not in skip]
    for path in (here / name for name in names if name[0] != '.'):
      truth = path.suffix == '.npz' and here == source / 'truth'
      # a pipe or a device is no file, and opening one may wait for ever
      real = path.is_file() or path.is_symlink()
      if real and not truth and path not in skip:
        found.append(path.relative_to(source).as_posix())
  return sorted(found)


def _raise(error: OSError) -> None:
  raise error


def split(patient: str, *, seed: int, validation: float, test: float) -> str:
  """Return the split of a patient: a hash, so it never moves.

  u = SHA-256(seed, patient) / 2^256 is uniform on [0, 1): the test set is
  u < test, validation the interval above it, the rest trains. Patients who
  come later leave the earlier ones where they are, and so does a new key;
  the price is that of few patients a split may get none.

  Args:
    patient: who it is, in any words that stay the same.
    seed: other seeds, other splits.
    validation: fraction of the patients for validation.
    test: fraction of the patients for the test.
  """
  digest = hashlib.sha256(f'{seed}:{patient}'.encode()).digest()
  u = int.from_bytes(digest, 'big') / 2**256
  if u < test:
    return 'test'
  return 'validation' if u < test + validation else 'train'


def check_motion(
  frames: UInt8[np.ndarray, 'time height width'],
  inside: Bool[np.ndarray, 'height width'],
) -> None:
  """Raise Rejected unless something moves inside the sector.

  Raises:
    Rejected: `still_image`, `static_clip`.
  """
  if len(frames) == 1:
    raise Rejected('still_image', 'a single frame: --allow_stills takes it')
  level = np.stack([frame[inside] for frame in frames])
  spread = np.concatenate(
    [part.std(axis=1) for part in np.array_split(level.T, 64)]
  )
  share = float((spread > _MOVES).mean())
  if share < _STATIC:
    detail = f'{share:.1%} of the sector moves: --allow_stills takes it'
    raise Rejected('static_clip', detail)


def choose(
  frames: UInt8[np.ndarray, 'time height width'],
  inside: Bool[np.ndarray, 'height width'],
  count: int,
) -> list[int]:
  """Return which frames to keep.

  One: the sharpest, that is with the highest sum of squared grey differences
  between neighbouring pixels inside the sector, the first of equals. More:
  the middles of `count` equal parts of the clip, at most every frame.
  """
  if count == 1:
    return [int(np.argmax([_sharpness(f, inside) for f in frames]))]
  count = min(count, len(frames))
  return [(2 * i + 1) * len(frames) // (2 * count) for i in range(count)]


def _sharpness(frame: np.ndarray, inside: np.ndarray) -> int:
  grey = frame.astype(np.int32)
  down, right = np.diff(grey, axis=0), np.diff(grey, axis=1)
  down = down[inside[1:] & inside[:-1]]
  right = right[inside[:, 1:] & inside[:, :-1]]
  return int(np.vdot(down, down)) + int(np.vdot(right, right))
