"""What an exported file computes: frames in, frames out, nothing beside it."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Array, Bool, PyTree, UInt8

from echogan_jax.command import BadInput
from echogan_jax.models.convolution import form
from echogan_jax.models.deployed import Frames, Inside, Values, apply

Deployed = Callable[[Frames, Inside], tuple[Frames, Values]]

INPUTS = ('frames', 'inside')
OUTPUTS = ('enhanced', 'values')
TOLERANCE = 1e-3  # in `values`: an eighth of a grey level


def deployed(generator: nn.Module, params: PyTree) -> Deployed:
  """Return (frames, inside) -> (enhanced, values), weights included.

  In the portable form: what is traced on one machine holds on any other.
  """

  def call(frames: Frames, inside: Inside) -> tuple[Frames, Values]:
    with form('portable'):
      return apply(generator, params, frames, inside)

  return call


def sizes(generator: nn.Module, trained: int, *, fixed: bool = False) -> str:
  """Say which frames a file takes."""
  side = f'{trained} pixels, the side it was trained on'
  if not fixed:
    side = (
      f'each a multiple of {generator.multiple} from {generator.smallest} '
      f'pixels on, trained at {trained}'
    )
  return f'any batch; height and width {side}'


def samples(
  generator: nn.Module, trained: int
) -> list[tuple[UInt8[np.ndarray, '...'], Bool[np.ndarray, '...']]]:
  """Return inputs that a file is tried on: the trained size, then another."""
  draw = np.random.default_rng(0)
  wide = trained + generator.multiple
  shapes = (2, trained, trained, 1), (1, trained, wide, 1)
  return [
    (draw.integers(0, 256, s, np.uint8), draw.random(s) < 0.5) for s in shapes
  ]


def run(
  call: Callable[..., Sequence[Array]], sample: Sequence[np.ndarray]
) -> list[np.ndarray]:
  """Call on the CPU, where float32 is float32: accelerators round it.

  Raises:
    BadInput: JAX was told to leave the CPU alone.
  """
  try:
    cpu = jax.local_devices(backend='cpu')[0]
  except RuntimeError as error:
    raise BadInput('files are tried on the CPU: unset JAX_PLATFORMS') from error
  with jax.default_device(cpu):
    return [np.asarray(array) for array in call(*sample)]


def difference(
  found: Sequence[np.ndarray], expected: Sequence[np.ndarray]
) -> float:
  """Return by how much `values` differ, infinite where the pictures do.

  Args:
    found: (enhanced, values) of the file.
    expected: those of the network; what is not a number equals nothing.
  """
  grey = np.abs(np.subtract(found[0], expected[0], dtype=np.int16))
  if np.max(grey) > 1 or np.mean(grey > 0) > 1e-3:
    return np.inf
  values = np.abs(np.subtract(found[1], expected[1]))
  return float(np.max(np.nan_to_num(values, nan=np.inf)))
