"""Laplacian pyramids against UltraGAN's own numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_layout as layout

from echogan_jax.command import BadInput
from echogan_jax.losses.pyramid import gaussian, laplacian, pyramid
from echogan_jax.shapes import Outputs


def one_sided(real, fake, cycled):
  mask = jnp.ones(real.shape)
  return Outputs({'low': real}, {'low': mask}, {'high': fake}, {'low': cycled})


def close(found, expected, share):
  gap = np.abs(np.asarray(found) - layout.nhwc(expected)).max()
  assert gap <= share * np.abs(expected).max()


def mean_gap(band, x, y, levels):
  pairs = zip(pyramid(x, levels)[band], pyramid(y, levels)[band], strict=True)
  return sum(jnp.mean(jnp.abs(a - b)) for a, b in pairs)


@pytest.mark.parametrize('case', ['c3', 'c1', 'c1_level2'])
def test_values_and_slopes_are_the_originals(reference, case):
  golden = reference('ultragan_laploss')
  real, fake, rec = (
    jnp.asarray(layout.nhwc(golden[f'{case}/{k}']))
    for k in ('real', 'fake', 'rec')
  )
  levels = int(golden[f'{case}/levels'])

  def high(rec):
    if case == 'c3':  # the terms are of grey images
      return mean_gap(0, rec, real, levels)
    return jnp.mean(laplacian(one_sided(real, fake, rec), levels=levels))

  def low(fake, rec):
    if case == 'c3':
      return mean_gap(1, fake, rec, levels)
    return jnp.mean(gaussian(one_sided(real, fake, rec), levels=levels))

  value, by_high = jax.value_and_grad(high)(rec)
  np.testing.assert_allclose(value, golden[f'{case}/lap_loss'], atol=3e-6)
  close(by_high, golden[f'{case}/grad_lap_wrt_rec'], 1e-5)
  value, (by_fake, by_rec) = jax.value_and_grad(low, argnums=(0, 1))(fake, rec)
  np.testing.assert_allclose(value, golden[f'{case}/gauss_loss'], atol=3e-6)
  close(by_fake, golden[f'{case}/grad_gauss_wrt_fake'], 1e-5)
  both = by_high + by_rec
  close(both, golden[f'{case}/grad_lap_plus_gauss_wrt_rec'], 1e-5)


@pytest.mark.parametrize('case', ['c1', 'c1_level2'])
def test_bands_are_the_originals(reference, case):
  golden = reference('ultragan_laploss')
  real = jnp.asarray(layout.nhwc(golden[f'{case}/real']))
  levels = int(golden[f'{case}/levels'])
  for name, bands in zip(('lap', 'up'), pyramid(real, levels), strict=True):
    for i, band in enumerate(bands):
      close(band, golden[f'{case}/pyr_real/{name}{i}'], 1e-6)


def test_oblong_images_split_and_add_up():
  image = jax.random.normal(jax.random.key(0), (2, 16, 40, 1))
  lost, kept = pyramid(image, 3)
  assert [x.shape[1:3] for x in lost] == [(16, 40), (8, 20), (4, 10)]
  np.testing.assert_allclose(lost[0] + kept[0], image, atol=1e-6)
  turned = pyramid(image.swapaxes(1, 2), 3)[0][2]
  np.testing.assert_allclose(turned.swapaxes(1, 2), lost[2], atol=1e-5)


def test_directions_and_examples_stay_apart():
  keys = jax.random.split(jax.random.key(0), 6)
  images = [jax.random.normal(k, (3, 16, 16, 1)) for k in keys]
  domains = ('low', 'high')
  real, fake, cycled = (
    dict(zip(domains, images[i : i + 2], strict=True)) for i in (0, 2, 4)
  )
  out = Outputs(real, {}, fake, cycled)
  for term in (laplacian, gaussian):
    alone = out._replace(fake={'high': fake['high']})
    alone = alone._replace(cycled={'low': cycled['low']})
    other = out._replace(fake={'low': fake['low']})
    other = other._replace(cycled={'high': cycled['high']})
    values = term(out, levels=2)
    assert values.shape == (3,)
    parts = term(alone, levels=2) + term(other, levels=2)
    np.testing.assert_allclose(values, parts, rtol=1e-5)


@pytest.mark.parametrize('term', [laplacian, gaussian])
def test_slopes_are_finite_on_black_images(term):
  black = jnp.full((2, 16, 16, 1), -1.0)

  def total(fake, cycled):
    return jnp.sum(term(one_sided(black, fake, cycled), levels=2))

  for slope in jax.grad(total, argnums=(0, 1))(black, black):
    assert np.isfinite(slope).all()


@pytest.mark.parametrize(
  ('shape', 'levels'), [((36, 36), 3), ((16, 18), 2), ((8, 8), 3), ((8, 8), 0)]
)
def test_sides_that_do_not_halve_are_refused(shape, levels):
  with pytest.raises(BadInput, match=r'losses\.laplacian\.levels.*data\.size'):
    pyramid(jnp.zeros((1, *shape, 1)), levels)
