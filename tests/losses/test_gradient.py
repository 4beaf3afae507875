"""Paired and edge terms against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echogan_jax.command import BadInput
from echogan_jax.losses.gradient import gradient, paired
from echogan_jax.shapes import Outputs


def outputs(seed=0, mask=1.0, shape=(3, 12, 16, 1)):
  keys = iter(jax.random.split(jax.random.key(seed), 4))

  def both():
    return {d: jax.random.normal(next(keys), shape) for d in ('low', 'high')}

  masks = {d: jnp.full(shape, mask) for d in ('low', 'high')}
  return Outputs(both(), masks, both())


def test_paired_looks_at_the_enhanced_image():
  out = outputs()
  expected = jnp.mean(jnp.abs(out.fake['high'] - out.real['high']), (1, 2, 3))
  np.testing.assert_allclose(paired(out), expected, rtol=1e-6)


def test_paired_gradients_are_forward_differences():
  rows, columns = jnp.meshgrid(jnp.arange(6.0), jnp.arange(8.0), indexing='ij')
  ramp = (2.0 * rows + 0.5 * columns)[None, :, :, None]
  flat = jnp.full(ramp.shape, 0.3)
  out = Outputs({'high': flat}, {}, {'high': ramp})
  np.testing.assert_allclose(gradient(out), [2.5], rtol=1e-5)
  shifted = out._replace(fake={'high': flat + 0.4})
  np.testing.assert_allclose(gradient(shifted), [0.0], atol=1e-6)


def test_correlation_is_numpys():
  out = outputs()._replace(fake={'high': outputs(1).fake['high']})
  found = gradient(out, form='correlation')
  source, made = (np.asarray(x) for x in (out.real['low'], out.fake['high']))
  for i in range(3):
    axes = [
      np.corrcoef(
        np.diff(source[i], axis=axis).ravel(),
        np.diff(made[i], axis=axis).ravel(),
      )[0, 1]
      for axis in (0, 1)
    ]
    np.testing.assert_allclose(found[i], 1 - np.mean(axes), atol=1e-5)


def test_correlation_forgives_contrast_but_not_inversion():
  out = outputs()
  for factor, expected in ((0.5, 0.0), (-1.0, 4.0)):
    fake = {'high': out.real['low'], 'low': out.real['high']}
    fake = jax.tree.map(lambda x, by=factor: by * x + 0.1, fake)
    found = gradient(out._replace(fake=fake), form='correlation')
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_correlation_does_not_see_beyond_the_sector():
  out = outputs()
  left = jnp.zeros((3, 12, 16, 1)).at[:, :, :8].set(1.0)
  out = out._replace(mask={'low': left, 'high': left})
  values = gradient(out, form='correlation')
  for columns, same in ((slice(8, None), True), (slice(None, 8), False)):
    fake = {d: x.at[:, 3:, columns].add(1.0) for d, x in out.fake.items()}
    changed = gradient(out._replace(fake=fake), form='correlation')
    assert np.allclose(changed, values, atol=1e-6) == same


@pytest.mark.parametrize('form', ['paired', 'correlation'])
@pytest.mark.parametrize('mask', [0.0, 1.0])
def test_slopes_are_finite_on_black_images_and_empty_masks(form, mask):
  out = outputs(mask=mask)
  black = jax.tree.map(lambda x: jnp.full(x.shape, -1.0), out.fake)
  for real in (out.real, black):

    def total(fake, real=real):
      return jnp.sum(gradient(out._replace(real=real, fake=fake), form=form))

    for slope in jax.tree.leaves(jax.grad(total)(black)):
      assert np.abs(slope).max() < 100


def test_an_unknown_form_is_refused():
  with pytest.raises(BadInput, match='paired or correlation'):
    gradient(outputs(), form='sobel')
