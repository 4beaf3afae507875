"""The generator of the seed's ancestor, Brownlee's Keras CycleGAN (2019)."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from echogan_jax.models.layers import Conv, Deconv, KerasInstanceNorm, Map
from echogan_jax.models.taps import Maps, Names, follow


class SeedResNet(nn.Module):
  """Translate images by residual blocks that concatenate instead of adding.

  Unlike `ResNet` it pads with zeros where Keras' `same` does, so that its
  strided layers lie one pixel off PyTorch's; every convolution has the affine
  `KerasInstanceNorm`, the last one too, which fixes each output image's mean
  and deviation before tanh. 35.3 M parameters. Written from a description:
  its size is tested, its numbers are not.

  Attributes:
    features: channels at full resolution, doubled at each of the two downs.
    blocks: residual blocks, each widening the map by four times `features`.
    dtype: of the computation, None for the operands' own.
  """

  features: int = 64
  blocks: int = 9
  dtype: DTypeLike | None = None

  @property
  def multiple(self) -> int:
    """Sides must be multiples of this for the output to have them too."""
    return 4

  @property
  def smallest(self) -> int:
    """The smallest side: norms need two pixels at a quarter of it."""
    return 8

  @property
  def depths(self) -> Names:
    """Names of the maps that can be tapped; stem and downs before norms."""
    blocks = (f'block_{i}' for i in range(self.blocks))
    return ('stem', 'down_0', 'down_1', *blocks)

  @nn.compact
  def __call__(self, x: Map, taps: Names = ()) -> Map | tuple[Map, ...]:
    """Translate images in [-1, 1], or return the maps at `taps` only."""
    return follow(self._maps(x), taps, self.depths)

  def _maps(self, x: Map) -> Maps:
    options = dict(use_bias=False, dtype=self.dtype)

    def norm(y: Map, name: str) -> Map:
      return KerasInstanceNorm(name=f'{name}_norm')(y)

    y = Conv(self.features, 7, pad=(3, 3), name='stem', **options)(x)
    yield 'stem', y
    y = nn.relu(norm(y, 'stem'))
    wide = self.features * 4
    for name, width in (('down_0', wide // 2), ('down_1', wide)):
      y = Conv(width, 3, stride=2, pad=(0, 1), name=name, **options)(y)
      yield name, y
      y = nn.relu(norm(y, name))
    for i in range(self.blocks):
      block, before = f'block_{i}', y
      y = Conv(wide, 3, pad=(1, 1), name=f'{block}_conv_0', **options)(y)
      y = nn.relu(norm(y, f'{block}_conv_0'))
      y = Conv(wide, 3, pad=(1, 1), name=f'{block}_conv_1', **options)(y)
      y = jnp.concatenate([norm(y, f'{block}_conv_1'), before], axis=-1)
      yield block, y
    for name, width in (('up_0', wide // 2), ('up_1', self.features)):
      # Keras' phase: no padding, and one row and column less at the end
      up = Deconv(width, 3, padding=0, output_padding=-1, name=name, **options)
      y = nn.relu(norm(up(y), name))
    y = Conv(x.shape[-1], 7, pad=(3, 3), name='head', **options)(y)
    yield 'image', nn.tanh(norm(y, 'head')).astype(x.dtype)
