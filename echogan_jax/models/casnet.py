"""The cascade of U-Nets of MedGAN (Armanious et al. 2020), CasNet.

Unverified against the authors' own code, which is not public: six U-blocks
of sixteen convolutions each are as others implemented them. Ours are this
project's U-Nets, with instance norm and one image between two of them.
"""

import flax.linen as nn
from jax.typing import DTypeLike

from echogan_jax.models.layers import Map
from echogan_jax.models.taps import Names
from echogan_jax.models.unet import Halving, UNet


class CasNet(Halving, nn.Module):
  """Refine images progressively, one U-Net after the other.

  Attributes:
    blocks: U-Nets.
    features: of each.
    downs: of each.
    dtype: of the computation, None for the operands' own.
  """

  blocks: int = 6
  features: int = 64
  downs: int = 8
  dtype: DTypeLike | None = None

  @property
  def depths(self) -> Names:
    """Names of the maps that can be tapped: those of the first U-Net."""
    return tuple(f'down_{i}' for i in range(self.downs))

  @nn.compact
  def __call__(self, x: Map, taps: Names = ()) -> Map | tuple[Map, ...]:
    """Translate images in [-1, 1], or return the maps at `taps` only."""
    y = x
    for i in range(self.blocks):
      block = UNet(
        self.features, self.downs, dtype=self.dtype, name=f'block_{i}'
      )
      if taps:
        return block(x, taps)
      y = block(y)
    return y
