"""Loss terms against reference numbers, closed forms and their contract."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_layout as layout

from configs import cyclegan
from echogan_jax import image, losses
from echogan_jax.command import BadInput
from echogan_jax.losses import structure
from echogan_jax.losses.adversarial import lsgan, lsgan_judge
from echogan_jax.losses.cycle import cycle, identity
from echogan_jax.shapes import DOMAINS, Outputs, Verdict

TERMS = cyclegan.get_config().losses.to_dict()


def outputs(size=16, batch=3, fill=None, mask=1.0, seed=0):
  """Return a pass of random, or of constant, images."""
  keys = iter(jax.random.split(jax.random.key(seed), 20))

  def images():
    if fill is not None:
      return jnp.full((batch, size, size, 1), fill)
    return jax.random.uniform(
      next(keys), (batch, size, size, 1), minval=-1.0, maxval=1.0
    )

  def both():
    return {d: images() for d in DOMAINS}

  judged = {
    d: Verdict((jax.random.normal(next(keys), (batch, 4, 4, 1)),), ())
    for d in DOMAINS
  }
  masks = {d: jnp.full((batch, size, size, 1), mask) for d in DOMAINS}
  return Outputs(both(), masks, both(), both(), both(), judged)


@pytest.mark.parametrize('name', losses.TERMS)
def test_terms_give_one_value_per_example(name):
  options = {k: v for k, v in TERMS[name].items() if k != 'weight'}

  def values(out):
    return losses.TERMS[name](out, **options)

  out = outputs()
  found = values(out)
  assert found.shape == (3,)
  order = jnp.array([2, 0, 1])
  swapped = jax.tree.map(lambda x: x[order], out)
  np.testing.assert_allclose(values(swapped), found[order], rtol=1e-5)


@pytest.mark.parametrize('mask', [0.0, 1.0])
@pytest.mark.parametrize('name', losses.TERMS)
def test_gradients_are_finite_on_black_images_and_empty_masks(name, mask):
  options = {k: v for k, v in TERMS[name].items() if k != 'weight'}
  out = outputs(fill=-1.0, mask=mask)

  def total(fake):
    return jnp.sum(losses.TERMS[name](out._replace(fake=fake), **options))

  for slope in jax.tree.leaves(jax.grad(total)(out.fake)):
    assert np.isfinite(slope).all()


@pytest.mark.parametrize('label', ['real', 'fake'])
def test_least_squares_are_the_originals(reference, label):
  golden = reference('primitives')
  logits = jnp.asarray(golden['gan_loss/prediction'].transpose(0, 2, 3, 1))
  verdict = Verdict((logits,), ())
  expected = golden[f'gan_loss/lsgan/{label}']
  if label == 'real':
    out = outputs()._replace(judged={'low': verdict})
    found = jnp.mean(lsgan(out))
    np.testing.assert_allclose(found, expected, atol=1e-6)
  perfect = Verdict((jnp.ones_like(logits),), ())
  blank = Verdict((jnp.zeros_like(logits),), ())
  pair = (verdict, blank) if label == 'real' else (perfect, verdict)
  found = jnp.mean(lsgan_judge(*pair))
  np.testing.assert_allclose(found, 0.5 * expected, atol=1e-6)


def test_cycle_and_identity_are_distances_to_the_real_images():
  out = outputs()
  same = out._replace(cycled=out.real, same=out.real)
  for term in (cycle, identity):
    np.testing.assert_array_equal(term(same), 0.0)
  moved = out._replace(cycled=jax.tree.map(lambda x: x + 0.25, out.real))
  np.testing.assert_allclose(cycle(moved), 0.5, rtol=1e-5)


def centre(x, crop):
  """Cut out the centre and map it to [0, 1], as the original's losses do."""
  top, left = ((side - crop) // 2 for side in x.shape[1:3])
  return (x[:, top : top + crop, left : left + crop] + 1.0) / 2.0


def close_to_reference(found, expected, share):
  """Compare gradients relative to the largest of them."""
  gap = np.abs(found - layout.nhwc(expected)).max()
  assert gap <= share * np.abs(expected).max()


def test_structure_term_is_stillgans(reference):
  golden = reference('stillgan_small')
  group = 'structure/small_c1'
  crop = int(golden[f'{group}/crop_size'])
  noise = jnp.asarray(layout.nhwc(golden[f'{group}/noise']))

  def loss(x, y):
    # noise is the original's way round the root's slope at 0
    x, y = (jnp.clip(centre(z, crop) + noise, 0.0, 1.0) for z in (x, y))
    return 1.0 - jnp.mean(image.structure(x, y, border='zero'))

  images = [
    jnp.asarray(layout.nhwc(golden[f'{group}/{k}'])) for k in ('img1', 'img2')
  ]
  value, slopes = jax.value_and_grad(loss, argnums=(0, 1))(*images)
  assert abs(float(value) - float(golden[f'{group}/loss'])) < 5e-6
  for slope, k in zip(slopes, ('img1', 'img2'), strict=True):
    close_to_reference(slope, golden[f'{group}/grad_{k}'], 3e-4)


@pytest.mark.parametrize(('patch', 'grid'), [('small_p8', 8), ('small_p16', 4)])
def test_illumination_term_is_stillgans_under_a_full_mask(
  reference, patch, grid
):
  golden = reference('stillgan_small')
  crop = int(golden[f'luminance/{patch}/crop_size'])

  def loss(x):
    x = 2.0 * centre(x, crop) - 1.0
    out = outputs()._replace(fake={'high': x}, mask={'low': jnp.ones(x.shape)})
    return jnp.mean(structure.illumination(out, grids=(grid,)))

  x = jnp.asarray(layout.nhwc(golden['luminance/small/x']))
  value, slope = jax.value_and_grad(loss)(x)
  expected = golden[f'luminance/{patch}/loss']
  np.testing.assert_allclose(value, expected, atol=1e-6)
  close_to_reference(slope, golden[f'luminance/{patch}/grad'], 2e-4)


def test_masked_terms_do_not_see_beyond_the_sector():
  out = outputs(size=32)
  mask = jnp.zeros((3, 32, 32, 1)).at[:, :, :8].set(1.0)
  out = out._replace(mask={d: mask for d in DOMAINS})
  # far enough from the mask that no window reaches over
  other = {d: x.at[:, :, 24:].set(0.7) for d, x in out.fake.items()}
  changed = out._replace(fake=other)
  for name in ('ssim', 'illumination'):
    term = losses.TERMS[name]
    np.testing.assert_allclose(term(changed), term(out), rtol=1e-5)
    inside = {d: x.at[:, :, :8].set(0.7) for d, x in out.fake.items()}
    assert not np.allclose(term(out._replace(fake=inside)), term(out))


def test_ssim_forms_differ_in_what_they_forgive():
  out = outputs(size=32)
  fainter = {
    'high': out.real['low'] * 0.5,
    'low': out.real['high'] * 0.5,
  }
  out = out._replace(fake=fainter)
  assert float(jnp.max(structure.ssim(out, form='structure'))) < 0.02
  assert float(jnp.min(structure.ssim(out, form='full'))) > 0.1
  with pytest.raises(BadInput, match='structure or full'):
    structure.ssim(out, form='contrast')


def test_weights_are_applied_once_and_zero_means_absent():
  out = outputs()
  config = {name: options | {'weight': 0.0} for name, options in TERMS.items()}
  config['cycle']['weight'], config['ssim']['weight'] = 10.0, 2.0
  objective = losses.build(config)
  total, values = objective.generators(out)
  assert set(values) == {'cycle', 'ssim'}
  expected = 10.0 * values['cycle'] + 2.0 * values['ssim']
  np.testing.assert_allclose(total, expected, rtol=1e-6)
  np.testing.assert_allclose(values['cycle'], jnp.mean(cycle(out)))
  assert objective.needs == {'cycled'}
