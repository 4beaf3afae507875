"""The U-Net generator of pix2pix and CycleGAN (Isola et al. 2017)."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from echogan_jax.command import BadInput
from echogan_jax.models import colour
from echogan_jax.models.layers import Conv, Map, instance_norm, leaky
from echogan_jax.models.sampling import Up
from echogan_jax.models.taps import Maps, Names, follow


class Halving:
  """What a generator that halves the sides `downs` times asks of them."""

  @property
  def multiple(self) -> int:
    """Sides must be multiples of this."""
    return 2**self.downs

  @property
  def smallest(self) -> int:
    """The smallest side: one pixel at the bottom."""
    return 2**self.downs


class UNet(Halving, nn.Module):
  """Translate images through an encoder and decoder joined at every scale.

  Attributes:
    features: channels of the first map, doubled to at most eight times.
    downs: halvings; 8 for 256 pixels (`unet_256`), 7 for 128.
    skip_every: join only every so many-th scale, from the finest. Two and
      more are the sparse skip connections of the SSC U-Net (Wang et al.
      2019); which scales that paper joins is unverified.
    up: how the side is doubled, as `sampling.Up`; transposed convolutions
      have 4x4 kernels.
    colours: 3 for weights trained on colour, as `ResNet`'s.
    dtype: of the computation, None for the operands' own.
  """

  features: int = 64
  downs: int = 8
  skip_every: int = 1
  up: str = 'deconv'
  colours: int = 1
  dtype: DTypeLike | None = None

  @property
  def depths(self) -> Names:
    """Names of the maps that can be tapped, before their norms."""
    return tuple(f'down_{i}' for i in range(self.downs))

  @nn.compact
  def __call__(self, x: Map, taps: Names = ()) -> Map | tuple[Map, ...]:
    """Translate images in [-1, 1], or return the maps at `taps` only."""
    if self.skip_every < 1:
      raise BadInput(f'skip_every={self.skip_every}: use 1 or more')
    maps = self._maps(colour.spread(x, self.colours))
    y = follow(maps, taps, self.depths)
    return y if taps else colour.gather(y, x)

  def _maps(self, x: Map) -> Maps:
    last = self.downs - 1
    skips, y = [], x
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
      y = down(y if i == 0 else leaky(y))
      yield f'down_{i}', y
      if 0 < i < last:
        y = instance_norm(y)
      skips.append(y)
    for i in reversed(range(1, self.downs)):
      wide = self.features * min(2 ** (i - 1), 8)
      up = Up(self.up, wide, 4, dtype=self.dtype, name=f'up_{i}')
      y = instance_norm(up(nn.relu(y)))
      if (i - 1) % self.skip_every == 0:
        y = jnp.concatenate([skips[i - 1], y], axis=-1)
    up = Up(
      self.up, x.shape[-1], 4, use_bias=True, dtype=self.dtype, name='up_0'
    )
    yield 'image', nn.tanh(up(nn.relu(y))).astype(x.dtype)
