"""Loss terms against reference numbers, closed forms and their contract."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_layout as layout

from configs import cyclegan
from echogan_jax import image, losses
from echogan_jax.command import BadInput
from echogan_jax.losses import structure
from echogan_jax.losses.cycle import cycle, identity
from echogan_jax.shapes import (
  DOMAINS,
  GRADES,
  TISSUES,
  Outputs,
  Patches,
  Reading,
  Verdict,
)

TERMS = cyclegan.get_config().losses.to_dict()
ROUND_TRIP = {'cycle', 'laplacian', 'gaussian', 'perceptual', 'style'}
ROUND_TRIP |= {'perceptual_vgg16', 'style_vgg16'}


def outputs(size=16, batch=3, fill=None, mask=1.0, seed=0):
  """Return a pass of random, or of constant, images, with every opinion."""
  keys = iter(jax.random.split(jax.random.key(seed), 200))

  def images():
    if fill is not None:
      return jnp.full((batch, size, size, 1), fill)
    return jax.random.uniform(
      next(keys), (batch, size, size, 1), minval=-1.0, maxval=1.0
    )

  def noise(*shape):
    return jax.random.normal(next(keys), (batch, *shape))

  def both(make):
    return {d: make() for d in DOMAINS}

  def maps():
    return noise(8, 8, 3), noise(4, 4, 5)

  def heads():
    return {name: noise(1) for name in GRADES}

  def verdict():
    return Verdict((noise(4, 4, 1), noise(size, size, 1)), maps(), heads())

  def reading():
    return Reading(heads(), noise(size, size, TISSUES), maps())

  def patches():
    vectors = noise(2, 6, 4)
    vectors /= jnp.linalg.norm(vectors, axis=-1, keepdims=True)
    valid = jnp.full((batch, 6), float(mask > 0))
    return (Patches(vectors[:, 0], vectors[:, 1], valid),)

  def tissue():
    return jax.random.randint(next(keys), (batch, size, size, 1), 0, TISSUES)

  def grades():
    return jax.random.randint(next(keys), (batch, len(GRADES)), -1, 2)

  return Outputs(
    real=both(images),
    mask=both(lambda: jnp.full((batch, size, size, 1), mask)),
    fake=both(images),
    cycled=both(images),
    same=both(images),
    grades=both(grades),
    anatomy=both(tissue),
    judged=both(verdict),
    judged_real=both(verdict),
    judged_cycled=both(verdict),
    read=both(reading),
    read_real=both(reading),
    seen_real=both(maps),
    seen_cycled=both(maps),
    patches=both(patches),
    patches_same=both(patches),
  )


def term(name, **changes):
  """Return a term with the options it has in the config."""
  options = TERMS[name] | changes
  for key in ('weight', 'warmup_steps', 'judge_weight'):
    options.pop(key, None)
  return functools.partial(losses.TERMS[name].value, **options)


@pytest.mark.parametrize('name', losses.TERMS)
def test_terms_give_one_value_per_example(name):
  values, out = term(name), outputs()
  found = values(out)
  assert found.shape == (3,)
  order = jnp.array([2, 0, 1])
  swapped = jax.tree.map(lambda x: x[order], out)
  np.testing.assert_allclose(values(swapped), found[order], rtol=1e-5)


@pytest.mark.parametrize('mask', [0.0, 1.0])
@pytest.mark.parametrize('name', losses.TERMS)
def test_gradients_are_finite_on_black_images_and_empty_masks(name, mask):
  out = outputs(fill=-1.0, mask=mask)
  given = {'grades': out.grades, 'anatomy': out.anatomy}

  def total(floats):
    return jnp.sum(term(name)(Outputs(**floats | given)))

  floats = {k: v for k, v in out._asdict().items() if k not in given}
  for slope in jax.tree.leaves(jax.grad(total)(floats)):
    assert np.isfinite(slope).all()


@pytest.mark.parametrize('name', losses.TERMS)
def test_terms_read_what_they_say(name):
  # a pass that is not run leaves its field empty, and a sum over it is 0
  fields = {'seen': ('seen_real', 'seen_cycled')}
  reads = {'real', 'mask', 'fake'}
  for field in losses.TERMS[name].reads:
    reads |= {*fields.get(field, (field,))}
  out = outputs()._replace(patches_same={}, anatomy={})
  some = {k: v if k in reads else {} for k, v in out._asdict().items()}
  found = term(name)(Outputs(**some))
  assert found.shape == (3,) and (found != 0).any()
  np.testing.assert_array_equal(found, term(name)(out))


@pytest.mark.parametrize('name', sorted(set(losses.TERMS) - ROUND_TRIP))
def test_terms_work_in_one_direction(name):
  out, whole = outputs(), term(name)
  keep = {'real', 'mask', 'grades', 'anatomy', 'read_real'}
  alone = {
    k: v if k in keep else {'high': v['high']} for k, v in out._asdict().items()
  }
  alone |= {k: {} for k in ('cycled', 'judged_cycled', 'seen_cycled')}
  assert whole(Outputs(**alone)).shape == (3,)


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
    value = term(name)
    np.testing.assert_allclose(value(changed), value(out), rtol=1e-5)
    inside = {d: x.at[:, :, :8].set(0.7) for d, x in out.fake.items()}
    assert not np.allclose(value(out._replace(fake=inside)), value(out))


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
  total, values = objective.generators(out, jnp.int32(0))
  assert set(values) == {'cycle', 'ssim'}
  expected = 10.0 * values['cycle'] + 2.0 * values['ssim']
  np.testing.assert_allclose(total, expected, rtol=1e-6)
  np.testing.assert_allclose(values['cycle'], jnp.mean(cycle(out)))
  assert objective.needs == {'cycled'}
