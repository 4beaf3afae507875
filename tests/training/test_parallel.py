"""Several steps in one dispatch are the steps that they are one by one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from echogan_jax.training import parallel, rng

BATCHES = [
  {'x': np.random.default_rng(n).normal(size=(8, 3)).astype(np.float32)}
  for n in range(4)
]


def step(state, batch, key, *, axis=None):
  """Descend to the batch's mean, and stumble."""
  pull = jnp.mean(batch['x'], axis=0) - state['at']
  pull = lax.pmean(pull, axis) if axis else pull
  luck = jax.random.normal(jax.random.fold_in(key, state['step']))
  now = {'step': state['step'] + 1, 'at': state['at'] + 0.1 * (pull + luck)}
  return now, {'far': jnp.sum(pull**2)}


def go(mode, *sizes):
  devices = jax.devices()[:2]
  run = parallel.compile(step, mode=mode, batch_size=8, devices=devices)
  state, start, far = {'step': jnp.int32(0), 'at': jnp.zeros(3)}, 0, []
  state = parallel.place(state, mode, devices)
  for size in sizes:
    state, said = run(state, BATCHES[start : start + size], rng.root(0))
    start, far = start + size, [*far, *np.ravel(said['far'])]
  return jax.device_get(state), far


@pytest.mark.parametrize('mode', parallel.MODES)
def test_a_dispatch_of_three_is_three_steps(mode):
  one_by_one, far = go('single', 1, 1, 1, 1)
  together, also = go(mode, 3, 1)
  assert together['step'] == 4
  np.testing.assert_allclose(together['at'], one_by_one['at'], rtol=1e-6)
  np.testing.assert_allclose(also, far, rtol=1e-6)
