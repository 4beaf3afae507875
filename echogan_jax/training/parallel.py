"""One step, three ways to run it: on one device, by pmap, by sharding.

Several steps may go in one dispatch; nothing is seen between them.

The state has the same shape in all three, so there is one checkpoint code
and a run may continue in another mode or on another number of devices.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax import lax
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
  """Return the compiled `(state, batches, key) -> (state, metrics)`.

  The state is donated: what was passed in cannot be used again. For one batch
  the metrics are scalars; for several, of which each is a step, they are
  vectors, and the program is another one.

  Args:
    step: what `step.make` returned.
    mode: `single` uses the first device; `pmap` and `sharded` split the
      batch over all of them.
    batch_size: of the whole batch, of which a call passes this process's rows.
    devices: None for all.

  Raises:
    BadInput: the mode is unknown, or the batch does not split evenly.
  """
  if mode not in MODES:
    raise BadInput(f'parallel.mode={mode}: choose one of {", ".join(MODES)}')
  devices = list(devices or jax.devices())
  if mode == 'single' and jax.process_count() > 1:
    raise BadInput(
      f'parallel.mode=single, but {jax.process_count()} processes have joined: '
      'use sharded or pmap'
    )
  if mode != 'single' and batch_size % len(devices):
    raise BadInput(
      f'data.batch_size={batch_size} does not split over {len(devices)} '
      f'devices; use a multiple of {len(devices)}, or parallel.mode=single'
    )
  make = {'single': _alone, 'sharded': _by_sharding, 'pmap': _by_pmap}[mode]
  one, many = make(step, devices, 0), make(_in_turn(step), devices, 1)

  def run(
    state: PyTree, batches: Sequence[PyTree], key: jax.Array
  ) -> tuple[PyTree, PyTree]:
    if len(batches) == 1:
      return one(state, batches[0], key)
    stacked = jax.tree.map(lambda *arrays: np.stack(arrays), *batches)
    return many(state, stacked, key)

  return run


def _in_turn(step: Step) -> Callable:
  def steps(
    state: PyTree, batches: PyTree, key: jax.Array, **axis: str
  ) -> tuple[PyTree, PyTree]:
    return lax.scan(lambda now, b: step(now, b, key, **axis), state, batches)

  return steps


def _alone(step: Step, devices: Sequence[jax.Device], rows: int) -> Callable:
  del devices, rows
  return jax.jit(step, donate_argnums=0)


def _by_sharding(
  step: Step, devices: Sequence[jax.Device], rows: int
) -> Callable:
  """Split axis `rows` of the batch."""
  everywhere = _replicated(devices)
  spec = PartitionSpec(*[None] * rows, 'batch')
  by_batch = NamedSharding(everywhere.mesh, spec)
  run = jax.jit(
    step,
    in_shardings=(everywhere, by_batch, everywhere),
    out_shardings=everywhere,
    donate_argnums=0,
  )
  return lambda state, batch, key: run(state, _whole(batch, by_batch), key)


def _whole(batch: PyTree, where: NamedSharding) -> PyTree:
  """Return the whole batch, of which each process has its own rows."""
  if jax.process_count() == 1:
    return batch
  return jax.tree.map(
    lambda x: jax.make_array_from_process_local_data(where, x), batch
  )


def _by_pmap(step: Step, devices: Sequence[jax.Device], rows: int) -> Callable:
  """Split axis `rows` of the batch."""
  mapped = jax.pmap(
    functools.partial(step, axis='batch'),
    axis_name='batch',
    in_axes=(None, rows, None),
    out_axes=None,
    donate_argnums=0,
    devices=devices,
  )

  own = sum(d.process_index == jax.process_index() for d in devices)

  def fold(array: np.ndarray) -> np.ndarray:
    before, after = array.shape[:rows], array.shape[rows + 1 :]
    return array.reshape(*before, own, -1, *after)

  return lambda state, batch, key: mapped(state, jax.tree.map(fold, batch), key)


def share() -> tuple[int, int]:
  """Return (number of this process, how many there are)."""
  return jax.process_index(), jax.process_count()


def place(
  state: PyTree, mode: str, devices: Sequence[jax.Device] | None = None
) -> PyTree:
  """Copy a state to the devices that the mode computes on."""
  devices = list(devices or jax.devices())
  where = devices[0] if mode == 'single' else _replicated(devices)

  def put(leaf: jax.Array | np.ndarray) -> jax.Array:
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
      return jax.random.wrap_key_data(put(jax.random.key_data(leaf)))
    # the step donates its state: what is placed must not be the caller's own
    return jax.device_put(np.array(leaf), where)

  return jax.tree.map(put, state)


def shared(state: PyTree) -> PyTree:
  """Return a state as one that all processes hold together, to be saved."""
  if share()[1] > 1 and jax.tree.leaves(state)[0].is_fully_addressable:
    return place(state, 'pmap')  # which returns each process its own copy
  return state


def _replicated(devices: Sequence[jax.Device]) -> NamedSharding:
  mesh = Mesh(np.array(devices), ('batch',), axis_types=(AxisType.Auto,))
  return NamedSharding(mesh, PartitionSpec())
