"""When a number counts as better, worse, or neither."""

import pytest

from echogan_jax.page import rules
from echogan_jax.page.records import Interval

FEW = Interval(0.02, 0.0, 0.07, 100)
MANY = Interval(0.2, 0.13, 0.29, 100)


def agreed(before, after, count=40):
  """Judge two pairs of bias and half width of the limits of agreement."""
  return rules.agreed(
    *(Interval(b, b - w, b + w, count) for b, w in (before, after))
  )


@pytest.mark.parametrize(
  ('before', 'after', 'status'),
  [
    ((-8, 9), (-2, 6), 'better'),
    ((-8, 9), (-8.5, 9), 'worse'),  # certain, and further off
    ((-8, 9), (8, 9), 'worse'),  # as far off on the other side
    ((0, 5), (0.2, 5), 'unsure'),  # further off, but not certain
    ((0, 5), (0, 12), 'worse'),  # readings scatter more
    ((-3, 9), (-2.9, 9), 'unsure'),
  ],
)
def test_a_bias_with_its_limits(before, after, status):
  assert agreed(before, after) == status


def test_two_clips_prove_nothing():
  assert agreed((-8, 9), (-2, 6), count=2) == 'unsure'


@pytest.mark.parametrize(
  ('recovery', 'invention', 'status'),
  [
    ((0.35, 0.41), (0.38, 0.44), 'better'),  # hypot(0.65, 0.44) < 1
    ((0.35, 0.41), (0.9, 1.0), 'worse'),
    ((0.0, 0.1), (0.1, 0.5), 'unsure'),
    ((0.9, 1.1), (0.0, 0.9), 'better'),
    ((1.8, 1.9), (0.8, 0.9), 'worse'),  # overshot
  ],
)
def test_recovery_with_invention(recovery, invention, status):
  assert rules.undone(recovery, invention) == status


@pytest.mark.parametrize(
  ('rates', 'status'),
  [
    ({'added': MANY, 'added_target': FEW}, 'worse'),
    ({'added': FEW, 'added_target': FEW}, 'unsure'),
    # the haze fooled the judge already
    ({'added': MANY, 'added_target': FEW, 'added_input': MANY}, 'unsure'),
    ({'added': FEW, 'added_target': FEW, 'added_input': MANY}, 'better'),
    ({'added': MANY}, 'worse'),
    ({'added': FEW}, 'unsure'),
  ],
)
def test_findings_against_what_the_judge_saw_before(rates, status):
  assert rules.altered(rates, 'added') == status


def test_inversion_needs_more_than_the_truth_has():
  assert rules.inverted((0.06, 0.2)) == 'worse'
  assert rules.inverted((0.06, 0.2), 0.1) == 'unsure'
  assert rules.inverted((0.01, 0.2)) == 'unsure'
  assert rules.inverted(None) == 'unsure'
