"""Heads that grade a study, and discriminators that bear them.

The seed's multi-task discriminator: beside real or fake it tells from the
same trunk what is enlarged or thick, as an auxiliary classifier (Odena 2017).
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array

from echogan_jax.models.layers import Conv, Map, leaky
from echogan_jax.shapes import Verdict

Levels = tuple[tuple[str, int], ...]  # a grade's name, how many values it has


class GradeHeads(nn.Module):
  """Grade what a map shows, all grades from its mean over space.

  Ordinal, by one binary question per threshold (Frank & Hall 2001); a grade
  of two levels is one question, a plain logit.

  Attributes:
    levels: (name, levels) of each grade.
    dtype: of the computation, None for the operands' own.
  """

  levels: Levels
  dtype: DTypeLike | None = None

  @nn.compact
  def __call__(self, x: Map) -> dict[str, Array]:
    """Return [batch, levels - 1] by name: the logits of `grade > k`."""
    pooled = jnp.mean(x, axis=(1, 2))
    wide = jnp.promote_types(x.dtype, jnp.float32)
    grades = {}
    for name, levels in self.levels:
      head = nn.Dense(
        levels - 1,
        kernel_init=nn.initializers.normal(0.02),
        dtype=self.dtype,
        name=name,
      )
      grades[name] = head(pooled).astype(wide)
    return grades


class MultiTask(nn.Module):
  """A discriminator that also grades, from its deepest map.

  Attributes:
    trunk: the discriminator.
    levels: (name, levels) of each grade.
    dtype: of the heads' computation, None for the operands' own.
  """

  trunk: nn.Module
  levels: Levels
  dtype: DTypeLike | None = None

  @property
  def smallest(self) -> int:
    """The smallest side, the trunk's."""
    return self.trunk.smallest

  @nn.compact
  def __call__(self, x: Map) -> Verdict:
    """Judge and grade images in [-1, 1]."""
    verdict = self.trunk(x)
    deepest = verdict.features[-1]
    # the mean of a normalised map says little: first a layer without norm
    conv = Conv(
      deepest.shape[-1], 3, pad=(1, 1), dtype=self.dtype, name='grading'
    )
    heads = GradeHeads(self.levels, self.dtype, name='heads')
    return verdict._replace(grades=heads(leaky(conv(deepest))))
