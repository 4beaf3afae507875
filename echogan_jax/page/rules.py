"""The rules by which a number counts as better or worse.

A metric got better or worse only if the 95 % interval of its change leaves
zero out and its direction is known; everything else is not certain. What
guards the patient is read harshly: harm is called early, help late.
"""

import math
from collections.abc import Mapping
from typing import Literal

from scipy import stats

from echogan_jax.page.records import Evaluation, Interval
from echogan_jax.page.words import fact

Status = Literal['better', 'worse', 'unsure']

INVERTED = 0.05  # share of the picture; true pictures of 64 pixels have 0.01
_Z = 1.96  # deviations from the bias to a limit of agreement


def pair(found: Evaluation, name: str) -> tuple[float | None, float | None]:
  """Return a metric of the input and of the enhanced picture."""
  values = found.metrics
  after = values.get(f'{name}/enhanced', values.get(name))
  return values.get(f'{name}/input'), after


def changed(found: Evaluation, name: str) -> Status:
  """Judge a metric by its paired change."""
  change, better = found.changes.get(name), fact(name).better
  if change is None or not change.certain or not better:
    return 'unsure'
  if better != 'zero':
    return 'better' if (change.value > 0) == (better == 'higher') else 'worse'
  before, after = pair(found, name)
  if before is None or after is None:
    return 'unsure'
  if abs(after) > abs(before):
    return 'worse'
  # a bias that changed its sign may be as far off on the other side
  return 'better' if before * after > 0 else 'unsure'


def undone(
  recovery: tuple[float, float], invention: tuple[float, float]
) -> Status:
  """Judge recovery and invention by their intervals together.

  The error left is (1 - recovery, invention) in units of the input's: better
  if even the worst corner is shorter than 1, worse if even the best is longer.
  """
  gaps = [abs(1 - end) for end in recovery]
  least = 0.0 if recovery[0] <= 1 <= recovery[1] else min(gaps)
  if math.hypot(max(gaps), invention[1]) < 1:
    return 'better'
  return 'worse' if math.hypot(least, invention[0]) > 1 else 'unsure'


def agreed(before: Interval, after: Interval) -> Status:
  """Judge a bias with its limits of agreement (Bland and Altman 1986).

  Worse if the new bias is certain and further from zero, or if single readings
  scatter more; better if the old one was certain, the new one is nearer, and
  their intervals are apart.
  """
  was, now = _bias(before), _bias(after)
  nearer = abs(now.value) < abs(was.value)
  if (now.certain and not nearer) or wider(before, after):
    return 'worse'
  apart = now.low > was.high or now.high < was.low
  return 'better' if was.certain and nearer and apart else 'unsure'


def _bias(limits: Interval) -> Interval:
  """Return Student's interval of a bias, from the limits of agreement."""
  spread = (limits.high - limits.low) / (2 * _Z)
  if limits.count < 2 or not spread:
    return limits
  students = float(stats.t.ppf(0.975, limits.count - 1))
  half = students * spread / math.sqrt(limits.count)
  return Interval(limits.value, limits.value - half, limits.value + half)


def wider(before: Interval, after: Interval) -> bool:
  """Compare two deviations by the F test at 97.5 %."""
  was, now = before.high - before.low, after.high - after.low
  if min(before.count, after.count) < 2 or not was:
    return False
  most = float(stats.f.ppf(0.975, after.count - 1, before.count - 1))
  return (now / was) ** 2 > most


def altered(rates: Mapping[str, Interval], kind: str) -> Status:
  """Judge how often a finding is `added` or `removed`.

  Against the same rate of the input: what haze hides, or fools the judge with,
  is not the model's doing. Without that, against the judge's own mistakes on
  the true pictures; without those, against none.
  """
  rate = rates[kind]
  other = rates.get(f'{kind}_input', rates.get(f'{kind}_target'))
  if other is None:
    return 'worse' if rate.low > 0 else 'unsure'
  more = rate.value - other.value
  # Newcombe (1998): the interval of a difference from those of its parts
  if more > math.hypot(rate.value - rate.low, other.high - other.value):
    return 'worse'
  fewer = math.hypot(rate.high - rate.value, other.value - other.low)
  return 'better' if -more > fewer else 'unsure'


def inverted(ends: tuple[float, float] | None, truth: float = 0.0) -> Status:
  """Judge the interval of the share of the picture turned dark for bright.

  Args:
    ends: of the interval; None where there is none.
    truth: the same share of the true pictures, which undo the haze only.
  """
  most = max(INVERTED, truth)
  return 'worse' if ends and ends[0] > most else 'unsure'
