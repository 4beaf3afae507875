"""Classical filters: what a learned enhancement has to beat.

Every default is the best of a small grid by PSNR + SSIM (SSIM in dB too, as
-10 log10(1 - SSIM)) on 24 simulated patients of 128 pixels, from a seed that
nothing else uses. The phantom's truth keeps its speckle, so the mildest setting
won almost everywhere, and none came nearer to the truth than the input by both.

BM3D is left out: its package on PyPI is licensed for non-commercial use only.
"""

import importlib
import types
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

from echogan_jax.command import BadInput

Frames = UInt8[np.ndarray, 'batch height width']
Masks = Bool[np.ndarray, 'batch height width']
Levels = Float[np.ndarray, 'batch height width']  # grey levels in [0, 1]


def enhance(name: str, frames: Frames, inside: Masks) -> Frames:
  """Filter inside the sector by the method of that name.

  Pixels outside stay as they are and do not reach those inside.

  Args:
    name: one of METHODS.
    frames: grey levels.
    inside: which pixels are in the sector.

  Raises:
    BadInput: unknown name, or scikit-image is not installed.
  """
  if name not in METHODS:
    raise BadInput(f'baseline {name!r} is not one of {", ".join(METHODS)}')
  return METHODS[name](frames, inside)


def gamma(levels: Levels, *, exponent: float = 1.4) -> Levels:
  """Darken by a power of the grey level, as any viewer can."""
  return levels**exponent


def median(levels: Levels, *, size: int = 3) -> Levels:
  """Take the median of the square of `size` pixels around each pixel."""
  return ndimage.median_filter(levels, (1, size, size), mode='nearest')


def bilateral(
  levels: Levels, *, sigma_level: float = 0.05, sigma_pixels: float = 1.0
) -> Levels:
  """Average over what is near in place and level (Tomasi & Manduchi 1998)."""
  return _each(
    _skimage('restoration').denoise_bilateral,
    levels,
    sigma_color=sigma_level,
    sigma_spatial=sigma_pixels,
    mode='edge',
  )


def nlmeans(
  levels: Levels, *, strength: float = 0.03, patch: int = 7, reach: int = 6
) -> Levels:
  """Average over pixels whose patches look alike (Buades et al. 2005).

  Args:
    levels: in [0, 1].
    strength: difference of patches that still counts as alike, in levels.
    patch: pixels to a side.
    reach: how far away patches are looked for, in pixels.
  """
  return _each(
    _skimage('restoration').denoise_nl_means,
    levels,
    h=strength,
    patch_size=patch,
    patch_distance=reach,
  )


def clahe(levels: Levels, *, clip: float = 0.005, tiles: int = 2) -> Levels:
  """Equalise histograms tile by tile, contrast limited (Zuiderveld 1994).

  Args:
    levels: in [0, 1].
    clip: the share of a tile's pixels that one of 256 bins may hold, in whole
      pixels; below 1/256 nothing is equalised, and the grid kept to what
      still equalises a picture of 64 pixels.
    tiles: to a side of the picture.
  """
  equalise = _skimage('exposure').equalize_adapthist
  sides = [max(side // tiles, 1) for side in levels.shape[1:]]

  def spread(level: np.ndarray) -> np.ndarray:
    if not np.ptp(level):  # equalised, black would become white
      return level
    return equalise(level, kernel_size=sides, clip_limit=clip)

  return _each(spread, levels)


def tv(levels: Levels, *, weight: float = 0.02) -> Levels:
  """Trade nearness to the picture for total variation (Chambolle 2004)."""
  smooth = _skimage('restoration').denoise_tv_chambolle
  return _each(smooth, levels, weight=weight)


def srad(
  levels: Levels,
  *,
  q0: float = 0.25,
  steps: int = 5,
  dynamic_range_db: float = 60.0,
) -> Levels:
  """Diffuse where variation is no more than speckle's (Yu & Acton 2002).

  The paper's scheme, with q0(t) = q0 exp(-t / 6) as it has for ultrasound.
  Ours: log compression is undone first, as speckle multiplies echoes and not
  grey levels; c is clipped to [0, 1], beyond which the scheme is unstable.

  Args:
    levels: in [0, 1].
    q0: coefficient of variation of the speckle, at the start.
    steps: of 1/4 in the paper's time.
    dynamic_range_db: of the display, between level 0 and 1.
  """
  echo = 10 ** (levels * (dynamic_range_db / 20))
  for number in range(steps):
    below = np.diff(echo, axis=1, append=echo[:, -1:])
    above = np.diff(echo, axis=1, prepend=echo[:, :1])
    right = np.diff(echo, axis=2, append=echo[:, :, -1:])
    left = np.diff(echo, axis=2, prepend=echo[:, :, :1])
    slope = (below**2 + above**2 + right**2 + left**2) / echo**2
    bend = (below - above + right - left) / echo
    variation = (slope / 2 - bend**2 / 16) / (1 + bend / 4) ** 2
    speckle = (q0 * np.exp(-number / 24)) ** 2
    excess = (variation - speckle) / (speckle * (1 + speckle))
    c = np.clip(1 / (1 + excess), 0, 1)
    flow = np.roll(c, -1, 1) * below + np.roll(c, -1, 2) * right
    echo = echo + (flow - c * (above + left)) / 16
  return 20 * np.log10(echo) / dynamic_range_db


def _skimage(module: str) -> types.ModuleType:
  try:
    return importlib.import_module(f'skimage.{module}')
  except ImportError as error:
    raise BadInput(
      "this baseline needs scikit-image: pip install 'echogan_jax[baselines]'"
    ) from error


def _each(smooth: Callable[..., np.ndarray], levels: Levels, **how) -> Levels:
  return np.stack([smooth(level, **how) for level in levels])


def _within(smooth: Callable[[Levels], Levels]) -> Callable:
  """Let a filter of whole pictures see and change the sector only."""

  def method(frames: Frames, inside: Masks) -> Frames:
    # else the dark around the sector would bleed into its rim
    filled = np.stack(list(map(_fill, frames, inside)))
    found = smooth(filled.astype(np.float32) / 255)
    found = np.clip(np.rint(found * 255), 0, 255).astype(np.uint8)
    return np.where(inside, found, frames)

  return method


def _fill(
  frame: UInt8[np.ndarray, 'height width'],
  inside: Bool[np.ndarray, 'height width'],
) -> UInt8[np.ndarray, 'height width']:
  """Give every pixel outside the level of the nearest one inside."""
  if not inside.any():
    return frame
  rows, columns = ndimage.distance_transform_edt(
    ~inside, return_distances=False, return_indices=True
  )
  return frame[rows, columns]


def _unchanged(frames: Frames, inside: Masks) -> Frames:
  return frames


METHODS: dict[str, Callable[[Frames, Masks], Frames]] = {
  'input': _unchanged,
  'gamma': _within(gamma),
  'median': _within(median),
  'bilateral': _within(bilateral),
  'nlmeans': _within(nlmeans),
  'clahe': _within(clahe),
  'tv': _within(tv),
  'srad': _within(srad),
}
