"""The ResNet generator of CycleGAN (Zhu et al. 2017, appendix; Johnson 2016).

c7s1-64, d128, d256, R256 x blocks, u128, u64, c7s1-1: 11.4 M parameters with
nine blocks and 64 features. Nine blocks for 256 pixels and more, six below.
"""

import flax.linen as nn
from jax.typing import DTypeLike

from echogan_jax.models.layers import Conv, Deconv, Map, instance_norm


class Block(nn.Module):
  """Two reflected 3x3 convolutions around the identity, no activation after."""

  features: int
  dtype: DTypeLike | None = None

  @nn.compact
  def __call__(self, x: Map) -> Map:
    """Add what the convolutions find to the input."""

    def conv(name: str) -> Conv:
      return Conv(
        self.features,
        3,
        pad=(1, 1),
        reflected=True,
        use_bias=False,
        dtype=self.dtype,
        name=name,
      )

    y = nn.relu(instance_norm(conv('conv_0')(x)))
    return x + instance_norm(conv('conv_1')(y))


class ResNet(nn.Module):
  """Translate images; fully convolutional.

  Attributes:
    features: channels at full resolution, doubled at each of the two downs.
    blocks: residual blocks at a quarter of the resolution.
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
    """The smallest side: reflection needs two pixels at a quarter of it."""
    return 8

  @nn.compact
  def __call__(self, x: Map) -> Map:
    """Translate images in [-1, 1]."""
    options = dict(use_bias=False, dtype=self.dtype)
    stem = Conv(
      self.features, 7, pad=(3, 3), reflected=True, name='stem', **options
    )
    y = nn.relu(instance_norm(stem(x)))
    for i in range(2):
      wide = self.features * 2 ** (i + 1)
      down = Conv(wide, 3, stride=2, pad=(1, 1), name=f'down_{i}', **options)
      y = nn.relu(instance_norm(down(y)))
    for i in range(self.blocks):
      y = Block(self.features * 4, self.dtype, name=f'block_{i}')(y)
    for i in range(2):
      wide = self.features * 2 ** (1 - i)
      up = Deconv(wide, 3, output_padding=1, name=f'up_{i}', **options)
      y = nn.relu(instance_norm(up(y)))
    head = Conv(
      x.shape[-1], 7, pad=(3, 3), reflected=True, dtype=self.dtype, name='head'
    )
    return nn.tanh(head(y)).astype(x.dtype)
