"""Convolutions in the form that is fastest where they run.

One mathematics, three forms of it; `tests/models/test_convolution.py` holds
them to the same numbers:

- `plain`, one operation of XLA each. For accelerators, whose libraries know
  what to do with it.
- `portable`, made of convolutions that no backend is slow at: on CPU, XLA
  leaves its fast path for one without any padding, for one with few output
  channels, and for the gradient of a transposed one. For files that other
  machines run, and types that are not float32.
- `fast`, for CPU: 3x3 products by Winograd, few channels by their planes,
  other weight gradients as one product of matrices for each pixel of the
  kernel, transposed convolutions whose gradients are written down. Second
  derivatives are not defined in forward mode; in reverse mode they are.
"""

import contextlib
import contextvars
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from echogan_jax.models import planes, winograd

Map = Float[Array, 'batch _ _ _']  # NHWC; layers change all but the batch
Kernel = Float[Array, '_ _ inputs _']
Pads = tuple[tuple[int, int], tuple[int, int]]

FORMS = ('plain', 'portable', 'fast')
_NHWC = ('NHWC', 'HWIO', 'NHWC')
_FEW = 4  # channels up to which matrices of their planes win
_ENOUGH = 16  # channels from which on Winograd's transforms pay
_FORM = contextvars.ContextVar('form', default='')


@contextlib.contextmanager
def form(name: str) -> Iterator[None]:
  """Trace what is inside in this form instead of the backend's own."""
  if name not in FORMS:
    raise ValueError(f'{name}: no form of {", ".join(FORMS)}')
  token = _FORM.set(name)
  try:
    yield
  finally:
    _FORM.reset(token)


def chosen() -> str:
  """Return the form that is traced here."""
  own = 'fast' if jax.default_backend() == 'cpu' else 'plain'
  return _FORM.get() or own


def convolve(x: Map, kernel: Kernel, *, stride: int = 1, pads: Pads) -> Map:
  """Correlate with zero padding, as torch's conv2d."""
  how = chosen()
  if how == 'plain':
    return _convolve(x, kernel, stride, pads)
  if how == 'portable':
    return _portable(x, kernel, stride, pads)
  if kernel.shape[2] <= _FEW:
    return planes.from_few(_pad(x, pads), kernel, stride)
  if stride == 1 and kernel.shape[3] <= _FEW:
    return planes.to_few(_pad(x, pads), kernel)
  if (*kernel.shape[:2], stride) == (3, 3, 1) and min(
    kernel.shape[2:]
  ) >= _ENOUGH:
    return winograd.convolve(_pad(x, pads), kernel)
  return _fast(x, kernel, stride, pads)


def _pad(x: Map, pads: Pads) -> Map:
  return jnp.pad(x, ((0, 0), *pads, (0, 0))) if any(map(any, pads)) else x


def _convolve(x: Map, kernel: Kernel, stride: int, pads: Pads) -> Map:
  return lax.conv_general_dilated(
    x, kernel, (stride, stride), pads, dimension_numbers=_NHWC
  )


def _portable(x: Map, kernel: Kernel, stride: int, pads: Pads) -> Map:
  if stride == 1 and kernel.shape[3] <= _FEW:
    return planes.to_few(_pad(x, pads), kernel)
  if pads == ((0, 0), (0, 0)):
    # without any padding XLA:CPU leaves its fast path: pad, then cut off
    rows = (x.shape[1] - kernel.shape[0]) // stride + 1
    return _convolve(x, kernel, stride, ((0, stride), (0, 0)))[:, :rows]
  return _convolve(x, kernel, stride, pads)


def _views(x: Map, size: tuple[int, ...], stride: int) -> list[Map]:
  """List what each pixel of a kernel sees of a map."""
  high, wide = (
    (n - k) // stride for n, k in zip(x.shape[1:3], size, strict=True)
  )
  return [
    x[:, i : i + stride * high + 1 : stride, j : j + stride * wide + 1 : stride]
    for i in range(size[0])
    for j in range(size[1])
  ]


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _fast(x: Map, kernel: Kernel, stride: int, pads: Pads) -> Map:
  return _portable(x, kernel, stride, pads)


def _fast_forward(
  x: Map, kernel: Kernel, stride: int, pads: Pads
) -> tuple[Map, tuple[Map, Kernel]]:
  return _portable(x, kernel, stride, pads), (x, kernel)


def _fast_backward(
  stride: int, pads: Pads, kept: tuple[Map, Kernel], slope: Map
) -> tuple[Map, Kernel]:
  x, kernel = kept
  _, pull = jax.vjp(lambda x: _portable(x, kernel, stride, pads), x)
  return *pull(slope), _by_taps(_pad(x, pads), slope, kernel.shape[:2], stride)


_fast.defvjp(_fast_forward, _fast_backward)


def _by_taps(
  wide: Map, narrow: Map, size: tuple[int, ...], stride: int
) -> Kernel:
  """Return the kernel's gradient of a convolution from `wide` to `narrow`."""

  def tap(seen: Map) -> Array:
    flat = (m.reshape(-1, m.shape[-1]) for m in (seen, narrow))
    return lax.dot_general(*flat, (((0,), (0,)), ((), ())))

  taps = jnp.stack([tap(seen) for seen in _views(wide, size, stride)])
  return taps.reshape(*size, *taps.shape[1:])


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
  how = chosen()
  if how == 'portable':
    return _by_phase(x, kernel, padding, output_padding)
  if how == 'fast':
    return _fast_up(x, kernel, padding, output_padding)
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


def _by_phase(x: Map, kernel: Kernel, padding: int, output_padding: int) -> Map:
  # output row 2m+r sums x[m+s] over the taps k with r + padding - k = 2s, so
  # each of the four phases is an ordinary small convolution of the input
  size = kernel.shape[0]
  taps = []
  for r in (0, 1):
    kept = [k for k in reversed(range(size)) if (r + padding - k) % 2 == 0]
    shifts = [(r + padding - k) // 2 for k in kept]
    taps.append((jnp.array(kept), (-shifts[0], shifts[-1])))
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


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _fast_up(x: Map, kernel: Kernel, padding: int, output_padding: int) -> Map:
  return _by_phase(x, kernel, padding, output_padding)


def _fast_up_forward(
  x: Map, kernel: Kernel, padding: int, output_padding: int
) -> tuple[Map, tuple[Map, Kernel]]:
  return _by_phase(x, kernel, padding, output_padding), (x, kernel)


def _fast_up_backward(
  padding: int, output_padding: int, kept: tuple[Map, Kernel], slope: Map
) -> tuple[Map, Kernel]:
  # what is transposed is a convolution from the output's side to the input's
  x, kernel = kept
  reach = 2 * (x.shape[1] - 1) + kernel.shape[0] - slope.shape[1]
  pads = (padding, reach - padding)
  to_x = _portable(slope, kernel.transpose(0, 1, 3, 2), 2, (pads, pads))
  taps = _by_taps(_pad(slope, (pads, pads)), x, kernel.shape[:2], 2)
  return to_x, taps.transpose(0, 1, 3, 2)


_fast_up.defvjp(_fast_up_forward, _fast_up_backward)
