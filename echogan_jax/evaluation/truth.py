"""What `phantom` knows of a whole clip, in the grid of the network's frames."""

import json
import pathlib
import zipfile
import zlib
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from echogan_jax.command import BadInput
from echogan_jax.data import annotation
from echogan_jax.data.sector import Sector, crop, crop_mask

Frames = UInt8[np.ndarray, 'time size size']

_ARRAYS = ('degraded', 'clean', 'mask', 'displacement', 'mm_per_pixel')
_ARRAYS += ('frame_time',)
_DAMAGE = (OSError, EOFError, ValueError, KeyError, TypeError)
_DAMAGE += (zipfile.BadZipFile, zlib.error)


class Truth(NamedTuple):
  """One clip from its first frame to its last.

  Attributes:
    input: as it was acquired.
    target: as it should have been.
    labels: its tissues.
    displacement: pixels (x, y) from where the material was in frame 0.
    inside: the sector.
    mm: side of a pixel.
    frame_time: ms from frame to frame.
  """

  input: Frames
  target: Frames
  labels: Frames
  displacement: Float32[np.ndarray, 'time size size 2']
  inside: Bool[np.ndarray, 'size size']
  mm: float
  frame_time: float


def findings(path: pathlib.Path) -> dict[str, bool]:
  """Return what the patient of a clip has; empty where the file is silent."""
  try:
    with np.load(path, allow_pickle=False) as file:
      numbers = json.loads(str(file['anatomy']))
      return {
        'effusion': numbers['effusion_mm'] > 0,
        'thrombus': numbers['thrombus_mm'] > 0,
        'lvh': bool(file['lvh']),
      }
  except _DAMAGE:  # no phantom's: `annotation.read` says if it is damaged
    return {}


def read(path: pathlib.Path, place: Sector, size: int) -> Truth | None:
  """Return the truth of a clip; None where the file is no phantom's.

  Raises:
    BadInput: it is damaged, or does not fit the clip.
  """
  try:
    with np.load(path, allow_pickle=False) as file:
      if not set(_ARRAYS) <= set(file):
        return None
      degraded, clean, mask, moved, mm, time = (file[n] for n in _ARRAYS)
  except _DAMAGE as error:
    raise BadInput(f'{path}: {error}; write the phantom again') from error
  scale, count = size / place.box[2], len(mask)
  drawn = annotation.gather(
    [None], range(count), place, size, length=count, drawn=mask
  )
  pixels = np.moveaxis(moved, -1, 0) * np.float32(scale / mm)
  whole = np.ones((1, *moved.shape[1:3]), np.float32)
  # of each pixel, what lies inside: the rim must not be slowed by the outside
  share = np.maximum(crop(whole, place, size), 1e-3)
  return Truth(
    input=crop(degraded, place, size),
    target=crop(clean, place, size),
    labels=np.stack(drawn['anatomy']),
    displacement=np.stack(
      [crop(p, place, size) / share for p in pixels], axis=-1
    ),
    inside=crop_mask(place, size),
    mm=float(mm) / scale,
    frame_time=float(time),
  )
