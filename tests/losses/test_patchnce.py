"""The contrastive term against CUT's own numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echogan_jax.command import BadInput
from echogan_jax.losses.patchnce import patchnce
from echogan_jax.shapes import Outputs, Patches


def outputs(*depths, same=()):
  named = {'patches_same': {'high': same}} if same else {}
  return Outputs({}, {}, {}, patches={'high': depths}, **named)


def patches(seed, batch=2, places=6, valid=None):
  vectors = jax.random.normal(jax.random.key(seed), (2, batch, places, 4))
  vectors /= jnp.linalg.norm(vectors, axis=-1, keepdims=True)
  valid = jnp.ones((batch, places)) if valid is None else valid
  return Patches(vectors[0], vectors[1], valid)


@pytest.mark.parametrize('case', ['b1', 'b2', 'b2_allneg', 'b1_perfect'])
def test_values_and_slopes_are_the_originals(reference, case):
  golden = {
    k.rsplit('/', 1)[1]: v
    for k, v in reference('patchnce').items()
    if k.startswith(f'loss/{case}/')
  }
  batch = int(golden['batch_size'])
  negatives = 'batch' if golden['all_negatives'] else 'image'
  query, key = (
    jnp.asarray(golden[k]).reshape(batch, -1, golden[k].shape[1])
    for k in ('feat_q', 'feat_k')
  )

  def values(query):
    depth = Patches(query, key, jnp.ones(query.shape[:2]))
    return patchnce(outputs(depth), negatives=negatives)

  expected = golden['loss'].reshape(batch, -1).mean(axis=1)
  np.testing.assert_allclose(values(query), expected, rtol=0, atol=5e-6)
  slope = jax.grad(lambda q: jnp.mean(values(q)))(query)
  expected = golden['grad_q_of_mean'].reshape(query.shape)
  np.testing.assert_allclose(slope, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize('negatives', ['image', 'batch'])
def test_places_outside_the_sector_are_as_if_never_drawn(negatives):
  full = patches(0, places=9)
  valid = jnp.ones((2, 9)).at[:, jnp.array([1, 4, 8])].set(0.0)
  kept = np.flatnonzero(valid[0])
  some = Patches(*(x[:, kept] for x in full))
  found = patchnce(outputs(full._replace(valid=valid)), negatives=negatives)
  expected = patchnce(outputs(some), negatives=negatives)
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_negatives_of_the_image_ignore_other_images():
  both = patches(0)
  alone = Patches(*(x[:1] for x in both))
  values = patchnce(outputs(both))
  np.testing.assert_allclose(values[:1], patchnce(outputs(alone)), rtol=1e-5)
  harder = patchnce(outputs(both), negatives='batch')
  assert (harder > values).all()


def test_depths_are_averaged_and_the_identity_halves():
  parts = [patches(seed) for seed in range(4)]
  a, b, c, d = (patchnce(outputs(x)) for x in parts)
  found = patchnce(outputs(*parts[:2]))
  np.testing.assert_allclose(found, (a + b) / 2, rtol=1e-5)
  found = patchnce(outputs(*parts[:2], same=tuple(parts[2:])))
  np.testing.assert_allclose(found, (a + b + c + d) / 4, rtol=1e-5)


def test_two_sided_systems_add_up():
  low, high = patches(0), patches(1)
  out = Outputs({}, {}, {}, patches={'low': (low,), 'high': (high,)})
  expected = patchnce(outputs(low)) + patchnce(outputs(high))
  np.testing.assert_allclose(patchnce(out), expected, rtol=1e-5)


@pytest.mark.parametrize('negatives', ['image', 'batch'])
def test_without_a_place_the_value_is_0_and_the_slope_finite(negatives):
  none = patches(0, valid=jnp.zeros((2, 6)).at[1].set(1.0))

  def values(query):
    depth = none._replace(query=query)
    return patchnce(outputs(depth), negatives=negatives)

  found, slope = (
    values(none.query),
    jax.grad(lambda q: values(q).sum())(none.query),
  )
  assert found[0] == 0 and found[1] > 0
  assert np.isfinite(slope).all()
  np.testing.assert_array_equal(slope[0], 0.0)


def test_unknown_negatives_are_refused():
  with pytest.raises(BadInput, match='choose image or batch'):
    patchnce(outputs(patches(0)), negatives='world')
