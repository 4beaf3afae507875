"""The ResNet generator of CycleGAN (Zhu et al. 2017, appendix; Johnson 2016).

c7s1-64, d128, d256, R256 x blocks, u128, u64, c7s1-1: 11.4 M parameters with
nine blocks and 64 features. Nine blocks for 256 pixels and more, six below.
"""

import flax.linen as nn
from jax.typing import DTypeLike

from echogan_jax.models import colour
from echogan_jax.models.layers import Conv, Map, instance_norm, reflect
from echogan_jax.models.sampling import Down, Up
from echogan_jax.models.taps import Maps, Names, follow


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

  With `up` and `down` of `blur` it is CUT's (Park et al. 2020), with `up` of
  `bicubic` the ResNet of StillGAN's code (Ma et al. 2021).

  Attributes:
    features: channels at full resolution, doubled at each of the two downs.
    blocks: residual blocks at a quarter of the resolution.
    up: how the side is doubled, as `sampling.Up`.
    down: how it is halved, as `sampling.Down`.
    down_bias: give the downs biases, which only their taps can show.
    colours: 3 for weights trained on colour: grey goes in three times, and the
      luma of what comes out is returned.
    dtype: of the computation, None for the operands' own.
  """

  features: int = 64
  blocks: int = 9
  up: str = 'deconv'
  down: str = 'stride'
  down_bias: bool = False
  colours: int = 1
  dtype: DTypeLike | None = None

  @property
  def multiple(self) -> int:
    """Sides must be multiples of this for the output to have them too."""
    return 4

  @property
  def smallest(self) -> int:
    """The smallest side: reflection needs two pixels at a quarter of it."""
    return 8

  @property
  def depths(self) -> Names:
    """Names of the maps that can be tapped, shallow to deep.

    `input` is the image with its reflected border of three pixels; the stem
    and the downs are tapped before their norms.
    """
    blocks = (f'block_{i}' for i in range(self.blocks))
    return ('input', 'stem', 'down_0', 'down_1', *blocks)

  @nn.compact
  def __call__(self, x: Map, taps: Names = ()) -> Map | tuple[Map, ...]:
    """Translate images in [-1, 1], or return the maps at `taps` only."""
    maps = self._maps(colour.spread(x, self.colours))
    y = follow(maps, taps, self.depths)
    return y if taps else colour.gather(y, x)

  def _maps(self, x: Map) -> Maps:
    y = reflect(x, 3)
    yield 'input', y
    options = dict(use_bias=False, dtype=self.dtype)
    y = Conv(self.features, 7, name='stem', **options)(y)
    yield 'stem', y
    y = nn.relu(instance_norm(y))
    for i in range(2):
      wide = self.features * 2 ** (i + 1)
      name = f'down_{i}'
      down = Down(self.down, wide, self.down_bias, self.dtype, name=name)
      y = down(y)
      yield name, y
      y = down.settle(nn.relu(instance_norm(y)))
    for i in range(self.blocks):
      y = Block(self.features * 4, self.dtype, name=f'block_{i}')(y)
      yield f'block_{i}', y
    for i in range(2):
      wide = self.features * 2 ** (1 - i)
      y = Up(self.up, wide, name=f'up_{i}', **options)(y)
      y = nn.relu(instance_norm(y))
    head = Conv(
      x.shape[-1], 7, pad=(3, 3), reflected=True, dtype=self.dtype, name='head'
    )
    yield 'image', nn.tanh(head(y)).astype(x.dtype)
