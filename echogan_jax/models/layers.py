"""Convolutions and norms: PyTorch's geometry, in the form XLA runs fastest.

The mathematics is that of the plain layers. On CPU three of them have slow
paths in XLA (a convolution without padding, one with few output channels,
the gradient of a transposed one), so `_on_cpu` chooses an equal form made of
convolutions that are fast; `tests/models/test_layers.py` holds both to the
same numbers.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

Map = Float[Array, 'batch _ _ _']  # NHWC; layers change all but the batch
Kernel = Float[Array, '_ _ inputs _']
Pads = tuple[tuple[int, int], tuple[int, int]]

_NHWC = ('NHWC', 'HWIO', 'NHWC')
_FEW = 4  # output channels up to which the separable sum wins


def _on_cpu() -> bool:
  return jax.default_backend() == 'cpu'


def _convolve(x: Map, kernel: Kernel, stride: int, pads: Pads) -> Map:
  return lax.conv_general_dilated(
    x, kernel, (stride, stride), pads, dimension_numbers=_NHWC
  )


def convolve(x: Map, kernel: Kernel, *, stride: int = 1, pads: Pads) -> Map:
  """Correlate with zero padding, as torch's conv2d."""
  if not _on_cpu():
    return _convolve(x, kernel, stride, pads)
  if stride == 1 and kernel.shape[3] <= _FEW:
    return _convolve_to_few(x, kernel, pads)
  if pads == ((0, 0), (0, 0)):
    # without any padding XLA:CPU leaves its fast path: pad, then cut off
    rows = (x.shape[1] - kernel.shape[0]) // stride + 1
    return _convolve(x, kernel, stride, ((0, stride), (0, 0)))[:, :rows]
  return _convolve(x, kernel, stride, pads)


def _convolve_to_few(x: Map, kernel: Kernel, pads: Pads) -> Map:
  # one channel per kernel column, then a sum of shifted columns: the weight
  # gradient of a one-channel convolution is ten times slower
  rows, columns, inputs, outputs = kernel.shape
  tall = kernel.transpose(0, 2, 1, 3).reshape(
    rows, 1, inputs, columns * outputs
  )
  x = jnp.pad(x, ((0, 0), (0, 0), pads[1], (0, 0)))
  parts = _convolve(x, tall, 1, (pads[0], (0, 0)))
  parts = parts.reshape(*parts.shape[:3], columns, outputs)
  width = x.shape[2] - columns + 1
  return sum(parts[:, :, i : i + width, i] for i in range(columns))


def deconvolve(
  x: Map, kernel: Kernel, *, padding: int, output_padding: int
) -> Map:
  """Transpose a stride-2 convolution, as torch's conv_transpose2d.

  Args:
    x: input map.
    kernel: square; torch's [in, out, k, k] as [k, k, in, out], not flipped.
    padding: of the convolution that is transposed.
    output_padding: rows and columns added at the end.

  Returns:
    A map of side 2 n - 2 - 2 padding + k + output_padding.
  """
  if _on_cpu():
    return _deconvolve_by_phase(x, kernel, padding, output_padding)
  size = kernel.shape[0]
  pads = (size - 1 - padding, size - 1 - padding + output_padding)
  return lax.conv_general_dilated(
    x,
    kernel[::-1, ::-1],
    (1, 1),
    (pads, pads),
    lhs_dilation=(2, 2),
    dimension_numbers=_NHWC,
  )


def _deconvolve_by_phase(
  x: Map, kernel: Kernel, padding: int, output_padding: int
) -> Map:
  # output row 2m+r sums x[m+s] over the taps k with r + padding - k = 2s, so
  # each of the four phases is an ordinary small convolution of the input
  size = kernel.shape[0]
  taps = []
  for r in (0, 1):
    chosen = [k for k in reversed(range(size)) if (r + padding - k) % 2 == 0]
    shifts = [(r + padding - k) // 2 for k in chosen]
    taps.append((jnp.array(chosen), (-shifts[0], shifts[-1])))
  rows = []
  for vertical, above in taps:
    phases = [
      _convolve(x, kernel[vertical][:, horizontal], 1, (above, beside))
      for horizontal, beside in taps
    ]
    rows.append(jnp.stack(phases, axis=3))
  y = jnp.stack(rows, axis=2)  # [batch, m, r, n, r, channels]
  batch, height, _, width, _, channels = y.shape
  y = y.reshape(batch, 2 * height, 2 * width, channels)
  side = -2 - 2 * padding + size + output_padding
  return y[:, : 2 * x.shape[1] + side, : 2 * x.shape[2] + side]


def reflect(x: Map, width: int) -> Map:
  """Pad by reflection, the edge not repeated."""
  pads = ((0, 0), (width, width), (width, width), (0, 0))
  return jnp.pad(x, pads, mode='reflect')


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
