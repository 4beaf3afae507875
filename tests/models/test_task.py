"""The task network: what it reads, at which sizes, and that it can learn."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from echogan_jax.models.task import TaskNet
from echogan_jax.shapes import TISSUES

LEVELS = (('la_enlarged', 4), ('lvh', 2))


@pytest.mark.parametrize('sides', [(32, 32), (52, 40), (37, 21), (16, 16)])
def test_reading_has_the_sides_of_the_image(sides):
  network = TaskNet(LEVELS, features=2)
  blank = jax.ShapeDtypeStruct((3, *sides, 1), jnp.float32)
  reading, _ = jax.eval_shape(
    network.init_with_output, jax.random.key(0), blank
  )
  assert reading.anatomy.shape == (3, *sides, TISSUES)
  assert {k: v.shape for k, v in reading.grades.items()} == {
    'la_enlarged': (3, 3),
    'lvh': (3, 1),
  }
  rows = [f.shape[1] for f in reading.features]
  assert rows == [sides[0] // 2 ** (i + 1) for i in range(4)]
  assert network.smallest == 16


def discs(key, count):
  """Draw one disc an image, small or large: the grade tells which."""
  large = jnp.arange(count) % 2
  row, column = jnp.mgrid[:24, :24]
  centre = jax.random.uniform(key, (2, count, 1, 1), minval=8, maxval=16)
  radius = jnp.where(large == 1, 7.0, 3.0)[:, None, None]
  inside = jnp.hypot(row - centre[0], column - centre[1]) < radius
  return jnp.where(inside, 0.8, -0.8)[..., None], inside, large


def test_it_learns_to_draw_and_to_tell_large_from_small():
  network = TaskNet((('lvh', 2),), features=4, downs=2)
  x, inside, large = discs(jax.random.key(1), 16)
  variables = jax.jit(network.init)(jax.random.key(0), x)
  optimizer = optax.adam(1e-2)

  def loss(variables):
    reading = network.apply(variables, x)
    drawn = optax.softmax_cross_entropy_with_integer_labels(
      reading.anatomy, inside.astype(jnp.int32)
    )
    told = optax.sigmoid_binary_cross_entropy(
      reading.grades['lvh'][:, 0], large
    )
    return drawn.mean() + told.mean()

  @jax.jit
  def step(variables, state):
    updates, state = optimizer.update(jax.grad(loss)(variables), state)
    return optax.apply_updates(variables, updates), state

  state = optimizer.init(variables)
  for _ in range(80):
    variables, state = step(variables, state)
  x, inside, large = discs(jax.random.key(2), 16)
  reading = jax.jit(network.apply)(variables, x)
  drawn = np.asarray(jnp.argmax(reading.anatomy, axis=-1) == 1)
  overlap = 2 * np.sum(drawn & inside) / (np.sum(drawn) + np.sum(inside))
  assert overlap > 0.85
  np.testing.assert_array_equal(reading.grades['lvh'][:, 0] > 0, large)


def test_black_images_have_finite_gradients():
  network = TaskNet(LEVELS, features=2, downs=3)
  x = jnp.full((1, 16, 16, 1), -1.0)
  variables = jax.jit(network.init)(jax.random.key(0), x)

  def total(x):
    return sum(jnp.sum(y) for y in jax.tree.leaves(network.apply(variables, x)))

  assert np.isfinite(jax.jit(jax.grad(total))(x)).all()
