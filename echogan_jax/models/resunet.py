"""The residual U-Net generator of StillGAN (Ma et al. 2021)."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from echogan_jax.models.layers import Conv, Map, instance_norm, leaky
from echogan_jax.models.sampling import NEAREST, double
from echogan_jax.models.taps import Maps, Names, follow
from echogan_jax.models.unet import Halving


class Block(nn.Module):
  """Two 3x3 convolutions beside a 1x1 one; activated after the sum."""

  features: int
  dtype: DTypeLike | None = None

  @nn.compact
  def __call__(self, x: Map) -> Map:
    """Change the channels of a batch of maps."""
    options = dict(use_bias=False, dtype=self.dtype)

    def conv(name: str) -> Conv:
      return Conv(self.features, 3, pad=(1, 1), name=name, **options)

    y = leaky(instance_norm(conv('conv_0')(x)))
    y = instance_norm(conv('conv_1')(y))
    short = Conv(self.features, 1, name='short', **options)
    return leaky(y + instance_norm(short(x)))


class ResUNet(Halving, nn.Module):
  """Translate images; 78.6 M parameters with 64 features and eight downs.

  Attributes:
    features: channels of the first map, doubled to at most eight times.
    downs: halvings, by maxima of 2 x 2 pixels; eight in the original.
    dtype: of the computation, None for the operands' own.
  """

  features: int = 64
  downs: int = 8
  dtype: DTypeLike | None = None

  @property
  def depths(self) -> Names:
    """Names of the maps that can be tapped: the encoder's blocks."""
    return tuple(f'enc_{i}' for i in range(self.downs))

  @nn.compact
  def __call__(self, x: Map, taps: Names = ()) -> Map | tuple[Map, ...]:
    """Translate images in [-1, 1], or return the maps at `taps` only."""
    return follow(self._maps(x), taps, self.depths)

  def _maps(self, x: Map) -> Maps:
    widths = [self.features * min(2**i, 8) for i in range(self.downs)]
    skips, y = [], x
    for i, wide in enumerate(widths):
      y = Block(wide, self.dtype, name=f'enc_{i}')(y)
      yield f'enc_{i}', y
      skips.append(y)
      y = nn.max_pool(y, window_shape=(2, 2), strides=(2, 2))
    for i, wide in reversed(list(enumerate(widths))):
      up = Conv(
        wide, 3, pad=(1, 1), use_bias=False, dtype=self.dtype, name=f'up_{i}'
      )
      y = leaky(instance_norm(up(double(y, NEAREST))))
      y = jnp.concatenate([skips[i], y], axis=-1)
      y = Block(wide, self.dtype, name=f'dec_{i}')(y)
    head = Conv(x.shape[-1], 1, dtype=self.dtype, name='head')
    yield 'image', nn.tanh(head(y)).astype(x.dtype)
