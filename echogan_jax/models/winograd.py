"""3x3 convolutions with 16 multiplications for 36: Winograd's F(2x2, 3x3).

Lavin and Gray 2016 (arXiv 1509.09308), eq. 8 and §4.1. The map is cut into
tiles of 4x4 pixels that overlap by two; each gives 2x2 of the output. In the
transformed domain the convolution is 16 products of matrices, which is what
XLA:CPU does best, and so are both of its gradients. They stay 16 by name: one
batched product of them takes twice as long. In float32 it is as exact as the
sums it replaces: the transforms only add, subtract and halve.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Map = Float[Array, 'batch _ _ _']
Kernel = Float[Array, '3 3 inputs outputs']
Cells = list[Float[Array, '_ _']]  # of each cell of a tile, a matrix
Matrix = Sequence[Sequence[float]]
Grid = list[list[Array]]

# rows of the paper's B^T, G and A^T
_INPUT = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
_KERNEL = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
_OUTPUT = ((1, 1, 1, 0), (0, 1, -1, -1))


@jax.custom_vjp
def convolve(x: Map, kernel: Kernel) -> Map:
  """Correlate at stride 1 without padding: sides n to n - 2."""
  return _forward(x, kernel)[0]


def _forward(x: Map, kernel: Kernel) -> tuple[Map, tuple[Map, Kernel]]:
  sums = _products(_tiles(x), _weights(kernel), (1, 0))
  return _join(sums, x.shape), (x, kernel)


def _backward(kept: tuple[Map, Kernel], slope: Map) -> tuple[Map, Kernel]:
  # the transposes of the transforms, around products as many and as large
  x, kernel = kept
  parts = _cells(_both(_turned(_OUTPUT), _phases(_even(slope))))
  to_x = _products(parts, _weights(kernel), (1, 1))
  to_kernel = _products(_tiles(x), parts, (0, 0))
  rows = _both(_turned(_KERNEL), _grid(to_kernel))
  return _spread(to_x, x.shape), jnp.stack([jnp.stack(row) for row in rows])


convolve.defvjp(_forward, _backward)


def _turned(rows: Sequence[Sequence]) -> Sequence[Sequence]:
  return list(zip(*rows, strict=True))


def _mix(matrix: Matrix, parts: Sequence[Array]) -> list[Array]:
  """Multiply a matrix of few numbers with a vector of arrays."""
  mixed = []
  for row in matrix:
    terms = [(w, p) for w, p in zip(row, parts, strict=True) if w]
    total = None
    for weight, part in sorted(terms, key=lambda term: term[0] < 0):
      if total is None:
        total = part if weight == 1 else weight * part
      elif weight in (1, -1):
        total = total + part if weight == 1 else total - part
      else:
        total = total + weight * part
    mixed.append(total)
  return mixed


def _both(matrix: Matrix, grid: Grid) -> Grid:
  """Mix the rows, then the columns."""
  columns = [_mix(matrix, column) for column in _turned(grid)]
  return [_mix(matrix, row) for row in _turned(columns)]


def _products(left: Cells, right: Cells, over: tuple[int, int]) -> Cells:
  """Multiply matrix by matrix, summing over these axes of each."""
  axes = (((over[0],), (over[1],)), ((), ()))
  return [lax.dot_general(a, b, axes) for a, b in zip(left, right, strict=True)]


def _weights(kernel: Kernel) -> Cells:
  pixels = [[kernel[i, j] for j in range(3)] for i in range(3)]
  return _cells(_both(_KERNEL, pixels))


def _cells(grid: Grid) -> Cells:
  """List a 4x4 grid; maps lose their shape, their tiles come in order."""
  return [part.reshape(-1, part.shape[-1]) for row in grid for part in row]


def _grid(cells: Cells) -> Grid:
  return [[cells[4 * i + j] for j in range(4)] for i in range(4)]


def _even(x: Map) -> Map:
  """Add a row and a column of zeros where there is an odd number of them."""
  odd = [(0, side % 2) for side in x.shape[1:3]]
  return jnp.pad(x, ((0, 0), *odd, (0, 0))) if any(map(sum, odd)) else x


def _phases(x: Map) -> Grid:
  return [[x[:, i::2, j::2] for j in range(2)] for i in range(2)]


def _tiles(x: Map) -> Cells:
  x = _even(x)
  high, wide = (side - 2 for side in x.shape[1:3])
  rows = _mix(_INPUT, [x[:, i : i + high : 2] for i in range(4)])
  return _cells(
    [_mix(_INPUT, [r[:, :, j : j + wide : 2] for j in range(4)]) for r in rows]
  )


def _join(cells: Cells, shape: tuple[int, ...]) -> Map:
  """Turn the products into the output of an input of this shape."""
  batch, high, wide = shape[0], shape[1] - 2, shape[2] - 2
  rows = _both(_OUTPUT, _grid(cells))
  tiled = (batch, -(-high // 2), -(-wide // 2), -1)
  return _interleave([[part.reshape(tiled) for part in row] for row in rows])[
    :, :high, :wide
  ]


def _interleave(grid: Grid) -> Map:
  """Put four phases together to a map of twice the side."""
  y = jnp.stack([jnp.stack(row, axis=3) for row in grid], axis=2)
  batch, high, _, wide, _, channels = y.shape
  return y.reshape(batch, 2 * high, 2 * wide, channels)


def _spread(cells: Cells, shape: tuple[int, ...]) -> Map:
  """Transpose `_tiles`: add up what overlaps."""
  batch, high, wide, _ = shape
  tiled = (batch, (high - 1) // 2, (wide - 1) // 2, -1)
  grid = _both(_turned(_INPUT), _grid(cells))
  rows = [[part.reshape(tiled) for part in row] for row in grid]
  # pixels 0 and 1 of a tile lie on 2 and 3 of the one before
  beside = [_overlap(row, axis=2) for row in rows]
  columns = [_overlap(list(column), axis=1) for column in _turned(beside)]
  y = _interleave([list(row) for row in _turned(columns)])
  return y[:, :high, :wide]


def _overlap(parts: Sequence[Array], axis: int) -> list[Array]:
  before, after = ([(0, 0)] * 4 for _ in range(2))
  before[axis], after[axis] = (1, 0), (0, 1)
  return [
    jnp.pad(parts[i], after) + jnp.pad(parts[i + 2], before) for i in range(2)
  ]
