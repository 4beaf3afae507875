"""Flicker: what changes from frame to frame without the heart moving.

Displacements are (x, y) in pixels of the frames' own grid, as the phantom's
`displacement / mm_per_pixel`.
"""

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8
from scipy import ndimage

_STEPS = 5  # each shrinks the error by the motion's gradient, about 3 times
_WHOLE = 1 - 1e-6  # share of the pixels sampled that must lie inside

Clip = UInt8[np.ndarray, 'time height width']
Motion = Float32[np.ndarray, 'time height width 2']
Sector = Bool[np.ndarray, 'height width']


def warp(
  frames: Clip, displacement: Motion, inside: Sector
) -> tuple[
  Float64[np.ndarray, 'time-1 height width'],
  Bool[np.ndarray, 'time-1 height width'],
]:
  """Carry every frame but the last along the motion to the next one's time.

  What pixel x of frame t+1 shows lay at o = x - D(t+1, x) in frame 0, hence
  at the y of frame t with y - D(t, y) = o: found by iterating y = o + D(t, y),
  all sampled bilinearly.

  Args:
    frames: one clip.
    displacement: D, from where the material was in frame 0 to where it is in
      frame t, in the grid of frame t. Outside the sector it is not read.
    inside: the sector.

  Returns:
    The carried frames, and where both ends of the motion lie inside.

  Raises:
    ValueError: fewer than two frames, or an empty sector.
  """
  if len(frames) < 2 or not inside.any():
    raise ValueError('motion needs two frames and a sector')
  nearest = ndimage.distance_transform_edt(
    ~inside, return_distances=False, return_indices=True
  )
  moves = np.moveaxis(displacement[:, *nearest], -1, 1)[:, ::-1]  # row, column
  grid = np.indices(inside.shape)
  moved, seen = [], []
  for frame, before, after in zip(frames[:-1], moves, moves[1:], strict=False):
    place, origin = grid, grid - after
    for _ in range(_STEPS):
      place = origin + [_sample(axis, place, 'nearest') for axis in before]
    moved.append(_sample(frame, place))
    seen.append(inside & (_sample(inside, place) >= _WHOLE))
  return np.stack(moved), np.stack(seen)


def _sample(
  picture: np.ndarray, places: np.ndarray, mode: str = 'constant'
) -> np.ndarray:
  picture = picture.astype(np.float64)
  return ndimage.map_coordinates(picture, places, order=1, mode=mode)


def flicker(frames: Clip, displacement: Motion, inside: Sector) -> float:
  """Return the mean change that known motion does not explain, grey levels.

  |frame t+1 - frame t carried along the motion| where both ends of the motion
  lie inside the sector. Decorrelating speckle and interpolation leave a floor
  and a blurred clip lies below it: read it beside the input's and the truth's.

  Args:
    frames: one clip.
    displacement: as for `warp`.
    inside: the sector.

  Raises:
    ValueError: fewer than two frames, or no pixel stays inside.
  """
  moved, seen = warp(frames, displacement, inside)
  if not seen.any():
    raise ValueError('flicker where no pixel stays inside the sector')
  return float(np.abs(frames[1:] - moved)[seen].mean())


def flicker_added(before: Clip, after: Clip, inside: Sector) -> float:
  """Return the mean change over time that the input has not, grey levels.

  Mean of |(G(t+1) - G(t)) - (I(t+1) - I(t))| over the sector. It needs no
  truth, and counts what an enhancement rightly does to moving tissue too.

  Args:
    before: the input clip I.
    after: the enhanced clip G.
    inside: the sector.

  Raises:
    ValueError: fewer than two frames, or an empty sector.
  """
  if len(before) < 2 or not inside.any():
    raise ValueError('added flicker needs two frames and a sector')
  added = after.astype(np.float64) - before
  return float(np.abs(np.diff(added, axis=0))[:, inside].mean())
