"""Every loss term by name, and the only place that applies a weight.

A term is a function of `Outputs` that returns one value per example, neither
weighted nor averaged. To add one: write the function, name it in `TERMS`
with the passes it reads, declare its weight and options in
`configs/cyclegan.py`.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

from echogan_jax.command import BadInput
from echogan_jax.losses import (
  adversarial,
  cutmix,
  cycle,
  grades,
  gradient,
  patchnce,
  perceptual,
  pyramid,
  structure,
)
from echogan_jax.shapes import Array, Outputs, Trial, Values

Means = dict[str, Array]


class Term(NamedTuple):
  """A term and what it reads of `Outputs` beside `real` and `fake`."""

  value: Callable[..., Values]
  reads: tuple[str, ...] = ()


_JUDGED = ('cycled', 'judged_real', 'judged_cycled')
_TASK = ('read', 'read_real', 'grades')

TERMS = {
  'adversarial': Term(adversarial.adversarial, ('judged',)),
  'cycle': Term(cycle.cycle, ('cycled',)),
  'identity': Term(cycle.identity, ('same',)),
  'ssim': Term(structure.ssim),
  'illumination': Term(structure.illumination),
  'laplacian': Term(pyramid.laplacian, ('cycled',)),
  'gaussian': Term(pyramid.gaussian, ('cycled',)),
  'paired': Term(gradient.paired),
  'gradient': Term(gradient.gradient),
  'perceptual': Term(perceptual.perceptual, _JUDGED),
  'style': Term(perceptual.style, _JUDGED),
  'perceptual_vgg16': Term(
    functools.partial(perceptual.perceptual, source='vgg16'), ('cycled', 'seen')
  ),
  'style_vgg16': Term(
    functools.partial(perceptual.style, source='vgg16'), ('cycled', 'seen')
  ),
  'patchnce': Term(patchnce.patchnce, ('patches',)),
  'grades': Term(grades.grades, ('judged', 'grades')),
  'task': Term(grades.task, _TASK),
  'task_features': Term(grades.task_features, _TASK),
}


class Objective(NamedTuple):
  """What the players minimise.

  Attributes:
    generators: (`Outputs`, step) -> (weighted sum, unweighted mean of each
      term).
    discriminator: (`Trial`, step, luck in [0, 1)) -> the same for one
      discriminator.
    task: (`Reading`, grades, anatomy) -> the task network's loss on real
      images, one value per example.
    draws: whether the task network learns anatomy too.
    needs: fields of `Outputs` that some term reads beside `real` and `fake`,
      and `mixed` for CutMix.
  """

  generators: Callable[[Outputs, Array], tuple[Array, Means]]
  discriminator: Callable[[Trial, Array, Array], tuple[Array, Means]]
  task: Callable[..., Values]
  draws: bool
  needs: frozenset[str]


def build(config: Mapping[str, Mapping[str, Any]]) -> Objective:
  """Turn `config.losses` into an objective.

  A term of weight 0 is not traced, and a pass that no term needs is not run.

  Raises:
    BadInput: every weight is 0, or `cutmix.rounds` is unknown.
  """
  config = {name: dict(options) for name, options in config.items()}
  judge_weight = config['adversarial'].pop('judge_weight')
  drawn = config['task']['anatomy']
  weights = {name: config[name].pop('weight') for name in TERMS}
  warmups = {name: config[name].pop('warmup_steps', 0) for name in TERMS}
  terms = {
    name: functools.partial(term.value, **config[name])
    for name, term in TERMS.items()
    if weights[name]
  }
  if not terms:
    raise BadInput('every weight in config.losses is 0: nothing to learn')

  def generators(out: Outputs, step: Array) -> tuple[Array, Means]:
    values = {name: jnp.mean(term(out)) for name, term in terms.items()}
    total = sum(
      weights[name] * _ramp(step, warmups[name]) * value
      for name, value in values.items()
    )
    return total, values

  needs = {read for name in terms for read in TERMS[name].reads}
  judge = functools.partial(
    adversarial.adversarial_judge,
    judge_weight=judge_weight,
    **config['adversarial'],
  )
  judging = {'adversarial': (1.0, judge)}
  if 'grades' in terms:
    judging['grades'] = (weights['grades'], grades.grades_judge)
  if config['cutmix']['weight']:
    needs.add('mixed')
  if drawn and 'read' in needs:
    needs.add('anatomy')
  discriminator = _discriminator(judging, **config['cutmix'])
  return Objective(
    generators, discriminator, grades.task_own, drawn, frozenset(needs)
  )


def _discriminator(
  judging: Mapping[str, tuple[float, Callable[[Trial], Values]]],
  *,
  weight: float,
  augmentation: bool,
  rounds: str,
  warmup_steps: int,
) -> Callable[[Trial, Array, Array], tuple[Array, Means]]:
  """Return one discriminator's side; the keywords are CutMix's."""
  if rounds not in ('every', 'alternate'):
    raise BadInput(f'losses.cutmix.rounds={rounds}: choose every or alternate')

  def discriminator(
    trial: Trial, step: Array, luck: Array
  ) -> tuple[Array, Means]:
    values = {
      name: jnp.mean(term(trial)) for name, (_, term) in judging.items()
    }
    total = sum(judging[name][0] * value for name, value in values.items())
    if not weight:
      return total, values
    strength, share = _ramp(step, warmup_steps), 1.0
    if rounds == 'alternate':
      # whole steps on mixed images alone, up to half of all steps
      share, strength = (luck < 0.5 * strength).astype(total.dtype), 1.0
      total = (1.0 - share) * total
    mixed = cutmix.cutmix(
      trial, augmentation=augmentation, consistency=weight, strength=strength
    )
    values['cutmix'] = jnp.mean(mixed)
    return total + share * values['cutmix'], values

  return discriminator


def _ramp(step: Array, warmup_steps: int) -> Array | float:
  """Return 0 at the start, 1 from the end of the warm-up on."""
  return jnp.minimum(step / warmup_steps, 1.0) if warmup_steps else 1.0
