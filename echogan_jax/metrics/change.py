"""What the network changed, against what it should have changed.

With the truth known, d = truth - input is what should change and
c = output - input is what did. c has a part along d, which undoes the
degradation, and a part beside it, which nobody asked for:

  recovery  r = <c, d> / <d, d>          0 did nothing, 1 undid it all
  invention i = ||c - r d|| / ||d||      0 invented nothing

Both together are the gain in PSNR, -10 log10((1 - r)² + i²): two networks of
equal PSNR can differ in how much they invent. The measure is ours.
"""

import numpy as np
from jaxtyping import Bool, Float64, UInt8
from scipy import ndimage

Frame = UInt8[np.ndarray, 'height width']
Mask = Bool[np.ndarray, 'height width']
Map = Float64[np.ndarray, 'height width']

_LEAST = 1.0  # grey level: below it the ratios are of rounding
_FLAT = 1e-9  # deviation in grey levels below which nothing correlates


def recovery(before: Frame, after: Frame, truth: Frame, inside: Mask) -> float:
  """Return r, the share of the degradation that was undone.

  Args:
    before: the input.
    after: the output.
    truth: what the input would have been without degradation.
    inside: the region that counts, the sector or a tissue.

  Raises:
    ValueError: there the input is within a grey level of the truth.
  """
  change, degradation = _changes(before, after, truth, inside)
  return float(change @ degradation / (degradation @ degradation))


def invention(before: Frame, after: Frame, truth: Frame, inside: Mask) -> float:
  """Return i, the size of what was changed beside that; see `recovery`."""
  change, degradation = _changes(before, after, truth, inside)
  power = degradation @ degradation
  beside = change - (change @ degradation / power) * degradation
  return float(np.sqrt(beside @ beside / power))


def maps(
  before: Frame, after: Frame, truth: Frame, inside: Mask
) -> tuple[Map, Map]:
  """Return where the recovery, and where the invention comes from.

  The mean of the first over the region is the recovery; the root of the mean
  square of the second, which is signed, is the invention. 0 outside.

  Raises:
    ValueError: as `recovery`.
  """
  change, degradation = _changes(before, after, truth, inside)
  power = np.mean(degradation**2)
  along = change * degradation / power
  beside = (change - along.mean() * degradation) / np.sqrt(power)
  found = np.zeros((2, *inside.shape))
  found[0][inside], found[1][inside] = along, beside
  return found[0], found[1]


def _changes(
  before: Frame, after: Frame, truth: Frame, inside: Mask
) -> tuple[np.ndarray, np.ndarray]:
  start, end, goal = (
    frame[inside].astype(np.float64) for frame in (before, after, truth)
  )
  if not start.size or np.sqrt(np.mean((goal - start) ** 2)) < _LEAST:
    raise ValueError(
      'the input equals its truth to a grey level: there is nothing to recover'
    )
  return end - start, goal - start


def correlation(before: Frame, after: Frame, inside: Mask) -> float:
  """Return Pearson's correlation of output and input.

  Raises:
    ValueError: one of them is flat.
  """
  x, y = (frame[inside].astype(np.float64) for frame in (before, after))
  if not x.size or min(x.std(), y.std()) < _FLAT:
    raise ValueError('a flat picture correlates with nothing')
  return float(np.corrcoef(x, y)[0, 1])


def difference(before: Frame, after: Frame, inside: Mask) -> float:
  """Return the mean absolute change of a pixel, in grey levels.

  Raises:
    ValueError: the region is empty.
  """
  if not inside.any():
    raise ValueError('the change of an empty region')
  moved = after[inside].astype(np.float64) - before[inside]
  return float(np.abs(moved).mean())


def abruptness(before: Frame, after: Frame, inside: Mask) -> Map:
  """Return how far the change departs from that around it, in grey levels.

  Haze and shadow are smooth, and so is taking them away; structure that came
  or went is not. The absolute difference of the change and its local mean,
  slightly blurred; 0 outside. Of the signs of invention that need no truth,
  this was the best we found (see `evaluation.expectation`).
  """
  change = after.astype(np.float64) - before
  wide, fine = len(inside) / 16, len(inside) / 42
  apart = np.abs(change - _local(change, inside, wide))
  return _local(apart, inside, fine) * inside


def _local(values: Map, inside: Mask, reach: float) -> Map:
  """Return the mean around each pixel, of what lies inside."""

  def blur(image: Map) -> Map:
    return ndimage.gaussian_filter(image, reach, mode='constant')

  share = np.maximum(blur(inside.astype(np.float64)), 1e-6)
  return blur(values * inside) / share
