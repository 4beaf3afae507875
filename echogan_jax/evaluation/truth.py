"""What `phantom` knows of a whole clip, in the grid of the network's frames."""

import functools
import json
import math
import pathlib
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from echogan_jax.command import BadInput
from echogan_jax.data import annotation, limits
from echogan_jax.data.sector import Sector, crop, crop_mask

Frames = UInt8[np.ndarray, 'time size size']

_ARRAYS = ('degraded', 'clean', 'mask', 'displacement', 'mm_per_pixel')
_ARRAYS += ('frame_time',)
_NOTES = 1 << 20  # bytes of what is told of a patient


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
    told = limits.arrays(path, ('anatomy', 'lvh'), most=_NOTES)
    numbers = json.loads(str(told['anatomy']))
    return {
      'effusion': numbers['effusion_mm'] > 0,
      'thrombus': numbers['thrombus_mm'] > 0,
      'lvh': bool(told['lvh']),
    }
  except (
    ValueError,
    KeyError,
    TypeError,
    RecursionError,
  ):  # no phantom's: `annotation.read` says if it is damaged
    return {}


def read(path: pathlib.Path, place: Sector, size: int) -> Truth | None:
  """Return the truth of a clip; None where the file is no phantom's.

  Raises:
    BadInput: it is damaged, or does not fit the clip.
  """
  try:
    check = functools.partial(_check, place)
    found = limits.arrays(path, _ARRAYS, whole=True, check=check)
    if not found:
      return None
    degraded, clean, mask, moved, mm, time = (found[n] for n in _ARRAYS)
    if len({len(degraded), len(clean), len(mask), len(moved)}) > 1:
      raise ValueError('its arrays differ in length')
    if not 0 < mm < math.inf or not 0 < time < math.inf:
      raise ValueError('a pixel or a frame of no size')
  except ValueError as error:
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


def _check(
  place: Sector, name: str, dtype: np.dtype, shape: tuple[int, ...]
) -> None:
  """Raise ValueError unless an array is one of a clip of this size."""
  moved = name == 'displacement'
  needed = (place.height, place.width) + (2,) * moved
  fits = len(shape) == 1 + len(needed) and shape[1:] == needed
  if name in ('mm_per_pixel', 'frame_time'):
    fits = shape == ()
  elif not moved and dtype != np.uint8:
    fits = False
  if not fits or dtype.kind not in 'uif':
    raise ValueError(
      f'{name} is {dtype} {list(shape)}: they do not fit the clip'
    )
