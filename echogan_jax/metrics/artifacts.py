"""What a network adds to a picture that no scanner would."""

import itertools
import math

import numpy as np
from jaxtyping import Bool, Shaped, UInt8

_PERIOD = 4  # of two upsampling stages; one stage leaves 2
_PEAK = 1  # bins around a peak that belong to it
_RING = (3, 4)  # bins away: beyond the Hann window's leakage
_LEAST = _PERIOD * (_PEAK + _RING[1] + 1)  # a ring then touches no other peak
_ROUNDING = 1 / 12  # variance of rounding to a grey level


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
  ratios = []
  for y, x in itertools.product(range(_PERIOD), repeat=2):
    if y or x:
      rows, columns = y * len(power) // 4 + near, x * power.shape[1] // 4 + near
      around = power.take(rows, 0, mode='wrap').take(columns, 1, mode='wrap')
      ring = np.median(around[away >= _RING[0]]) / math.log(2)
      ratios.append((around[away <= _PEAK].mean() + 1) / (ring + 1))
  return 10 * math.log10(np.mean(ratios))


def _power(
  frame: Shaped[np.ndarray, 'height width'],
  inside: Bool[np.ndarray, 'height width'],
) -> np.ndarray:
  """Return the spectrum's power in units of what rounding puts there."""
  if not inside.any():
    raise ValueError('checkerboard of an empty sector')
  box = tuple(
    slice(found.min(), found.max() + 1) for found in np.nonzero(inside)
  )
  inside = inside[box]
  window = np.outer(*(np.hanning(side + 2)[1:-1] for side in inside.shape))
  window = window * inside
  level = frame[box].astype(np.float64)
  level -= level[inside].mean()
  # padded, so that the grid's frequencies fall on bins
  grid = [max(_LEAST, -(-side // _PERIOD) * _PERIOD) for side in inside.shape]
  spectrum = np.fft.fft2(level * window, grid)
  return np.abs(spectrum) ** 2 / (_ROUNDING * np.sum(window**2))
