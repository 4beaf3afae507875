"""The task network of Task-GAN (Ouyang et al. 2019): it reads, not judges.

The paper adds to a GAN a second critic that does the clinical task. Its
architecture is unverified; this one, small and with two tasks, is ours.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from echogan_jax.models.heads import GradeHeads, Levels
from echogan_jax.models.layers import Conv, Map, instance_norm, leaky
from echogan_jax.shapes import TISSUES, Reading


def _resize(x: Map, height: int, width: int) -> Map:
  return jax.image.resize(x, (x.shape[0], height, width, x.shape[3]), 'linear')


class TaskNet(nn.Module):
  """Grade a study and draw its anatomy, from any one of its frames.

  Attributes:
    levels: (name, levels) of each grade.
    features: channels of the first map, doubled to at most eight times.
    downs: halvings.
    dtype: of the computation, None for the operands' own.
  """

  levels: Levels
  features: int = 16
  downs: int = 4
  dtype: DTypeLike | None = None

  @property
  def smallest(self) -> int:
    """The smallest side: one pixel at the bottom."""
    return 2**self.downs

  @nn.compact
  def __call__(self, x: Map) -> Reading:
    """Read images in [-1, 1] of any sides from `smallest` on.

    The anatomy is drawn at half the resolution and enlarged linearly.
    """
    maps, last = [], self.downs - 1
    for i in range(self.downs):
      down = Conv(
        self.features * min(2**i, 8),
        4,
        stride=2,
        pad=(1, 1),
        use_bias=i in (0, last),  # the two that no norm follows
        dtype=self.dtype,
        name=f'down_{i}',
      )
      y = down(maps[-1] if maps else x)
      # the mean of a normalised map would hardly tell how much there is
      maps.append(leaky(instance_norm(y) if 0 < i < last else y))
    y = maps[-1]
    grades = GradeHeads(self.levels, self.dtype, name='heads')(y)
    for i in reversed(range(last)):
      skip = maps[i]
      y = jnp.concatenate([_resize(y, *skip.shape[1:3]), skip], axis=-1)
      up = Conv(
        skip.shape[-1],
        3,
        pad=(1, 1),
        use_bias=False,
        dtype=self.dtype,
        name=f'up_{i}',
      )
      y = leaky(instance_norm(up(y)))
    head = Conv(TISSUES, 3, pad=(1, 1), dtype=self.dtype, name='anatomy')
    anatomy = _resize(head(y).astype(x.dtype), *x.shape[1:3])
    return Reading(grades, anatomy, tuple(maps))
