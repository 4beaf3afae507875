"""One step, three ways to run it: on one device, by pmap, by sharding.

The state has the same shape in all three, so there is one checkpoint code
and a run may continue in another mode or on another number of devices.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from echogan_jax.command import BadInput
from echogan_jax.training.step import Step

MODES = ('single', 'pmap', 'sharded')


def compile(
  step: Step,
  *,
  mode: str,
  batch_size: int,
  devices: Sequence[jax.Device] | None = None,
) -> Callable:
  """Return the compiled `(state, batch, key) -> (state, metrics)`.

  The state is donated: what was passed in cannot be used again.

  Args:
    step: what `step.make` returned.
    mode: `single` uses the first device; `pmap` and `sharded` split the
      batch over all of them.
    batch_size: of the whole batch.
    devices: None for all.

  Raises:
    BadInput: the mode is unknown, or the batch does not split evenly.
  """
  if mode not in MODES:
    raise BadInput(f'parallel.mode={mode}: choose one of {", ".join(MODES)}')
  devices = list(devices or jax.devices())
  if mode != 'single' and batch_size % len(devices):
    raise BadInput(
      f'data.batch_size={batch_size} does not split over {len(devices)} '
      f'devices; use a multiple of {len(devices)}, or parallel.mode=single'
    )
  if mode == 'single':
    return jax.jit(step, donate_argnums=0)
  if mode == 'sharded':
    everywhere = _replicated(devices)
    by_batch = NamedSharding(everywhere.mesh, PartitionSpec('batch'))
    return jax.jit(
      step,
      in_shardings=(everywhere, by_batch, everywhere),
      out_shardings=everywhere,
      donate_argnums=0,
    )
  return _by_pmap(step, devices)


def _by_pmap(step: Step, devices: Sequence[jax.Device]) -> Callable:
  mapped = jax.pmap(
    functools.partial(step, axis='batch'),
    axis_name='batch',
    in_axes=(None, 0, None),
    out_axes=None,
    donate_argnums=0,
    devices=devices,
  )

  def fold(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(devices), -1, *array.shape[1:])

  return lambda state, batch, key: mapped(state, jax.tree.map(fold, batch), key)


def place(
  state: PyTree, mode: str, devices: Sequence[jax.Device] | None = None
) -> PyTree:
  """Copy a state to the devices that the mode computes on."""
  devices = list(devices or jax.devices())
  where = devices[0] if mode == 'single' else _replicated(devices)
  # the step donates its state: what is placed must not be the caller's own
  return jax.device_put(jax.tree.map(np.array, state), where)


def _replicated(devices: Sequence[jax.Device]) -> NamedSharding:
  mesh = Mesh(np.array(devices), ('batch',), axis_types=(AxisType.Auto,))
  return NamedSharding(mesh, PartitionSpec())
