"""The U-Net generator of pix2pix and CycleGAN (Isola et al. 2017)."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from echogan_jax.models.layers import Conv, Deconv, Map, instance_norm, leaky


class UNet(nn.Module):
  """Translate images through an encoder and decoder joined at every scale.

  Attributes:
    features: channels of the first map, doubled to at most eight times.
    downs: halvings; 8 for 256 pixels (`unet_256`), 7 for 128.
    dtype: of the computation, None for the operands' own.
  """

  features: int = 64
  downs: int = 8
  dtype: DTypeLike | None = None

  @property
  def multiple(self) -> int:
    """Sides must be multiples of this."""
    return 2**self.downs

  @property
  def smallest(self) -> int:
    """The smallest side: one pixel at the bottom."""
    return 2**self.downs

  @nn.compact
  def __call__(self, x: Map) -> Map:
    """Translate images in [-1, 1]."""
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
      if 0 < i < last:
        y = instance_norm(y)
      skips.append(y)
    y = skips.pop()
    for i in reversed(range(1, self.downs)):
      up = Deconv(
        self.features * min(2 ** (i - 1), 8),
        4,
        use_bias=False,
        dtype=self.dtype,
        name=f'up_{i}',
      )
      y = instance_norm(up(nn.relu(y)))
      y = jnp.concatenate([skips.pop(), y], axis=-1)
    y = Deconv(x.shape[-1], 4, dtype=self.dtype, name='up_0')(nn.relu(y))
    return nn.tanh(y).astype(x.dtype)
