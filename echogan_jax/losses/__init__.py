"""Every loss term by name, and the only place that applies a weight.

A term is a function of `Outputs` that returns one value per example, neither
weighted nor averaged. To add one: write the function, name it in `TERMS`,
declare its weight and options in `configs/cyclegan.py`.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

from echogan_jax.losses.adversarial import lsgan, lsgan_judge
from echogan_jax.losses.cycle import cycle, identity
from echogan_jax.losses.structure import illumination, ssim
from echogan_jax.shapes import Array, Outputs, Values, Verdict

TERMS: dict[str, Callable[..., Values]] = {
  'adversarial': lsgan,
  'cycle': cycle,
  'identity': identity,
  'ssim': ssim,
  'illumination': illumination,
}

# the passes of `Outputs` that not every objective pays for
_NEEDS = {'adversarial': 'judged', 'cycle': 'cycled', 'identity': 'same'}


class Objective(NamedTuple):
  """What the players minimise.

  Attributes:
    generators: `Outputs` -> (weighted sum, unweighted mean of each term).
    discriminator: verdicts on real and on fake images -> values per example.
    needs: fields of `Outputs` that some term reads beside `real` and `fake`.
  """

  generators: Callable[[Outputs], tuple[Array, dict[str, Array]]]
  discriminator: Callable[[Verdict, Verdict], Values]
  needs: frozenset[str]


def build(config: Mapping[str, Mapping[str, Any]]) -> Objective:
  """Turn `config.losses` into an objective.

  A term of weight 0 is not traced, and a pass that no term needs is not run.
  """
  weights, terms = {}, {}
  for name, term in TERMS.items():
    options = dict(config[name])
    weight = options.pop('weight')
    if weight:
      weights[name] = weight
      terms[name] = functools.partial(term, **options)

  def generators(out: Outputs) -> tuple[Array, dict[str, Array]]:
    values = {name: jnp.mean(term(out)) for name, term in terms.items()}
    total = sum(weights[name] * value for name, value in values.items())
    return total, values

  needs = frozenset(_NEEDS[name] for name in terms if name in _NEEDS)
  return Objective(generators, lsgan_judge, needs)
