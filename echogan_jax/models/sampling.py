"""Ways to double and to halve the side of maps.

Transposed convolutions overlap unevenly and leave a checkerboard; the other
ways up are its published cures. Each takes maps of side n to side 2 n.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.dtypes import promote_dtype
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array

from echogan_jax.command import BadInput
from echogan_jax.models.convolution import Map, convolve
from echogan_jax.models.layers import Conv, Deconv

# weights of the pixels around the first of the two that a pixel becomes, the
# nearer one right of the middle; the second has them mirrored
NEAREST = (0.0, 1.0)
BILINEAR = (1 / 4, 3 / 4)
BICUBIC = (-9 / 256, 67 / 256, 225 / 256, -27 / 256)  # Keys with a = -0.75

# weights, and whether the convolution after them reflects at the edge
_RESIZED = {
  'resize': (BILINEAR, True),
  'nearest': (NEAREST, True),
  'bicubic': (BICUBIC, False),
  'blur': (BILINEAR, False),
}
UPS = ('deconv', *_RESIZED, 'pixel_shuffle', 'adaptive')
DOWNS = ('stride', 'blur')


def _repeat(x: Map, axis: int, reach: int) -> Map:
  # jnp.pad(mode='edge') becomes what ONNX has no word for
  n = x.shape[axis]
  first = [lax.slice_in_dim(x, 0, 1, axis=axis)] * reach
  last = [lax.slice_in_dim(x, n - 1, n, axis=axis)] * reach
  return jnp.concatenate([*first, x, *last], axis)


def _reflect(x: Map, axis: int, reach: int) -> Map:
  pads = [(0, 0)] * 4
  pads[axis] = (reach, reach)
  return jnp.pad(x, pads, mode='reflect')


def _shifts(wide: Map, axis: int, reach: int, stride: int) -> list[Map]:
  n, firsts = wide.shape[axis] - 2 * reach, range(2 * reach + 1)
  return [lax.slice_in_dim(wide, i, i + n, stride, axis) for i in firsts]


def double(x: Map, weights: tuple[float, ...]) -> Map:
  """Interpolate to twice the side, as PyTorch does with half-pixel centres.

  Args:
    x: maps, repeated beyond their edges.
    weights: `NEAREST`, `BILINEAR` or `BICUBIC`.
  """
  for axis in (1, 2):
    reach = len(weights) // 2
    near = _shifts(_repeat(x, axis, reach), axis, reach, 1)
    pair = [
      sum(w * y for w, y in zip(side, views, strict=True) if w)
      for side, views in ((weights, near[:-1]), (weights[::-1], near[1:]))
    ]
    shape = (*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    x = jnp.stack(pair, axis=axis + 1).reshape(shape)
  return x


def halve(x: Map) -> Map:
  """Blur with [1, 2, 1] / 4 and keep every second pixel (Zhang 2019)."""
  for axis in (1, 2):
    left, middle, right = _shifts(_reflect(x, axis, 1), axis, 1, 2)
    x = (left + 2 * middle + right) / 4
  return x


def shuffle(x: Map) -> Map:
  """Turn channels [2, 2, n] into squares of 2 x 2 pixels of n channels."""
  batch, height, width, channels = x.shape
  x = x.reshape(batch, height, width, 2, 2, channels // 4)
  x = x.transpose(0, 1, 3, 2, 4, 5)
  return x.reshape(batch, 2 * height, 2 * width, channels // 4)


class Up(nn.Module):
  """Double the side of maps and change their channels.

  Attributes:
    kind: `deconv`, a transposed convolution; `resize` (bilinear) and
      `nearest`, interpolation and a reflected 3x3 convolution (Odena et al.
      2016); `bicubic`, the same with zeros at the edge (StillGAN); `blur`,
      the blur with [1, 3, 3, 1] of CUT, which is bilinear interpolation, and
      zeros at the edge; `pixel_shuffle`; `adaptive`.
    features: output channels.
    size: side of the transposed convolution's kernel, 3 or 4.
    use_bias: off before an instance norm.
    dtype: of the computation, None for the operands' own.
  """

  kind: str
  features: int
  size: int = 3
  use_bias: bool = False
  dtype: DTypeLike | None = None

  @nn.compact
  def __call__(self, x: Map) -> Map:
    """Double a batch of maps; BadInput if there is no such kind."""
    if self.kind not in UPS:
      raise BadInput(f'model.….up={self.kind}: choose {", ".join(UPS)}')
    options = dict(
      features=self.features, use_bias=self.use_bias, dtype=self.dtype
    )
    if self.kind == 'deconv':
      layer = Deconv(size=self.size, output_padding=4 - self.size, **options)
    elif self.kind == 'pixel_shuffle':
      layer = PixelShuffle(**options)
    elif self.kind == 'adaptive':
      layer = Adaptive(**options)
    else:
      weights, reflected = _RESIZED[self.kind]
      layer = Conv(size=3, pad=(1, 1), reflected=reflected, **options)
      x = double(x, weights)
    nn.share_scope(self, layer)  # its parameters are named as if it were ours
    return layer(x)


class Down(nn.Module):
  """Halve the side of maps and change their channels.

  Attributes:
    kind: `stride`, a convolution of stride 2; `blur`, one of stride 1, after
      whose norm and activation `settle` blurs and halves (CUT).
    features: output channels.
    use_bias: off before an instance norm, unless a tap reads the map.
    dtype: of the computation, None for the operands' own.
  """

  kind: str
  features: int
  use_bias: bool = False
  dtype: DTypeLike | None = None

  @nn.compact
  def __call__(self, x: Map) -> Map:
    """Convolve a batch of maps; BadInput if there is no such kind."""
    if self.kind not in DOWNS:
      raise BadInput(f'model.….down={self.kind}: choose {", ".join(DOWNS)}')
    options = dict(use_bias=self.use_bias, dtype=self.dtype)
    stride = 2 if self.kind == 'stride' else 1
    layer = Conv(self.features, 3, stride=stride, pad=(1, 1), **options)
    nn.share_scope(self, layer)
    return layer(x)

  def settle(self, x: Map) -> Map:
    """Halve what the convolution has not."""
    return halve(x) if self.kind == 'blur' else x


def _icnr(key: Array, shape: tuple[int, ...]) -> Array:
  *rest, outputs = shape
  kernel = 0.02 * jax.random.normal(key, (*rest, outputs // 4))
  return jnp.tile(kernel, 4)


class PixelShuffle(nn.Module):
  """A sub-pixel convolution that starts as nearest-neighbour enlargement.

  ICNR (Aitken et al. 2017): the kernels of the four sub-pixels begin equal.
  The parameter is called `icnr_kernel`, so that what initialises every
  `kernel` anew leaves it alone. Attributes as `Up`'s.
  """

  features: int
  use_bias: bool = False
  dtype: DTypeLike | None = None

  @nn.compact
  def __call__(self, x: Map) -> Map:
    """Convolve to four times the channels and spread them over pixels."""
    wide = 4 * self.features
    kernel = self.param('icnr_kernel', _icnr, (3, 3, x.shape[-1], wide))
    bias = None
    if self.use_bias:
      bias = self.param('bias', nn.initializers.zeros, (wide,))
    x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
    y = convolve(x, kernel, pads=((1, 1), (1, 1)))
    return shuffle(y if bias is None else y + bias)


class Adaptive(nn.Module):
  """Enlarge with kernels that the network writes for each place.

  The idea is that of Nguyen & Ray (2018, arXiv 1802.02226): learn the
  up-sampling from the local context at each location. The form is ours and
  unverified against the paper: from a 3x3 context come, for each pixel and
  each of the four it becomes, 3x3 weights shared by an eighth of the
  channels, as deviations from bilinear interpolation, with which it all but
  starts; a 1x1 convolution then mixes the channels. Attributes as `Up`'s.
  """

  features: int
  use_bias: bool = False
  dtype: DTypeLike | None = None

  @nn.compact
  def __call__(self, x: Map) -> Map:
    """Double a batch of maps."""
    (x,) = promote_dtype(x, dtype=self.dtype)
    batch, height, width, channels = x.shape
    groups = math.gcd(channels, 8)
    few, options = max(channels // 4, 1), dict(dtype=self.dtype)
    context = Conv(few, 3, pad=(1, 1), name='context', **options)(x)
    change = Conv(36 * groups, 1, name='weights', **options)(nn.relu(context))
    sides = jnp.array([(*BILINEAR, 0.0), (0.0, *BILINEAR[::-1])], x.dtype)
    plain = jnp.einsum('ri,sj->ijrs', sides, sides).reshape(9, 4, 1)
    weights = plain + change.reshape(batch, height, width, 9, 4, groups)
    wide = _repeat(_repeat(x, 1, 1), 2, 1)
    squares = jnp.stack(
      [wide[:, i : i + height, j : j + width] for i, j in np.ndindex(3, 3)], 3
    ).reshape(batch, height, width, 9, groups, channels // groups)
    y = jnp.einsum('bhwkgc,bhwkpg->bhwpgc', squares, weights)
    y = shuffle(y.reshape(batch, height, width, 4 * channels))
    mix = Conv(self.features, 1, use_bias=self.use_bias, name='mix', **options)
    return mix(y)
