"""The insonified sector: find it, crop frames to it, paste them back.

Training, evaluation and enhancement all crop with `crop` and only
`paste` writes into a frame, so pixels outside the sector stay the input's.
"""

import dataclasses
import json

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageDraw
from scipy import ndimage, spatial

from echogan_jax.command import BadInput
from echogan_jax.data.clip import Clip, luma

# grey levels, mean over time: tissue in shadow is above black by about 1, but
# so is JPEG noise, in blocks of 8 pixels that hold the fan's edge
_DIM = 1
_BRIGHT = 6
_BLOCK = 8
_STROKE = 200  # rows of a frame for each pixel of half a stroke of text
_SMALL = 0.15  # of the largest part: below are icons, colour bars and marks


@dataclasses.dataclass(frozen=True)
class Sector:
  """A convex sector in the pixel grid of its source frames.

  Attributes:
    height: rows of the source frame.
    width: columns of the source frame.
    box: x0, y0 and side of the square that is cropped, in source pixels; it
      may reach over the frame's edge, where it is filled with black.
    polygon: corners (x, y) of the convex outline, in source pixels.
  """

  height: int
  width: int
  box: tuple[int, int, int]
  polygon: tuple[tuple[int, int], ...]

  def mask(self) -> Bool[np.ndarray, 'height width']:
    """Return which source pixels lie inside, outline included."""
    canvas = Image.new('1', (self.width, self.height))
    ImageDraw.Draw(canvas).polygon(self.polygon, fill=1, outline=1)
    return np.asarray(canvas, bool)

  def to_json(self) -> str:
    """Return the sector as one line for the manifest."""
    return json.dumps(dataclasses.asdict(self), separators=(',', ':'))

  @classmethod
  def from_json(cls, text: str) -> 'Sector':
    """Return the sector that `to_json` wrote."""
    found = json.loads(text)
    found['box'] = tuple(found['box'])
    found['polygon'] = tuple(map(tuple, found['polygon']))
    return cls(**found)


def find(clip: Clip) -> Sector:
  """Return the sector of a clip: the convex hull of what lights up.

  Bright pixels count, and dim ones that no bright pixel is near enough to
  have smeared there, in parts that are large and thick: text, marks and colour
  bars are neither.

  Args:
    clip: its `region`, if any, bounds the search.

  Raises:
    BadInput: nothing inside the region is brighter than black.
  """
  level = np.zeros(clip.frames.shape[1:3])
  for frame in clip.frames[:, None]:  # all at once would take a clip's 6-fold
    level += luma(frame)[0]
  level /= len(clip.frames)
  height, width = level.shape
  x0, y0, x1, y1 = clip.region or (0, 0, width - 1, height - 1)
  level[:y0], level[y1 + 1 :] = 0, 0
  level[:, :x0], level[:, x1 + 1 :] = 0, 0
  fan = _large_parts(level > _DIM)
  bright = ndimage.binary_opening(fan & (level > _BRIGHT))
  if bright.any():
    away = ndimage.distance_transform_cdt(~bright, 'chessboard') > _BLOCK
    fan = bright | fan & away
  rows, columns = np.nonzero(fan)
  points = np.stack([columns, rows], axis=1)
  try:
    hull = points[spatial.ConvexHull(points).vertices]
  except spatial.QhullError as error:
    raise BadInput('no ultrasound sector found: nothing but a line') from error
  polygon = tuple((int(x), int(y)) for x, y in hull)
  return Sector(height, width, _square(hull), polygon)


def _large_parts(lit: np.ndarray) -> np.ndarray:
  """Return the parts that hold together, small ones left out.

  Opening cuts off and clears strokes of text and tick marks; a chamber's dark
  blood may cut a fan in parts, of which none is small.
  """
  strokes = max(1, min(lit.shape) // _STROKE)
  opened = ndimage.binary_opening(lit, iterations=strokes)
  parts, count = ndimage.label(opened)
  if not count:
    raise BadInput('no ultrasound sector found: every frame is black')
  sizes = np.bincount(parts.flat)
  sizes[0] = 0
  large = (sizes > _SMALL * sizes.max())[parts]
  return ndimage.binary_dilation(large, iterations=strokes, mask=lit)


def _square(points: np.ndarray) -> tuple[int, int, int]:
  low, high = points.min(axis=0), points.max(axis=0) + 1
  side = int((high - low).max())
  x0, y0 = (low - (side - (high - low)) // 2).tolist()
  return x0, y0, side


def crop(
  frames: UInt8[np.ndarray, 'time height width'], sector: Sector, size: int
) -> UInt8[np.ndarray, 'time size size']:
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
  square = _cut(np.where(sector.mask(), frames, 0), sector)
  return resize(square, size)


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
  frames: UInt8[np.ndarray, 'time height width *channels'],
  strength: float = 1.0,
) -> UInt8[np.ndarray, 'time height width *channels']:
  """Write what changed between `before` and `after` back into the frames.

  The change is scaled to the source's resolution and added inside the sector,
  so detail that the crop's scale cannot hold stays the input's own. At native
  scale and strength 1 the sector becomes `after` exactly. Colour frames
  become grey inside the sector.

  Args:
    before: `crop(grey, sector, size)`.
    after: the same frames, enhanced.
    sector: where they were cut.
    frames: the source frames; not modified.
    strength: 0 gives the input back, 1 the full change.
  """
  change = (after.astype(np.float32) - before) * strength
  change = resize(change, sector.box[2])
  in_frame, in_square = _overlap(sector)
  inside = sector.mask()[in_frame[1:]]
  result = frames.copy()
  window = result[in_frame]
  moved = luma(window) + change[in_square]
  moved = np.clip(np.rint(moved), 0, 255).astype(np.uint8)
  if window.ndim == 4:
    moved, inside = moved[..., None], inside[..., None]
  window[...] = np.where(inside, moved, window)
  return result
