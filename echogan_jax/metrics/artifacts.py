"""What a network adds to a picture that no scanner would."""

import math

import numpy as np
from jaxtyping import Bool, Shaped, UInt8

from echogan_jax.metrics.resolution import fade

_PERIOD = 4  # of two upsampling stages; one stage leaves 2
_PEAK = 1  # bins around a peak that belong to it
_RING = (3, 4)  # bins away: beyond the Hann window's leakage
_LEAST = _PERIOD * (_PEAK + _RING[1] + 1)  # a ring then touches no other peak
_ROUNDING = 1 / 12  # variance of rounding to a grey level
_HIGH = 0.35  # cycles/pixel, beyond what a scanner's pulse and beam resolve
_SLIGHT = 1.0  # pixels: a blur against noise and speckle
_NEIGHBOURHOOD = 1 / 12  # of the longer side: deviation of the local window
_CONTRAST = 2.0  # grey levels of local deviation, less of which is flat


def checkerboard_db(
  frame: UInt8[np.ndarray, 'height width'],
  inside: Bool[np.ndarray, 'height width'],
) -> float:
  """Return how far a grid of period 2 or 4 pixels stands out, in dB.

  Power of the sector under a Hann window, at each frequency whose parts are
  multiples of 1/4 cycles per pixel (0 alone left out), over that of the ring
  around it; the mean of these ratios. A picture without a grid has about 0:
  the median of a ring stands for its mean as in noise, log 2 times. Below the
  power of rounding nothing counts, so a flat picture has 0 exactly.

  The causes are transposed convolutions and strided gradients (Odena et al.
  2016); the measure is ours, not from a paper: compare it with the input's.

  Raises:
    ValueError: the sector is empty.
  """
  power = _power(frame, inside)
  near = np.arange(-_RING[1], _RING[1] + 1)
  away = np.maximum(abs(near[:, None]), abs(near))
  rows, columns = (
    np.arange(_PERIOD)[:, None] * side // _PERIOD + near for side in power.shape
  )
  # [peaks, bins around]; the first peak is the mean's
  around = power[rows[:, None, :, None], columns[None, :, None, :]]
  around = around.reshape(_PERIOD**2, -1)[1:]
  peak = around[:, away.ravel() <= _PEAK].mean(1)
  ring = np.median(around[:, away.ravel() >= _RING[0]], 1) / math.log(2)
  return 10 * math.log10(np.mean((peak + 1) / (ring + 1)))


def high_frequency_db(
  frame: UInt8[np.ndarray, 'height width'],
  inside: Bool[np.ndarray, 'height width'],
) -> float:
  """Return the share of power above 0.35 cycles/pixel, in dB.

  Of the sector without its mean, under a Hann window and faded at its edge, up
  to the corners of the spectrum. Noise put there is how cycle consistency hides
  its codes, and blur has too little: read it against good pictures' value.

  White noise has -2.1 dB. Less power than rounding has counts as rounding, so
  a flat picture has that too.

  Raises:
    ValueError: the sector is empty, or narrower than the fading.
  """
  power = _power(frame, fade(inside))
  y, x = (np.fft.fftfreq(side) for side in power.shape)
  high = power[np.hypot(y[:, None], x) > _HIGH]
  part, whole = (max(bins.sum(), bins.size) for bins in (high, power))
  return 10 * math.log10(part / whole)


def inversion(
  before: UInt8[np.ndarray, 'height width'],
  after: UInt8[np.ndarray, 'height width'],
  inside: Bool[np.ndarray, 'height width'],
) -> float:
  """Return the share of the sector where bright was turned dark, 0 to 1.

  There the slightly blurred pictures correlate negatively under a Gaussian
  window of a twelfth of the side, and both have contrast: where either is
  flat nothing can be said, and it does not count as inverted. Unrelated
  pictures have about a half by chance.

  Raises:
    ValueError: the sector is empty.
  """
  if not inside.any():
    raise ValueError('inversion in an empty sector')
  wide = max(inside.shape) * _NEIGHBOURHOOD
  pair = np.stack([before, after]).astype(np.float64)
  pair = _local(pair, inside, _SLIGHT)
  mean = _local(pair, inside, wide)
  variance = _local(pair**2, inside, wide) - mean**2
  covariance = _local(pair.prod(0), inside, wide) - mean.prod(0)
  inverted = (covariance < 0) & (variance > _CONTRAST**2).all(0)
  return float(inverted[inside].mean())


def _local(
  maps: np.ndarray, inside: np.ndarray, deviation: float
) -> np.ndarray:
  """Return the mean of the sector around each pixel, Gaussian weights."""
  # products with small matrices: far faster than filtering by wide kernels
  rows, columns = (
    np.exp(
      -((np.arange(side)[:, None] - np.arange(side)) ** 2) / 2 / deviation**2
    )
    for side in inside.shape
  )
  weights = rows @ inside @ columns
  found = rows @ (maps * inside) @ columns
  return np.divide(found, weights, out=np.zeros_like(found), where=weights > 0)


def _power(
  frame: Shaped[np.ndarray, 'height width'],
  weights: Shaped[np.ndarray, 'height width'],
) -> np.ndarray:
  """Return the spectrum's power in units of what rounding puts there."""
  if not weights.any():
    raise ValueError('spectrum of an empty sector, or of too narrow a one')
  box = tuple(
    slice(found.min(), found.max() + 1) for found in np.nonzero(weights)
  )
  weights = weights[box]
  window = np.outer(*(np.hanning(side + 2)[1:-1] for side in weights.shape))
  window = window * weights
  level = frame[box].astype(np.float64)
  level -= np.average(level, weights=weights)
  # padded, so that the grid's frequencies fall on bins
  grid = [max(_LEAST, -(-side // _PERIOD) * _PERIOD) for side in weights.shape]
  spectrum = np.fft.fft2(level * window, grid)
  return np.abs(spectrum) ** 2 / (_ROUNDING * np.sum(window**2))
