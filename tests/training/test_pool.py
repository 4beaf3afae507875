"""The image pool against the original's draws, and its statistics."""

import jax
import jax.numpy as jnp
import numpy as np

from echogan_jax.training import pool

BLANK = jnp.zeros((1, 1, 1))


def numbered(numbers):
  return jnp.asarray(numbers, jnp.float32).reshape(-1, 1, 1, 1)


def test_the_originals_draws_give_the_originals_answers(reference):
  golden = reference('primitives')
  draws = golden['image_pool/draws_p_and_slot_f64']
  now = pool.create(4, BLANK)
  first, returned = 0, []
  for size in golden['image_pool/batch_sizes']:
    own = draws[first : first + size]
    now, shown = pool.exchange(
      now,
      jnp.asarray(own[:, 0] > 0.5),
      jnp.maximum(jnp.asarray(own[:, 1], jnp.int32), 0),
      numbered(np.arange(first, first + size)),
    )
    returned += shown.ravel().tolist()
    first += size
  assert returned == golden['image_pool/returned_image_number'].tolist()
  content = golden['image_pool/final_content'].ravel().tolist()
  assert now.items.ravel().tolist() == content


def test_a_full_pool_shows_history_half_of_the_time():
  now, history = pool.create(50, BLANK), 0
  query = jax.jit(pool.query)
  for i in range(600):
    now, shown = query(now, jax.random.key(i), numbered([i]))
    if i < 50:
      assert float(shown[0, 0, 0, 0]) == i
    else:
      history += float(shown[0, 0, 0, 0]) != i
  assert 0.43 < history / 550 < 0.57


def test_what_belongs_to_an_image_goes_with_it():
  both = {'image': BLANK, 'mask': BLANK}
  now, query = pool.create(4, both), jax.jit(pool.query)
  for i in range(30):
    one = numbered([i])
    now, shown = query(now, jax.random.key(i), {'image': one, 'mask': -one})
    np.testing.assert_array_equal(shown['image'], -shown['mask'])
  assert float(jnp.min(now.items['image'])) >= 0
