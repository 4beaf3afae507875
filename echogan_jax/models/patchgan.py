"""Patch discriminators (Isola et al. 2017): one class, variants are data."""

import flax.linen as nn
from jax.typing import DTypeLike

from echogan_jax.command import BadInput
from echogan_jax.models.layers import (
  Conv,
  KerasInstanceNorm,
  Map,
  instance_norm,
  leaky,
)
from echogan_jax.models.sampling import DOWNS, halve
from echogan_jax.shapes import Verdict

# (width in units of `features`, stride) of each hidden layer
PIXEL = ((1, 1), (2, 1))  # with kernels of size 1
PATCH34 = ((1, 2), (2, 2), (4, 1))
PATCH70 = ((1, 2), (2, 2), (4, 2), (8, 1))
SEED142 = ((1, 2), (2, 2), (4, 2), (8, 2), (8, 1))


class PatchGAN(nn.Module):
  """Judge overlapping patches: a map of logits, no sigmoid.

  `PATCH70` is the 70x70 discriminator of CycleGAN. `SEED142` is the one the
  seed printed and called 70x70: with its fourth stride-2 layer it sees
  142x142 pixels. It pads as Keras' `same` and has keras-contrib's norm.

  Attributes:
    layers: (width, stride) per hidden layer; the first has no norm.
    features: what a width of 1 means.
    size: side of every kernel; 1 judges each pixel by itself.
    keras: Keras' padding and norm instead of PyTorch's.
    spectral: spectral norm on every convolution.
    down: `stride`, or `blur` for CUT's: convolve at stride 1, then halve by
      `sampling.halve`; 84x84 pixels with the layers of `PATCH70`.
    dtype: of the computation, None for the operands' own.
  """

  layers: tuple[tuple[int, int], ...] = PATCH70
  features: int = 64
  size: int = 4
  keras: bool = False
  spectral: bool = False
  down: str = 'stride'
  dtype: DTypeLike | None = None

  @property
  def receptive_field(self) -> int:
    """Side of the input square that one logit sees (norms left aside)."""
    side = self.size
    for _, stride in reversed(self.layers):
      if self._blurs(stride):
        side, stride = 2 * side + 1, 1
      side = (side - 1) * stride + self.size
    return side

  @property
  def smallest(self) -> int:
    """The smallest side that leaves one logit."""
    side = 1
    for stride in (1, *(stride for _, stride in reversed(self.layers))):
      if self._blurs(stride):
        side, stride = 2 * side - 1, 1
      side = (side - 1) * stride + self.size - sum(self._pad(stride))
    return side

  def _blurs(self, stride: int) -> bool:
    if self.down not in DOWNS:
      raise BadInput(f'model.….down={self.down}: choose {", ".join(DOWNS)}')
    return self.down == 'blur' and stride == 2

  def _pad(self, stride: int) -> tuple[int, int]:
    half = (self.size - 1) // 2
    return half, self.size // 2 if self.keras and stride == 1 else half

  @nn.compact
  def __call__(self, x: Map) -> Verdict:
    """Judge images in [-1, 1], or images and what they are given with."""
    options = dict(spectral=self.spectral, dtype=self.dtype)
    y, hidden = x, []
    for i, (width, stride) in enumerate(self.layers):
      blurs = self._blurs(stride)
      y = Conv(
        width * self.features,
        self.size,
        stride=1 if blurs else stride,
        pad=self._pad(stride),
        use_bias=i == 0,
        name=f'conv_{i}',
        **options,
      )(y)
      if i:
        y = (
          KerasInstanceNorm(name=f'norm_{i}')(y)
          if self.keras
          else instance_norm(y)
        )
      y = halve(leaky(y)) if blurs else leaky(y)
      hidden.append(y)
    head = Conv(1, self.size, pad=self._pad(1), name='head', **options)
    return Verdict((head(y).astype(x.dtype),), tuple(hidden))
