"""Intervals against SciPy's, and patients that count once."""

import numpy as np
import pytest
from scipy import stats

from echogan_jax.metrics.agreement import (
  bland_altman,
  interval,
  paired,
  rate,
  slope,
)

RANDOM = np.random.default_rng(0)
BEFORE = RANDOM.normal(10, 3, 9)
AFTER = BEFORE + RANDOM.normal(0.7, 1, 9)
PATIENTS = [f'p{i}' for i in range(9)]


def close(found, *expected):
  np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_paired_interval_is_the_t_tests():
  expected = stats.ttest_rel(AFTER, BEFORE).confidence_interval()
  found = paired(BEFORE, AFTER, PATIENTS)
  close(found[1:3], expected.low, expected.high)
  assert found.mean == pytest.approx((AFTER - BEFORE).mean())
  assert found.patients == 9
  assert found == interval(list(AFTER - BEFORE), PATIENTS)


def test_a_patient_with_many_frames_counts_once():
  values, patients = [1.0, 5.0, 9.0, 9.0, 9.0], ['a', 'b', 'c', 'c', 'c']
  assert interval(values, patients) == interval(values[:3], patients[:3])
  mixed = [1.0, 5.0, 8.0, 9.0, 10.0]
  assert interval(mixed, patients) == interval(values, patients)
  expected = stats.t(2, 5, stats.sem([1, 5, 9])).interval(0.95)
  close(interval(values, patients)[1:3], *expected)
  assert paired([0.0] * 5, mixed, patients).patients == 3


def test_an_interval_needs_two_patients_and_finite_values():
  with pytest.raises(ValueError, match='an interval needs two patients'):
    paired([1.0, 2.0, 3.0], [2.0, 2.0, 5.0], ['a', 'a', 'a'])
  with pytest.raises(ValueError, match='two patients'):
    interval([], [])
  for bad in (np.inf, np.nan):
    with pytest.raises(ValueError, match='not finite'):
      interval([1.0, bad], ['a', 'b'])
  with pytest.raises(ValueError, match='2 values, 3 names'):
    interval([1.0, 2.0], ['a', 'b', 'c'])
  with pytest.raises(ValueError, match='1 values beside 2'):
    paired([3.0, 4.0], [1.0], ['a', 'b'])


def test_limits_of_agreement():
  found = bland_altman([52.0, 61.0, 40.0], [50.0, 60.0, 43.0])
  spread = 1.96 * np.std([2, 1, -3], ddof=1)
  close(found, 0, -spread, spread, 3)
  assert bland_altman([52.0, 61.0], [50.0, 59.0]) == (2.0, 2.0, 2.0, 2)
  with pytest.raises(ValueError, match='two patients'):
    bland_altman([50.0], [50.0])


@pytest.mark.parametrize('hits, count', [(3, 17), (0, 8), (8, 8), (1, 1)])
def test_rate_is_wilsons(hits, count):
  test = stats.binomtest(hits, count)
  expected = test.proportion_ci(method='wilson')
  seen = [True] * hits + [False] * (count - hits)
  found = rate(seen, [str(i) for i in range(count)])
  close(found, hits / count, expected.low, expected.high, count)
  assert 0 <= found.low and found.high <= 1


def test_rate_counts_a_patients_share_once():
  hits, patients = np.array([True, True, False, False]), ['a', 'a', 'a', 'b']
  found = rate(hits, patients)
  assert found.value == pytest.approx(1 / 3) and found.count == 2
  again = rate(np.repeat(hits, 5), np.repeat(patients, 5))
  close(again, *found)
  with pytest.raises(ValueError, match='needs a patient'):
    rate([], [])


def test_slope_is_linear_regressions():
  shares = np.array([0, 0.25, 0.5, 0.75, 1])
  values = 0.4 + 0.3 * shares + np.array([0.02, -0.03, 0.01, 0.04, -0.05])
  expected = stats.linregress(shares, values)
  half = stats.t.ppf(0.975, 3) * expected.stderr
  middle = expected.slope
  close(slope(shares, values), middle, middle - half, middle + half, 5)
  close(slope([0, 0.5, 1], [0.1, 0.3, 0.5]), 0.4, 0.4, 0.4, 3)


def test_slope_over_groups_is_the_interval_of_theirs():
  shares = [0.0, 0.5, 1.0] * 3
  groups = np.repeat(['a', 'b', 'c'], 3)
  # patients differ in level, which must not widen the interval
  values = [0.0, 0.1, 0.2, 0.5, 0.6, 0.9, 0.8, 0.8, 0.8]
  found = slope(shares, values, groups)
  close(found, *interval([0.2, 0.4, 0.0], ['a', 'b', 'c']))
  plain = slope(shares, values)
  assert plain.value == pytest.approx(found.value)
  assert plain.high > found.high


def test_a_slope_needs_enough_points():
  with pytest.raises(ValueError, match='three points'):
    slope([0.0, 1.0], [0.2, 0.3])
  with pytest.raises(ValueError, match='two different shares'):
    slope([0.1, 0.1, 0.1], [0.2, 0.3, 0.4])
  with pytest.raises(ValueError, match='two different shares'):
    slope([0.0, 0.5, 1.0], [0.2, 0.3, 0.4], ['a', 'a', 'b'])
  with pytest.raises(ValueError, match='not finite'):
    slope([0.0, 0.5, 1.0], [0.2, np.nan, 0.4])
