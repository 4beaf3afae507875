"""The insonified sector: find it, crop frames to it, paste them back.

Training, evaluation and enhancement all crop with `crop` and only
`paste` writes into a frame, so pixels outside the sector stay the input's.
"""

import dataclasses
import functools
import itertools
import json

import numpy as np
from jaxtyping import Bool, Real, UInt8
from PIL import Image

from echogan_jax.command import BadInput
from echogan_jax.data import fan, limits, outline
from echogan_jax.data.clip import Clip, Region

_KEPT = 0.9  # of a fan that a region of the header has to hold
_BORDERED = 0.1  # of a region's border may touch tissue unquestioned


@dataclasses.dataclass(frozen=True)
class Sector:
  """A sector in the pixel grid of its source frames.

  Attributes:
    height: rows of the source frame.
    width: columns of the source frame.
    box: x0, y0 and side of the square that is cropped, in source pixels; it
      may reach over the frame's edge, where it is filled with black.
    polygon: corners (x, y) of the outline, in source pixels.
  """

  height: int
  width: int
  box: tuple[int, int, int]
  polygon: tuple[tuple[int, int], ...]

  def mask(self) -> Bool[np.ndarray, 'height width']:
    """Return which source pixels lie inside, outline included."""
    crossed = np.zeros((self.height, self.width + 1), bool)
    outline = np.zeros((self.height, self.width), bool)
    corners = self.polygon[-1:] + self.polygon
    for pair in itertools.pairwise(corners):
      (x0, y0), (x1, y1) = sorted(pair, key=lambda corner: corner[1])
      if y0 == y1:
        outline[y0, min(x0, x1) : max(x0, x1) + 1] = True
        continue
      rows = np.arange(y0, y1 + 1)
      left, rest = np.divmod((rows - y0) * (x1 - x0), y1 - y0)
      on = rest == 0
      outline[rows[on], x0 + left[on]] = True
      crossed[rows[:-1], (x0 + left + ~on)[:-1]] ^= True
    return np.logical_xor.accumulate(crossed, axis=1)[:, :-1] | outline

  def to_json(self) -> str:
    """Return the sector as one line for the manifest."""
    return json.dumps(dataclasses.asdict(self), separators=(',', ':'))

  @classmethod
  def from_json(cls, text: str) -> 'Sector':
    """Return the sector that `to_json` wrote.

    Raises:
      BadInput: it did not, or the sector is larger than any frame.
    """
    try:
      found = json.loads(text)
      box, polygon = tuple(found['box']), tuple(map(tuple, found['polygon']))
      made = cls(found['height'], found['width'], box, polygon)
      made._check()
    except (ValueError, TypeError, KeyError, RecursionError) as error:
      raise BadInput(f'no sector in the manifest: {error}') from error
    return made

  def _check(self) -> None:
    xs, ys = zip(*self.polygon, strict=True)
    sides = self.height, self.width, self.box[2]
    if not all(type(n) is int for n in (*sides, *self.box, *xs, *ys)):
      raise TypeError('a coordinate is no whole number')
    if why := limits.excess(1, *(max(*sides, *map(abs, self.box)),) * 2):
      raise ValueError(why)
    if min(*sides, min(xs) + 1, min(ys) + 1) < 1:
      raise ValueError('a coordinate is negative')
    if max(xs) >= self.width or max(ys) >= self.height:
      raise ValueError('it lies outside its frame')


def find(clip: Clip) -> Sector:
  """Return the sector of a clip: the fan that its pixels show.

  Where no fan explains them (a linear probe, a picture cut out of a fan), the
  sector is the convex hull of what lights up.

  Args:
    clip: its `region`, if any, bounds the search, unless the pixels show a
      fan that it cuts off or misses.

  Raises:
    BadInput: nothing large is brighter than black.
  """
  light = outline.gather(clip.frames)
  height, width = clip.frames.shape[1:3]
  search = functools.partial(outline.search, lossy=clip.lossy)
  found = search(light.within(clip.region)) if clip.region else None
  box = clip.region or (0, 0, width - 1, height - 1)
  if found is None or found.fan is None or found.bordered > _BORDERED:
    whole = search(light)
    if found is None or whole and _misses(box, whole.fan, height, width):
      found, box = whole, (0, 0, width - 1, height - 1)
  if found is None:
    raise BadInput('no ultrasound sector found: every frame is black')
  corners = found.hull
  if found.fan is not None:
    x0, _, x1, y1 = box
    y0 = max(box[1], found.top)
    local = found.fan.scaled(1, -x0, -y0)
    corners = outline.corners(local, y1 - y0 + 1, x1 - x0 + 1) + (x0, y0)
  polygon = tuple((int(x), int(y)) for x, y in corners)
  return Sector(height, width, _square(corners), polygon)


def _misses(
  box: Region, whole: fan.Fan | None, height: int, width: int
) -> bool:
  """Return whether a region misses much of a fan that the pixels show."""
  if whole is None:
    return False
  mask = whole.mask(height, width)
  x0, y0, x1, y1 = box
  held = mask[y0 : y1 + 1, x0 : x1 + 1].sum()
  return bool(held < _KEPT * mask.sum())


def check(clip: Clip, sector: Sector) -> tuple[str, ...]:
  """Return what the sector of a clip says about its header.

  Args:
    clip: as it was given to `find`.
    sector: what `find` returned.
  """
  if clip.region is None:
    known = clip.header is not None
    return ('the sector was found without the header',) if known else ()
  corners, box = np.array(sector.polygon), np.array(clip.region)
  if (corners >= box[:2]).all() and (corners <= box[2:]).all():
    return ()
  return ('the region in the header does not fit the image',)


def _square(points: np.ndarray) -> tuple[int, int, int]:
  low, high = points.min(axis=0), points.max(axis=0) + 1
  side = int((high - low).max())
  x0, y0 = (low - (side - (high - low)) // 2).tolist()
  return x0, y0, side


def crop(
  frames: Real[np.ndarray, 'time height width'], sector: Sector, size: int
) -> Real[np.ndarray, 'time size size']:
  """Cut the sector's square out of grey frames and scale it to `size`.

  Pixels outside the sector become 0; the aspect ratio is kept.

  Raises:
    BadInput: the frames have another size than the sector's.
  """
  if frames.shape[1:] != (sector.height, sector.width):
    raise BadInput(
      f'frames of {frames.shape[2]}x{frames.shape[1]} do not fit a sector of '
      f'{sector.width}x{sector.height}'
    )
  black, inside = np.zeros((), frames.dtype), sector.mask()
  result = np.empty((len(frames), size, size), frames.dtype)
  for crop, frame in zip(result, frames, strict=True):
    # the square of a long, low frame is many times as large: one at a time
    square = _cut(np.where(inside, frame, black)[None], sector)
    crop[...] = resize(square, size)[0]
  return result


def crop_mask(sector: Sector, size: int) -> Bool[np.ndarray, 'size size']:
  """Return the sector's mask in the grid of `crop(…, size)`."""
  mask = sector.mask()[None].astype(np.uint8) * 255
  return resize(_cut(mask, sector), size)[0] > 127


def _cut(frames: np.ndarray, sector: Sector) -> np.ndarray:
  side = sector.box[2]
  square = np.zeros((len(frames), side, side), frames.dtype)
  in_frame, in_square = _overlap(sector)
  square[in_square] = frames[in_frame]
  return square


def _overlap(sector: Sector) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
  """Return where frames and square overlap, in the grid of each."""
  x0, y0, side = sector.box
  top, left = max(y0, 0), max(x0, 0)
  bottom, right = min(y0 + side, sector.height), min(x0 + side, sector.width)
  return (
    np.s_[:, top:bottom, left:right],
    np.s_[:, top - y0 : bottom - y0, left - x0 : right - x0],
  )


def resize(frames: np.ndarray, size: int) -> np.ndarray:
  """Resample square frames (bilinear, antialiased); equal size is exact."""
  if frames.shape[1:] == (size, size):
    return frames
  return np.stack(
    [
      np.asarray(Image.fromarray(f).resize((size, size), Image.BILINEAR))
      for f in frames
    ]
  )


def paste(
  before: UInt8[np.ndarray, 'time size size'],
  after: UInt8[np.ndarray, 'time size size'],
  sector: Sector,
  frames: UInt8[np.ndarray, 'time height width'],
) -> UInt8[np.ndarray, 'time height width']:
  """Write what changed between `before` and `after` back into the frames.

  The change is scaled to the source's resolution and added inside the sector,
  so detail that the crop's scale cannot hold stays the input's own. At native
  scale the sector becomes `after` exactly.

  Args:
    before: `crop(grey, sector, size)`.
    after: the same frames, enhanced.
    sector: where they were cut.
    frames: the source frames in grey; not modified.
  """
  in_frame, in_square = _overlap(sector)
  inside, result = sector.mask()[None][in_frame], frames.copy()
  for old, new, frame in zip(before, after, result, strict=True):
    change = new[None].astype(np.float32) - old
    window = frame[None][in_frame]
    moved = window + resize(change, sector.box[2])[in_square]
    window[inside] = np.clip(np.rint(moved), 0, 255)[inside]
  return result
