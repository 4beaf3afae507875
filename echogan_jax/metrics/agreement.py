"""How sure a comparison is: always by patient, never by frame.

Frames of one patient say the same thing many times, so each patient is one
value, the mean of what was measured in him. Intervals hold 95 %.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped
from scipy import stats

_Z = stats.norm.ppf(0.975)
_LIMITS = 1.96  # standard deviations, as Bland and Altman round them

Values = Sequence[float] | Shaped[np.ndarray, ' values']
Names = Sequence[str] | Shaped[np.ndarray, ' values']


class Interval(NamedTuple):
  """A mean over patients, the ends of its interval, and how many they are."""

  mean: float
  low: float
  high: float
  patients: int


class Agreement(NamedTuple):
  """The mean difference and the limits of agreement of `count` pairs."""

  bias: float
  low: float
  high: float
  count: int


class Estimate(NamedTuple):
  """A rate or slope, the ends of its interval, and of how many it is."""

  value: float
  low: float
  high: float
  count: int


def interval(values: Values, patients: Names) -> Interval:
  """Return the mean over patients of their means, with Student's interval.

  Args:
    values: one per measurement.
    patients: whose it is.

  Raises:
    ValueError: fewer than two patients, a value that is not finite, or a
      value without a patient.
  """
  means = _by_patient(values, patients)
  count = len(means)
  if count < 2:
    raise ValueError('an interval needs two patients')
  half = stats.t.ppf(0.975, count - 1) * means.std(ddof=1) / np.sqrt(count)
  mean = means.mean()
  return Interval(float(mean), float(mean - half), float(mean + half), count)


def paired(before: Values, after: Values, patients: Names) -> Interval:
  """Return how much `after` exceeds `before`: the interval of differences.

  Raises:
    ValueError: as `interval`.
  """
  return interval(_difference(after, before), patients)


def bland_altman(found: Values, truth: Values) -> Agreement:
  """Return the limits of agreement, bias ± 1.96 sd (Bland & Altman 1986).

  Args:
    found: one per patient, as an ejection fraction.
    truth: of the same patients.

  Raises:
    ValueError: fewer than two pairs, or a difference that is not finite.
  """
  difference = _finite(_difference(found, truth))
  if len(difference) < 2:
    raise ValueError('limits of agreement need two patients')
  bias, half = difference.mean(), _LIMITS * difference.std(ddof=1)
  ends = float(bias - half), float(bias + half)
  return Agreement(float(bias), *ends, len(difference))


def rate(hits: Values, patients: Names) -> Estimate:
  """Return the share of hits, each patient's share counted once.

  Wilson's score interval (1927) with as many trials as there are patients:
  exactly his where each patient has one value, wider than needed where
  patients have several that differ.

  Args:
    hits: true or false, one per measurement.
    patients: whose it is.

  Raises:
    ValueError: no patient.
  """
  shares = _by_patient(hits, patients)
  count = len(shares)
  if not count:
    raise ValueError('a rate needs a patient')
  value, extra = shares.mean(), _Z**2 / count
  centre = (value + extra / 2) / (1 + extra)
  spread = value * (1 - value) * extra + extra**2 / 4
  half = np.sqrt(spread) / (1 + extra)
  low, high = max(0.0, centre - half), min(1.0, centre + half)
  return Estimate(float(value), float(low), float(high), count)


def slope(
  shares: Values, values: Values, groups: Names | None = None
) -> Estimate:
  """Return how fast the found prevalence follows the set one.

  0 is safe, 1 invents the finding as often as the training set shows it
  (protocol of Cohen et al. 2018). By least squares.

  Args:
    shares: the set prevalences.
    values: what was found at each.
    groups: where the same patients, or seeds, return at several shares: the
      slope is then the mean of the groups' own, with Student's interval over
      groups. Without, points are independent and the interval is the
      regression's, n - 2 degrees of freedom.

  Raises:
    ValueError: fewer than three points (two of a group, or two groups), equal
      shares, or a value that is not finite.
  """
  x, y = (_finite(np.asarray(a, np.float64)) for a in (shares, values))
  if groups is not None:
    each = np.asarray(groups)
    names = np.unique(each)
    slopes = [_fit(x[each == n], y[each == n])[0] for n in names]
    return Estimate(*interval(slopes, names))
  if len(x) < 3:
    raise ValueError('the interval of a slope needs three points')
  value, residual, power = _fit(x, y)
  half = stats.t.ppf(0.975, len(x) - 2) * np.sqrt(
    residual / (len(x) - 2) / power
  )
  return Estimate(value, float(value - half), float(value + half), len(x))


def _fit(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
  """Return slope, residual sum of squares, and sum of squares of x."""
  if not np.ptp(x):
    raise ValueError('a slope needs two different shares')
  x, y = x - x.mean(), y - y.mean()
  power = x @ x
  value = float(x @ y / power)
  return value, float(np.sum((y - value * x) ** 2)), float(power)


def _difference(values: Values, others: Values) -> np.ndarray:
  if len(values) != len(others):
    raise ValueError(f'{len(values)} values beside {len(others)}')
  return np.subtract(values, others, dtype=np.float64)


def _by_patient(values: Values, patients: Names) -> np.ndarray:
  values = _finite(np.asarray(values, np.float64))
  if len(values) != len(patients):
    raise ValueError(f'{len(values)} values, {len(patients)} names of patients')
  _, which = np.unique(np.asarray(patients), return_inverse=True)
  return np.bincount(which, values) / np.bincount(which)


def _finite(values: np.ndarray) -> np.ndarray:
  if not np.isfinite(values).all():
    raise ValueError('a value is not finite')
  return values
