"""Schedule, average, streams: closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echogan_jax.training import rng, state


def test_rate_is_constant_then_falls_linearly_to_zero():
  rate = state.schedule(2e-4, 100, 50)
  for step, share in ((0, 1), (100, 1), (125, 0.5), (150, 0), (200, 0)):
    np.testing.assert_allclose(rate(jnp.int32(step)), 2e-4 * share, atol=1e-11)


@pytest.mark.parametrize('case', ['default_100_100', 'small_3_4'])
def test_rate_by_epochs_is_the_originals(reference, case):
  golden = reference('primitives')
  used = golden[f'lr_linear/{case}/lr_used_in_epoch_f64']
  constant, decay = map(int, case.split('_')[1:])
  with jax.enable_x64(True):
    rate = state.schedule(2e-4, 7 * constant, 7 * decay, steps_per_epoch=7)
    for epoch, expected in enumerate(used):
      for step in (7 * epoch, 7 * epoch + 6):
        np.testing.assert_allclose(rate(jnp.int64(step)), expected, atol=1e-12)


def test_average_halves_the_distance_in_a_halflife():
  ema, params = {'w': jnp.zeros(())}, {'w': jnp.ones(())}
  for step in range(1000, 1010):
    ema = state.average(ema, params, step, batch=2, halflife=20.0)
  np.testing.assert_allclose(ema['w'], 0.5, rtol=1e-5)


def test_average_forgets_the_start_of_a_run():
  ema, params = {'w': jnp.zeros(())}, {'w': jnp.ones(())}
  for step in range(100):
    ema = state.average(ema, params, step, batch=1, halflife=1e6)
  assert float(ema['w']) > 0.999


def test_streams_are_named_and_distinct():
  root = rng.root(0)
  names = ('init/enhance', 'init/degrade', 'train', 'pool/low', 'pool/high')
  keys = {bytes(jax.random.key_data(rng.stream(root, n))) for n in names}
  assert len(keys) == len(names)
  again = rng.stream(rng.root(0), 'train')
  assert jnp.array_equal(
    jax.random.key_data(again), jax.random.key_data(rng.stream(root, 'train'))
  )
