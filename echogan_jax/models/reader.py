"""The judge's network: it draws the tissues of a frame and tells findings.

A U-Net (Ronneberger et al. 2015, arXiv 1505.04597), small enough to ship.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from echogan_jax.models.layers import Conv, Map, instance_norm, leaky
from echogan_jax.shapes import TISSUES

Tissues = Float[Array, 'batch _ _ tissues']
Findings = Float[Array, 'batch findings']


def _blocks(x: Map) -> Map:
  """Fold blocks of 2 x 2 pixels into channels."""
  batch, height, width, features = x.shape
  x = x.reshape(batch, height // 2, 2, width // 2, 2, features)
  x = x.transpose(0, 1, 3, 2, 4, 5)
  return x.reshape(batch, height // 2, width // 2, 4 * features)


def _pixels(x: Map) -> Map:
  """Unfold channels into blocks of 2 x 2 pixels."""
  batch, height, width, features = x.shape
  x = x.reshape(batch, height, width, 2, 2, features // 4)
  x = x.transpose(0, 1, 3, 2, 4, 5)
  return x.reshape(batch, 2 * height, 2 * width, features // 4)


def _doubled(x: Map) -> Map:
  return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


class Reader(nn.Module):
  """Draw tissues and tell findings, from one frame.

  It works on blocks of 2 x 2 pixels, for speed, and draws every pixel.

  Attributes:
    findings: how many it tells.
    features: channels of the first map, doubled to at most four times.
    downs: halvings, the blocks' included; sides are multiples of 2^downs.
  """

  findings: int
  features: int = 16
  downs: int = 4

  @nn.compact
  def __call__(self, x: Map) -> tuple[Tissues, Findings]:
    """Return the logits of both for images in [-1, 1]."""
    maps, y = [], _blocks(x)
    for i in range(self.downs):
      width, stride = self.features * min(2**i, 4), 1 + (i > 0)
      y = self._layer(y, width, f'down_{i}', stride=stride)
      y = self._layer(y, width, f'encode_{i}')
      maps.append(y)
    for i in reversed(range(self.downs - 1)):
      y = jnp.concatenate([_doubled(y), maps[i]], axis=-1)
      y = self._layer(y, maps[i].shape[-1], f'up_{i}')
    drawn = Conv(4 * TISSUES, 3, pad=(1, 1), name='tissues')(y)
    return _pixels(drawn), self._tell(jnp.concatenate([y, drawn], axis=-1))

  def _layer(self, x: Map, features: int, name: str, *, stride: int = 1) -> Map:
    init = nn.initializers.he_normal()
    conv = Conv(
      features, 3, stride, (1, 1), use_bias=False, init=init, name=name
    )
    return leaky(instance_norm(conv(x)))

  def _tell(self, x: Map) -> Findings:
    # no norm: how much there is of something would be lost with its mean
    init = nn.initializers.he_normal()
    for i in range(2):
      conv = Conv(
        2 * self.features, 3, 2, (1, 1), init=init, name=f'finding_{i}'
      )
      x = leaky(conv(x))
    # a thrombus is somewhere, a thick wall everywhere
    pooled = [jnp.max(x, axis=(1, 2)), jnp.mean(x, axis=(1, 2))]
    return nn.Dense(self.findings, name='findings')(jnp.concatenate(pooled, -1))
