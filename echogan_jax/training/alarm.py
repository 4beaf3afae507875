"""Alarms: what tells that a run has gone wrong, and what to do then."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from echogan_jax.command import BadInput

PATIENCE = 5  # logged steps in a row before an alarm
_CHOICES = {
  'nonfinite': ('stop', 'skip', 'warn'),
  'collapse': ('stop', 'skip', 'warn'),
  # a network that draws the wrong thing and may not move stays as it is
  'inversion': ('stop', 'warn'),
}


class Alarms(NamedTuple):
  """What to do about each alarm, and when it is one: `config.train.alarms`.

  Attributes:
    nonfinite: `stop`, `skip` (leave the step out) or `warn`, at the first
      loss or gradient that is not finite.
    collapse: `stop`, `skip` (let the discriminator rest while it has won) or
      `warn`.
    inversion: `stop` or `warn`, also for flat pictures.
    judge: a discriminator whose loss stays below this has won: the generators
      learn nothing from it any more (chance is 0.25).
    correlation: enhanced images that correlate less with their input are
      inverted or unrelated.
    deviation: enhanced images with less spread (of [-1, 1]) are flat.
    after: before this step a network may be anything; only `nonfinite` counts.
  """

  nonfinite: str
  collapse: str
  inversion: str
  judge: float
  correlation: float
  deviation: float
  after: int


def create(config: Mapping[str, Any], objective: str) -> Alarms:
  """Return `config.train.alarms`, checked.

  Args:
    config: the keywords of `Alarms`.
    objective: of the adversarial loss; `wgan` knows no won game.

  Raises:
    BadInput: an action is unknown.
  """
  for name, choices in _CHOICES.items():
    if config[name] not in choices:
      raise BadInput(
        f'train.alarms.{name}={config[name]}: choose one of '
        f'{", ".join(choices)}'
      )
  made = Alarms(**config)
  return made._replace(judge=-np.inf) if objective == 'wgan' else made


def nonfinite(values: Mapping[str, float]) -> list[str]:
  """Name the values that are not finite."""
  return [name for name, value in values.items() if not np.isfinite(value)]


def raised(
  recent: Sequence[Mapping[str, float]], alarms: Alarms
) -> dict[str, str]:
  """Return {what has been wrong: which alarm that is}.

  Wrong means for `PATIENCE` logged steps in a row.

  Args:
    recent: the last logged steps.
    alarms: the thresholds.
  """
  watched = {
    'discriminator collapse (low)': ('collapse', 'loss/judge_low', 'judge'),
    'discriminator collapse (high)': ('collapse', 'loss/judge_high', 'judge'),
    'inverted output': ('inversion', 'watch/correlation', 'correlation'),
    'dead output': ('inversion', 'watch/deviation', 'deviation'),
  }
  if len(recent) < PATIENCE or recent[0]['step'] < alarms.after:
    return {}
  return {
    name: kind
    for name, (kind, key, least) in watched.items()
    if all(
      key in line and line[key] < getattr(alarms, least) for line in recent
    )
  }
