"""How well two tissues can be told apart, and what became of one."""

import math

import numpy as np
from jaxtyping import Num

_BINS = 256
_WHITE = 255  # of 8-bit grey levels


def gcnr(
  first: Num[np.ndarray, ' pixels'], second: Num[np.ndarray, ' others']
) -> float:
  """Return the generalised contrast-to-noise ratio, from 0 to 1.

  One minus the overlap of the two histograms (Rodriguez-Molares et al. 2020,
  Eq. 9), 256 shared bins over the pooled range. No monotone change of grey
  levels moves it, so contrast stretching cannot fake it.

  Raises:
    ValueError: a region is empty.
  """
  if not first.size or not second.size:
    raise ValueError('gCNR of an empty region')
  pooled = (
    min(first.min(), second.min()),
    max(first.max(), second.max()),
  )
  shares = [
    np.histogram(region, _BINS, pooled)[0] / region.size
    for region in (first, second)
  ]
  return float(1.0 - np.minimum(*shares).sum())


def cnr(
  first: Num[np.ndarray, ' pixels'], second: Num[np.ndarray, ' others']
) -> float:
  """Return the contrast-to-noise ratio, linear and signed.

  The difference of the means over the root of the summed population
  variances, as DehazingEcho2025 has it; positive where `first` is brighter.

  Raises:
    ValueError: a region is empty, or both are constant.
  """
  contrast, variance = _moments(first, second)
  return contrast / math.sqrt(variance)


def cnr_db(
  first: Num[np.ndarray, ' pixels'], second: Num[np.ndarray, ' others']
) -> float:
  """Return the contrast-to-noise ratio in dB, unsigned.

  The absolute difference of the means over the root of the mean variance, as
  the toolbox zea has it: 3 dB above that of `cnr`, which it must not be
  compared with.

  Raises:
    ValueError: a region is empty, both are constant, or their means are equal.
  """
  contrast, variance = _moments(first, second)
  if not contrast:
    raise ValueError('CNR in dB of regions with equal means')
  return 20 * math.log10(abs(contrast) / math.sqrt(variance / 2))


def ks(
  before: Num[np.ndarray, ' pixels'], after: Num[np.ndarray, ' others']
) -> float:
  """Return how far grey levels of one region moved, from 0 to 1.

  The two-sample Kolmogorov-Smirnov statistic: the largest distance of the two
  cumulative distributions.

  Raises:
    ValueError: the region is empty.
  """
  if not before.size or not after.size:
    raise ValueError('KS of an empty region')
  levels = np.union1d(before, after)
  shares = [
    np.searchsorted(np.sort(region), levels, 'right') / region.size
    for region in (before, after)
  ]
  return float(abs(shares[0] - shares[1]).max())


def speckle_snr(
  region: Num[np.ndarray, ' pixels'], *, dynamic_range_db: float = 60.0
) -> float:
  """Return mean over deviation of the envelope in one homogeneous tissue.

  Fully developed (Rayleigh) speckle has sqrt(pi / (4 - pi)) = 1.91; more is
  smoothed, less is mixed or strewn with bright points.

  Args:
    region: 8-bit grey levels, 0 to 255.
    dynamic_range_db: what black lies below white. Files do not tell it and
      scanners bend the curve besides, so it is assumed: compare values of one
      scanner's pictures only.

  Raises:
    ValueError: the region is empty or constant.
  """
  if not region.size:
    raise ValueError('speckle SNR of an empty region')
  if region.min() == region.max():
    raise ValueError('speckle SNR of a constant region')
  decibels = (region.astype(np.float64) / _WHITE - 1) * dynamic_range_db
  envelope = 10 ** (decibels / 20)
  return float(envelope.mean() / envelope.std())


def _moments(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
  """Return the difference of the means and the sum of the variances."""
  if not first.size or not second.size:
    raise ValueError('CNR of an empty region')
  first, second = first.astype(np.float64), second.astype(np.float64)
  variance = float(first.var() + second.var())
  if not variance:
    raise ValueError('CNR of two constant regions')
  return float(first.mean() - second.mean()), variance
