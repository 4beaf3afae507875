"""One step, three ways to run it: on one device, by pmap, by sharding.

The state has the same shape in all three, so there is one checkpoint code
and a run may continue in another mode or on another number of devices.
"""

import functools
from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from echogan_jax.command import BadInput
from echogan_jax.shapes import PyTree
from echogan_jax.training.step import Step

MODES = ('single', 'pmap', 'sharded')


def compile(step: Step, *, mode: str, batch_size: int) -> Callable:
  """Return the compiled `(state, batch, key) -> (state, metrics)`.

  The state is donated: what was passed in cannot be used again.

  Args:
    step: what `step.make` returned.
    mode: `single` uses the first device; `pmap` and `sharded` split the
      batch over all of them.
    batch_size: of the whole batch.

  Raises:
    BadInput: the mode is unknown, or the batch does not split evenly.
  """
  if mode not in MODES:
    raise BadInput(f'parallel.mode={mode}: choose one of {", ".join(MODES)}')
  count = jax.device_count()
  if mode != 'single' and batch_size % count:
    raise BadInput(
      f'data.batch_size={batch_size} does not split over {count} devices; '
      f'use a multiple of {count}, or parallel.mode=single'
    )
  if mode == 'single':
    return jax.jit(step, donate_argnums=0)
  if mode == 'sharded':
    mesh = jax.make_mesh(
      (count,), ('batch',), axis_types=(jax.sharding.AxisType.Auto,)
    )
    everywhere = NamedSharding(mesh, PartitionSpec())
    by_batch = NamedSharding(mesh, PartitionSpec('batch'))
    return jax.jit(
      step,
      in_shardings=(everywhere, by_batch, everywhere),
      out_shardings=everywhere,
      donate_argnums=0,
    )
  mapped = jax.pmap(
    functools.partial(step, axis='batch'),
    axis_name='batch',
    in_axes=(None, 0, None),
    out_axes=None,
    donate_argnums=0,
  )
  return lambda state, batch, key: mapped(state, _fold(batch, count), key)


def _fold(batch: PyTree, count: int) -> PyTree:
  def fold(array: np.ndarray) -> np.ndarray:
    return array.reshape(count, -1, *array.shape[1:])

  return jax.tree.map(fold, batch)
