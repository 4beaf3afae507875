"""Convolutions and norms with PyTorch's geometry, as modules."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.dtypes import promote_dtype
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array

from echogan_jax.models.convolution import (
  Kernel,
  Map,
  chosen,
  convolve,
  deconvolve,
)


def reflect(x: Map, width: int) -> Map:
  """Pad by reflection, the edge not repeated."""
  if chosen() == 'fast':
    return _by_index(x, width)
  return jnp.pad(x, ((0, 0), (width, width), (width, width), (0, 0)), 'reflect')


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _by_index(x: Map, width: int) -> Map:
  # on CPU a chain of slices and joins is several times slower
  rows, columns = (
    np.pad(np.arange(side), width, mode='reflect') for side in x.shape[1:3]
  )
  return x[:, rows][:, :, columns]


def _by_index_forward(x: Map, width: int) -> tuple[Map, None]:
  return _by_index(x, width), None


def _by_index_backward(width: int, _: None, slope: Map) -> tuple[Map]:
  for axis in (1, 2):
    slope = _fold(slope, width, axis)
  return (slope,)


_by_index.defvjp(_by_index_forward, _by_index_backward)


def _fold(slope: Map, width: int, axis: int) -> Map:
  """Add what lies beyond the two pixels next to the edges to its mirror."""
  side = slope.shape[axis] - 2 * width
  cut = functools.partial(lax.slice_in_dim, slope, axis=axis)
  before, after = cut(0, width), cut(side + width, None)
  inner = cut(width, side + width)
  room = [(0, 0)] * slope.ndim
  near, far = room.copy(), room.copy()
  near[axis], far[axis] = (1, side - width - 1), (side - width - 1, 1)
  return (
    inner
    + jnp.pad(jnp.flip(before, axis), near)
    + jnp.pad(jnp.flip(after, axis), far)
  )


def instance_norm(x: Map, *, epsilon: float = 1e-5) -> Map:
  """Normalise each channel of each image (Ulyanov et al. 2016), no affine.

  Biased variance. The statistics are at least float32 and taken in one pass
  about each channel's corner pixel: as fast as E[x²] - E[x]², without its
  cancellation where a channel's mean is far from zero.
  """
  wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
  centred = wide - lax.stop_gradient(wide[:, :1, :1])
  first = jnp.mean(centred, axis=(1, 2), keepdims=True)
  second = jnp.mean(centred * centred, axis=(1, 2), keepdims=True)
  variance = jnp.maximum(second - first * first, 0.0)
  scale = lax.rsqrt(variance + epsilon)
  return (centred * scale - first * scale).astype(x.dtype)


def leaky(x: Map) -> Map:
  """Rectify with slope 0.2, the discriminators' activation."""
  return nn.leaky_relu(x, 0.2)


class KerasInstanceNorm(nn.Module):
  """The seed's norm: keras-contrib's, affine, 1e-3 added to the deviation."""

  @nn.compact
  def __call__(self, x: Map) -> Map:
    """Normalise each channel of each image, then scale and shift it."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    centred = wide - jnp.mean(wide, axis=(1, 2), keepdims=True)
    variance = jnp.mean(centred * centred, axis=(1, 2), keepdims=True)
    # a flat channel has deviation 0, where the square root has no slope
    deviation = jnp.sqrt(jnp.maximum(variance, 1e-12))
    scale = self.param('scale', nn.initializers.ones, x.shape[-1:])
    bias = self.param('bias', nn.initializers.zeros, x.shape[-1:])
    return (centred / (deviation + 1e-3) * scale + bias).astype(x.dtype)


class Conv(nn.Module):
  """A convolution with square kernel, N(0, 0.02²) weights and zero bias.

  Attributes:
    features: output channels.
    size: side of the kernel.
    stride: in both directions.
    pad: (before, after) in both directions.
    reflected: fill the padding by reflection instead of zeros.
    use_bias: off before an instance norm: that bias has no gradient, and
      Adam would turn its rounding noise into full-sized steps.
    spectral: divide the kernel by its largest singular value (Miyato et al.
      2018), one power iteration a pass; its vector lives in `stats`.
    dtype: of the computation, None for the operands' own.
    init: of the kernel.
  """

  features: int
  size: int
  stride: int = 1
  pad: tuple[int, int] = (0, 0)
  reflected: bool = False
  use_bias: bool = True
  spectral: bool = False
  dtype: DTypeLike | None = None
  init: Callable = nn.initializers.normal(0.02)

  @nn.compact
  def __call__(self, x: Map) -> Map:
    """Convolve a batch of maps."""
    shape = (self.size, self.size, x.shape[-1], self.features)
    kernel = self.param('kernel', self.init, shape)
    bias = None
    if self.use_bias:
      bias = self.param('bias', nn.initializers.zeros, (self.features,))
    if self.spectral:
      kernel = kernel / self._sigma(kernel)
    x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
    pads = (self.pad, self.pad)
    if self.reflected:
      x, pads = reflect(x, self.pad[0]), ((0, 0), (0, 0))
    y = convolve(x, kernel, stride=self.stride, pads=pads)
    return y if bias is None else y + bias

  def _sigma(self, kernel: Kernel) -> Array:
    matrix = kernel.reshape(-1, self.features)
    vector = self.variable('stats', 'u', self._unit_vector)
    left = lax.stop_gradient(_unit(matrix @ vector.value))
    right = lax.stop_gradient(_unit(matrix.T @ left))
    if self.is_mutable_collection('stats') and not self.is_initializing():
      vector.value = right
    return left @ matrix @ right

  def _unit_vector(self) -> Array:
    key = self.make_rng('params')
    return _unit(jax.random.normal(key, (self.features,)))


def _unit(vector: Array) -> Array:
  return vector / jnp.maximum(jnp.linalg.norm(vector), 1e-6)


class Deconv(nn.Module):
  """A stride-2 transposed convolution; fields as `Conv`'s."""

  features: int
  size: int
  padding: int = 1
  output_padding: int = 0
  use_bias: bool = True
  dtype: DTypeLike | None = None

  @nn.compact
  def __call__(self, x: Map) -> Map:
    """Double the side of a batch of maps."""
    shape = (self.size, self.size, x.shape[-1], self.features)
    kernel = self.param('kernel', nn.initializers.normal(0.02), shape)
    bias = None
    if self.use_bias:
      bias = self.param('bias', nn.initializers.zeros, (self.features,))
    x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
    y = deconvolve(
      x, kernel, padding=self.padding, output_padding=self.output_padding
    )
    return y if bias is None else y + bias
