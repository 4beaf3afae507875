"""PatchNCE's places and embeddings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echogan_jax.models import projector


def samples_of(golden):
  maps = [golden[f'sample/feat{i}'].transpose(0, 2, 3, 1) for i in range(3)]
  return tuple(
    projector.gather(
      jnp.asarray(x), jnp.asarray(golden[f'sample/patch_ids{i}'])[None]
    )
    for i, x in enumerate(maps)
  )


def test_projector_agrees_with_the_original(reference):
  golden = reference('patchnce')
  samples = samples_of(golden)
  params = {}
  for i in range(3):
    params[f'mlp_{i}'] = {
      name: {
        'kernel': golden[f'sample/w/mlp_{i}.{j}.weight'].T,
        'bias': golden[f'sample/w/mlp_{i}.{j}.bias'],
      }
      for name, j in (('hidden', 0), ('out', 2))
    }
  network = projector.Projector(features=64)
  made = jax.eval_shape(network.init, jax.random.key(0), samples)
  assert jax.tree.structure(made['params']) == jax.tree.structure(params)
  embedded = network.apply({'params': params}, samples)
  for i in range(3):
    np.testing.assert_allclose(
      embedded[i][0], golden[f'sample/mlp/out{i}'], atol=1e-6
    )
    np.testing.assert_allclose(
      projector.unit(samples[i])[0], golden[f'sample/nomlp/out{i}'], atol=1e-6
    )


@pytest.fixture
def mask():
  """Two sectors: a half of 32 places of a map 8x8, and 4 places."""
  mask = np.zeros((2, 32, 32, 1), np.float32)
  mask[0, :16] = 1
  mask[1, :8, :8] = 1
  return jnp.asarray(mask)


def test_places_are_inside_while_there_are_any(mask):
  index, valid = projector.choose(jax.random.key(0), mask, 8, 8, 20)
  assert index.shape == valid.shape == (2, 20)
  assert index.dtype == jnp.int32
  np.testing.assert_array_equal(valid.sum(axis=1), [20, 4])
  assert (index[0] < 32).all()
  assert set(np.asarray(index[1][valid[1] == 1])) == {0, 1, 8, 9}
  for row in np.asarray(index):
    assert len(set(row)) == 20


def test_no_more_places_than_the_map_has(mask):
  index, valid = projector.choose(jax.random.key(0), mask, 2, 2, 256)
  np.testing.assert_array_equal(np.sort(index, axis=1), [[0, 1, 2, 3]] * 2)
  # the second sector fills a quarter of its place: its centre is outside
  np.testing.assert_array_equal(valid.sum(axis=1), [2, 0])


def test_a_map_may_be_larger_than_its_image(mask):
  index, valid = projector.choose(jax.random.key(0), mask, 38, 38, 38 * 38)
  inside = np.zeros((2, 38 * 38))
  np.put_along_axis(inside, np.asarray(index), np.asarray(valid), axis=1)
  assert inside[0].reshape(38, 38)[:18].all()
  assert not inside[0].reshape(38, 38)[20:].any()


def test_places_do_not_depend_on_how_the_batch_is_split(mask):
  key = jax.random.key(3)
  whole = projector.choose(key, mask, 8, 8, 16)
  parts = [projector.choose(key, mask[i : i + 1], 8, 8, 16) for i in (0, 1)]
  for together, *apart in zip(whole, *parts, strict=True):
    np.testing.assert_array_equal(together, jnp.concatenate(apart))
  other, _ = projector.choose(jax.random.key(4), mask, 8, 8, 16)
  assert (np.sort(other[0]) != np.sort(whole[0][0])).any()


def test_every_place_is_as_likely_as_another():
  mask = jnp.ones((1, 8, 8, 1))
  keys = jax.random.split(jax.random.key(0), 4000)
  index, _ = jax.vmap(lambda key: projector.choose(key, mask, 4, 4, 4))(keys)
  share = np.bincount(np.asarray(index).ravel(), minlength=16) / 4000
  np.testing.assert_allclose(share, 0.25, atol=0.03)


def test_gather_reads_the_grid_row_by_row():
  x = jnp.arange(2 * 3 * 5 * 2.0).reshape(2, 3, 5, 2)
  found = projector.gather(x, jnp.array([[7, 0], [14, 3]]))
  np.testing.assert_array_equal(found[0], [x[0, 1, 2], x[0, 0, 0]])
  np.testing.assert_array_equal(found[1], [x[1, 2, 4], x[1, 0, 3]])


def test_flat_maps_have_finite_gradients():
  network = projector.Projector(features=3)
  samples = (jnp.zeros((1, 4, 2)),)
  variables = network.init(jax.random.key(0), samples)

  def total(variables, samples):
    return jnp.sum(network.apply(variables, samples)[0] * 0.5)

  slopes = jax.grad(total, argnums=(0, 1))(variables, samples)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


def test_bfloat16_gives_float32_of_unit_length():
  samples = (100 * jax.random.normal(jax.random.key(1), (1, 4, 2)),)
  network = projector.Projector(features=8, dtype=jnp.bfloat16)
  variables = network.init(jax.random.key(0), samples)
  (embedded,) = network.apply(variables, samples)
  assert embedded.dtype == jnp.float32
  np.testing.assert_allclose(jnp.linalg.norm(embedded, axis=-1), 1.0, atol=1e-3)
