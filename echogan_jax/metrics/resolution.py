"""How fine the detail is that an image shares with its paired truth."""

import numpy as np
from jaxtyping import Bool, Float64, UInt8
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage

Frames = UInt8[np.ndarray, 'batch height width']
Masks = Bool[np.ndarray, 'batch height width']

_SOFT = 2.0  # pixels: deviation of the blur that softens the sector's edge
_INVISIBLE = 1.0  # variance of white noise that is no structure


def frc(
  frames: Frames, truth: Frames, inside: Masks
) -> Float64[np.ndarray, ' batch']:
  """Return the mean of `frc_map` over its covered patches, cycles/pixel.

  Raises:
    ValueError: no patch of an image is covered.
  """
  found = frc_map(frames, truth, inside)
  covered = np.isfinite(found)
  if not covered.any((1, 2)).all():
    raise ValueError('Fourier ring correlation without a patch in the sector')
  return np.mean(found, (1, 2), where=covered)


def frc_map(
  frames: Frames,
  truth: Frames,
  inside: Masks,
  *,
  patch: int = 32,
  threshold: float = 0.5,
) -> Float64[np.ndarray, 'batch rows columns']:
  """Return up to which frequency each patch is the truth's, cycles/pixel.

  Fourier ring correlation (Saxton and Baumeister 1982) of patches (sFRC,
  arXiv 2603.04673): spectra are correlated ring by ring, and the value is
  where the correlation first falls below the threshold, between the rings
  interpolated; 0.5, the finest there is, where it never does. What was
  invented or lost anywhere in a patch lowers its value.

  Patches overlap by half or more and lie evenly from edge to edge, under a
  Hann window that also fades at the sector's edge. Rings are 1 / patch wide.
  White noise of one grey level is taken as common to both: what neither
  patch shows (rounding, flatness) is agreed upon, so equal flat patches have
  0.5. Independent patches have about 1 / patch or less, never quite 0.

  Args:
    frames: what is judged.
    truth: what it should be.
    inside: the sector; nothing outside it counts.
    patch: side in pixels; in smaller images the largest even one that fits.
    threshold: of the correlation, in 0..1.

  Returns:
    One value a patch; NaN is `not covered`: less than half in the sector.

  Raises:
    ValueError: the patch or the image is narrower than 4 pixels.
  """
  patch = min(patch, *frames.shape[1:]) // 2 * 2
  if patch < 4:
    raise ValueError('Fourier ring correlation needs 4 pixels a side')
  soft = fade(inside)
  hann = np.hanning(patch + 2)[1:-1]
  covered = _patches(soft > 0, patch).mean((3, 4)) >= 0.5
  window = _patches(soft, patch)[covered] * np.outer(hann, hann)
  spectra = (
    _spectrum(_patches(images, patch)[covered], window)
    for images in (frames, truth)
  )
  found = np.full(covered.shape, np.nan)
  if not covered.any():
    return found
  correlation = _rings(*spectra, np.sum(window**2, (1, 2)))
  found[covered] = _first_below(correlation, threshold) / patch
  return found


def fade(
  inside: Bool[np.ndarray, '*batch height width'],
) -> Float64[np.ndarray, '*batch height width']:
  """Return weights of a sector that sink to 0 within 4 pixels of its edge.

  A step there would have every frequency and drown what a spectrum is for;
  the picture's own border stays as it is.
  """
  soft = ndimage.gaussian_filter(
    inside.astype(np.float64), _SOFT, mode='nearest', axes=(-2, -1)
  )
  return inside * np.clip(2 * soft - 1, 0, 1)


def _patches(images: np.ndarray, patch: int) -> np.ndarray:
  """Return [batch, rows, columns, patch, patch]."""
  rows, columns = (
    np.linspace(0, side - patch, -(-2 * (side - patch) // patch) + 1)
    .round()
    .astype(int)
    for side in images.shape[1:]
  )
  views = sliding_window_view(images, (patch, patch), (1, 2))
  return views[:, rows[:, None], columns]


def _spectrum(level: np.ndarray, window: np.ndarray) -> np.ndarray:
  total = np.sum(window, (1, 2), keepdims=True)
  mean = np.sum(level * window, (1, 2), keepdims=True) / total
  return np.fft.rfft2((level - mean) * window)


def _rings(
  first: np.ndarray, second: np.ndarray, noise: np.ndarray
) -> np.ndarray:
  """Return the correlation [patches, rings] from the first ring beyond 0."""
  side = first.shape[1]
  y = np.fft.fftfreq(side, 1 / side)
  x = np.arange(side // 2 + 1)
  away = np.rint(np.hypot(y[:, None], x)).ravel()
  rings = away[:, None] == np.arange(1, side // 2 + 1)
  # half of the plane stands for all of it, but for its two own columns
  twice = np.where((x == 0) | (x == side // 2), 1.0, 2.0)
  rings = rings * np.tile(twice, side)[:, None]
  common = _INVISIBLE * noise[:, None] * rings.sum(0)
  shared, power, other = (
    (a * b.conj()).real.reshape(len(a), -1) @ rings + common
    for a, b in ((first, second), (first, first), (second, second))
  )
  return shared / np.sqrt(power * other)


def _first_below(correlation: np.ndarray, threshold: float) -> np.ndarray:
  """Return the ring, with its fraction, where the correlation falls below."""
  # of the mean, ring 0, nothing is asked
  correlation = np.pad(correlation, ((0, 0), (1, 0)), constant_values=1.0)
  below = correlation < threshold
  ring = below.argmax(1)
  each = np.arange(len(ring))
  before, after = correlation[each, ring - 1], correlation[each, ring]
  with np.errstate(invalid='ignore', divide='ignore'):
    crossing = ring - (threshold - after) / (before - after)
  return np.where(below.any(1), crossing, correlation.shape[1] - 1)
