"""Convolutions from or to few channels, as one product of matrices.

XLA:CPU is slow at those, most of all at their gradients: a map of few
channels makes thin matrices. Here it is unrolled to as many planes as the
kernel has pixels, each contiguous in memory, and the long axis of the product
is that of the pixels. Going to few channels is the transpose of coming from
few, so each is the other's gradient.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Map = Float[Array, 'batch _ _ _']
Kernel = Float[Array, '_ _ _ _']  # HWIO
Planes = Float[Array, 'taps pixels']


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def from_few(x: Map, kernel: Kernel, stride: int) -> Map:
  """Correlate a map of few channels, without padding."""
  high, wide = _sides(x, kernel, stride)
  taps = kernel.reshape(-1, kernel.shape[3])
  y = _product(_planes(x, kernel, stride), taps, (0, 0))
  return y.reshape(x.shape[0], high, wide, -1)


def _from_few_forward(
  x: Map, kernel: Kernel, stride: int
) -> tuple[Map, tuple[Map, Kernel]]:
  return from_few(x, kernel, stride), (x, kernel)


def _from_few_backward(
  stride: int, kept: tuple[Map, Kernel], slope: Map
) -> tuple[Map, Kernel]:
  x, kernel = kept
  to_kernel = _product(
    _planes(x, kernel, stride), slope.reshape(-1, slope.shape[3]), (1, 0)
  )
  widened = _widened(slope, x, kernel, stride)
  return to_few(widened, _turned(kernel)), to_kernel.reshape(kernel.shape)


from_few.defvjp(_from_few_forward, _from_few_backward)


@jax.custom_vjp
def to_few(x: Map, kernel: Kernel) -> Map:
  """Correlate to a map of few channels, without padding, at stride 1."""
  rows, columns, inputs, outputs = kernel.shape
  taps = kernel.swapaxes(2, 3).reshape(-1, inputs)
  planes = _product(taps, x.reshape(-1, inputs), (1, 1))
  planes = planes.reshape(rows, columns, outputs, *x.shape[:3])
  high, wide = _sides(x, kernel, 1)
  y = sum(
    planes[i, j, :, :, i : i + high, j : j + wide]
    for i in range(rows)
    for j in range(columns)
  )
  return jnp.moveaxis(y, 0, 3)


def _to_few_forward(x: Map, kernel: Kernel) -> tuple[Map, tuple[Map, Kernel]]:
  return to_few(x, kernel), (x, kernel)


def _to_few_backward(
  kept: tuple[Map, Kernel], slope: Map
) -> tuple[Map, Kernel]:
  x, kernel = kept
  turned = _turned(kernel)
  planes = _planes(_widened(slope, x, kernel, 1), turned, 1)
  to_x = _product(planes, turned.reshape(-1, turned.shape[3]), (0, 0))
  to_kernel = _product(planes, x.reshape(-1, x.shape[3]), (1, 0))
  return to_x.reshape(x.shape), _turned(to_kernel.reshape(turned.shape))


to_few.defvjp(_to_few_forward, _to_few_backward)


def _sides(x: Map, kernel: Kernel, stride: int) -> tuple:
  high, wide = (  # symbols in a file that takes any size
    (n - k) // stride + 1
    for n, k in zip(x.shape[1:3], kernel.shape[:2], strict=True)
  )
  return high, wide


def _planes(x: Map, kernel: Kernel, stride: int) -> Planes:
  """Unroll a map: for each pixel of the kernel, all that it is laid on."""
  high, wide = ((n - 1) * stride + 1 for n in _sides(x, kernel, stride))
  rows, columns, inputs, _ = kernel.shape
  x = jnp.moveaxis(x, 3, 0)
  x = jnp.stack([x[..., j : j + wide : stride] for j in range(columns)])
  x = jnp.stack([x[..., i : i + high : stride, :] for i in range(rows)])
  return x.reshape(rows * columns * inputs, -1)


def _widened(slope: Map, x: Map, kernel: Kernel, stride: int) -> Map:
  """Lay a slope out so that the turned kernel leads from it back to `x`."""
  pads = [
    (k - 1, (n - k) % stride + k - 1, stride - 1)
    for n, k in zip(x.shape[1:3], kernel.shape[:2], strict=True)
  ]
  zero = jnp.zeros((), slope.dtype)
  return lax.pad(slope, zero, [(0, 0, 0), *pads, (0, 0, 0)])


def _turned(kernel: Kernel) -> Kernel:
  return kernel[::-1, ::-1].swapaxes(2, 3)


def _product(left: Array, right: Array, over: tuple[int, int]) -> Array:
  """Multiply matrix by matrix, summing over this axis of each."""
  return lax.dot_general(left, right, (((over[0],), (over[1],)), ((), ())))
