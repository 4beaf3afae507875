"""The U-Net discriminator (Schönfeld et al. 2020, §3.1).

An encoder judges the image as a whole, a decoder every pixel of it.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from echogan_jax.models.layers import Conv, Map
from echogan_jax.shapes import Verdict

_AREA = 16  # pixels of the paper's bottleneck, over which its head sums


def _conv(
  features: int, size: int, name: str, *, spectral: bool = True, dtype=None
) -> Conv:
  return Conv(
    features,
    size,
    pad=(size // 2, size // 2),
    spectral=spectral,
    init=nn.initializers.orthogonal(),
    dtype=dtype,
    name=name,
  )


def _halve(x: Map) -> Map:
  return nn.avg_pool(x, (2, 2), strides=(2, 2))  # an odd last row is left out


def _double(x: Map, side: tuple[int, int]) -> Map:
  # nearest neighbours; the row that an odd side lost is the last one again
  x = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
  rest = [(0, wanted - n) for wanted, n in zip(side, x.shape[1:3], strict=True)]
  return jnp.pad(x, ((0, 0), *rest, (0, 0)), mode='edge')


class Down(nn.Module):
  """A residual block of the encoder, half the side.

  Attributes:
    features: output channels, of the hidden map too.
    first: take the image as it is instead of rectifying it.
    dtype: of the computation, None for the operands' own.
  """

  features: int
  first: bool = False
  dtype: DTypeLike | None = None

  @nn.compact
  def __call__(self, x: Map) -> Map:
    """Halve a batch of maps."""
    y = x if self.first else nn.relu(x)
    y = _conv(self.features, 3, 'conv_0', dtype=self.dtype)(y)
    y = _conv(self.features, 3, 'conv_1', dtype=self.dtype)(nn.relu(y))
    # a 1x1 convolution commutes with pooling, and after it costs a quarter
    shortcut = _conv(self.features, 1, 'shortcut', dtype=self.dtype)
    return _halve(y) + shortcut(_halve(x))


class Up(nn.Module):
  """A residual block of the decoder, twice the side; fields as `Down`'s."""

  features: int
  dtype: DTypeLike | None = None

  @nn.compact
  def __call__(self, x: Map, side: tuple[int, int]) -> Map:
    """Double a batch of maps to `side`, which may be odd."""
    y = _double(nn.relu(x), side)
    y = _conv(self.features, 3, 'conv_0', dtype=self.dtype)(y)
    y = _conv(self.features, 3, 'conv_1', dtype=self.dtype)(nn.relu(y))
    shortcut = _conv(self.features, 1, 'shortcut', dtype=self.dtype)
    return y + _double(shortcut(x), side)


class UNetGAN(nn.Module):
  """Judge the whole image and each of its pixels, no sigmoid.

  Spectral norm everywhere but in the per-pixel head. The paper's global head
  sums over a bottleneck of 4x4; ours takes 16 times the mean, the same there
  and at other sizes as large.

  Attributes:
    features: channels of the first map. They double up to 8 times as many
      and once more in the deepest map, at most to 16 times: 1, 2, 4, 8, 16
      for five downs (the paper's for 128 pixels), 1, 2, 4, 8, 8, 16 for six
      (its for 256); other depths go by the same rule and are ours.
    downs: halvings.
    dtype: of the computation, None for the operands' own.
  """

  features: int = 64
  downs: int = 5
  dtype: DTypeLike | None = None

  @property
  def smallest(self) -> int:
    """The smallest side: one pixel at the bottom."""
    return 2**self.downs

  def _widths(self) -> list[int]:
    last = self.downs - 1
    times = [min(2**i, 8 if i < last else 16) for i in range(self.downs)]
    return [self.features * n for n in times]

  @nn.compact
  def __call__(self, x: Map) -> Verdict:
    """Judge images in [-1, 1] of any sides from `smallest` on.

    Returns:
      The logits per pixel [batch, height, width, 1] and of the whole
      [batch, 1, 1, 1]; the encoder's maps, the bottleneck last.
    """
    widths, maps = self._widths(), [x]
    for i, width in enumerate(widths):
      down = Down(width, first=i == 0, dtype=self.dtype, name=f'down_{i}')
      maps.append(down(maps[-1]))
    y = maps[-1]
    pooled = _AREA * jnp.mean(nn.relu(y), axis=(1, 2), keepdims=True)
    whole = _conv(1, 1, 'global_head', dtype=self.dtype)(pooled)
    for i in reversed(range(self.downs)):
      up = Up(widths[max(i - 1, 0)], self.dtype, name=f'up_{i}')
      y = up(y, maps[i].shape[1:3])
      if i:
        y = jnp.concatenate([y, maps[i]], axis=-1)
    head = _conv(1, 1, 'pixel_head', spectral=False, dtype=self.dtype)
    logits = (head(y).astype(x.dtype), whole.astype(x.dtype))
    return Verdict(logits, tuple(maps[1:]))
