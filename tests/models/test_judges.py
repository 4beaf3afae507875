"""Discriminators against the official ones; their heads and their sizes."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from echogan_jax.models.heads import GradeHeads, MultiTask
from echogan_jax.models.layers import Conv, leaky
from echogan_jax.models.patchgan import PATCH34, PIXEL, PatchGAN
from echogan_jax.models.unet_gan import UNetGAN

DOWNS = 5
LEVELS = (('la_enlarged', 4), ('lvh', 2))
LAYERS = {'conv_0': 'conv1', 'conv_1': 'conv2', 'shortcut': 'conv_sc'}


def official(path):
  """Name in the official U-Net GAN what lies at this path of ours."""
  module, layer = path if len(path) == 2 else (path[0], None)
  if layer is None:
    heads = {'pixel_head': f'blocks.{2 * DOWNS}'}
    return heads.get(module, 'linear_middle')
  way, depth = module.split('_')
  block = int(depth) if way == 'down' else 2 * DOWNS - 1 - int(depth)
  return f'blocks.{block}.0.{LAYERS[layer]}'


def unet_gan_variables(golden, network, x):
  """Fill our parameters and vectors with the official ones."""
  made = jax.eval_shape(network.init, jax.random.key(0), x)
  flat = {}
  for path, leaf in traverse_util.flatten_dict(made).items():
    *module, kind = path[1:]
    suffix = {'kernel': 'weight', 'bias': 'bias', 'u': 'u0'}[kind]
    array = golden[f'w/{official(tuple(module))}.{suffix}']
    if kind == 'kernel':
      array = array.reshape(*array.shape[:2], *array.shape[2:] or (1, 1))
      array = array.transpose(2, 3, 1, 0)
    flat[path] = array[0] if kind == 'u' else array
    assert flat[path].shape == leaf.shape, path
  return traverse_util.unflatten_dict(flat)


@pytest.fixture(scope='module')
def passes(reference):
  """Three passes of the official network's weights: two of them training."""
  golden = reference('unetgan_disc128')
  network = UNetGAN(features=8)
  x = jnp.asarray(golden['x'].transpose(0, 2, 3, 1))
  variables = unet_gan_variables(golden, network, x)
  evaluate = jax.jit(network.apply)
  train = jax.jit(lambda v: network.apply(v, x, mutable=['stats']))
  seen = {'eval': evaluate(variables, x)}
  for name in ('train1', 'train2'):
    seen[name], changed = train(variables)
    variables = variables | changed
  seen['eval_after_train2'] = evaluate(variables, x)
  return golden, seen, variables['stats']


@pytest.mark.parametrize(
  'name', ['eval', 'train1', 'train2', 'eval_after_train2']
)
def test_unet_gan_agrees_with_the_original(passes, name):
  golden, seen, _ = passes
  pixels, whole = seen[name].logits
  assert whole.shape == (1, 1, 1, 1)
  np.testing.assert_allclose(
    whole.ravel(), golden[f'{name}/global'].ravel(), atol=1e-5
  )
  thinned = golden.get(f'{name}/map_sub4', golden['eval/map'][..., ::4, ::4])
  np.testing.assert_allclose(pixels[0, ::4, ::4, 0], thinned[0, 0], atol=2e-5)


def test_unet_gan_agrees_at_every_pixel(passes):
  golden, seen, _ = passes
  np.testing.assert_allclose(
    seen['eval'].logits[0][..., 0], golden['eval/map'][:, 0], atol=2e-5
  )


def test_power_iterations_leave_the_original_vectors(passes):
  golden, _, stats = passes
  flat = traverse_util.flatten_dict(stats)
  names = {re.sub(r'^train2/|\.u0$', '', k) for k in golden if k.endswith('u0')}
  names = {n for n in names if not n.startswith('w/')}
  assert names == {official(path[:-1]) for path in flat}
  for path, vector in flat.items():
    expected = golden[f'train2/{official(path[:-1])}.u0'][0]
    np.testing.assert_allclose(vector, expected, atol=5e-6, err_msg=str(path))


def made(network, *shape):
  blank = jax.ShapeDtypeStruct(shape, jnp.float32)
  return jax.eval_shape(network.init_with_output, jax.random.key(0), blank)


@pytest.mark.parametrize(('downs', 'millions'), [(5, 31.5), (6, 44.1)])
def test_unet_gan_is_as_large_as_published(downs, millions):
  _, variables = made(UNetGAN(downs=downs), 1, 128, 128, 3)
  leaves = jax.tree.leaves(variables['params'])
  assert round(sum(leaf.size for leaf in leaves) / 1e6, 1) == millions


def test_unet_gan_spares_only_the_pixel_head_from_spectral_norm():
  _, variables = made(UNetGAN(features=2, downs=2), 1, 8, 8, 1)
  kernels = traverse_util.flatten_dict(variables['params'])
  normed = {
    path[:-1] for path in traverse_util.flatten_dict(variables['stats'])
  }
  free = {path[:-1] for path in kernels if path[:-1] not in normed}
  assert free == {('pixel_head',)}


@pytest.mark.parametrize('sides', [(52, 52), (96, 100), (33, 63), (32, 32)])
def test_unet_gan_judges_every_pixel_at_any_size(sides):
  network = UNetGAN(features=1)
  verdict, _ = made(network, 2, *sides, 4)
  assert verdict.logits[0].shape == (2, *sides, 1)
  assert verdict.logits[1].shape == (2, 1, 1, 1)
  rows = [f.shape[1] for f in verdict.features]
  assert rows == [sides[0] // 2 ** (i + 1) for i in range(5)]
  assert network.smallest == 32


def test_the_global_logit_does_not_grow_with_the_image():
  network = UNetGAN(features=2, downs=2)
  tile = jax.random.uniform(jax.random.key(1), (1, 1, 1, 1))
  small, large = (jnp.tile(tile, (1, n, n, 1)) for n in (32, 96))
  variables = jax.jit(network.init)(jax.random.key(0), small)
  a, b = (
    jax.jit(network.apply)(variables, x).logits[1] for x in (small, large)
  )
  # but for the border, where the padding shows
  np.testing.assert_allclose(a, b, rtol=0.1)


def test_odd_sides_keep_pixels_in_place():
  network = UNetGAN(features=2, downs=2)
  x = jax.random.normal(jax.random.key(1), (1, 43, 43, 1))
  variables = jax.jit(network.init)(jax.random.key(0), x)
  odd = jax.jit(network.apply)(variables, x).logits[0]
  even = network.apply(variables, x[:, :40, :40]).logits[0]
  # far enough from the lost border nothing may have moved
  np.testing.assert_allclose(odd[:, :16, :16], even[:, :16, :16], atol=1e-5)


@pytest.mark.parametrize(
  ('group', 'network', 'names'),
  [
    (
      'n_layers2',
      PatchGAN(PATCH34, features=8),
      {'conv_0': 'model.0', 'conv_1': 'model.2', 'conv_2': 'model.5'}
      | {'head': 'model.8'},
    ),
    (
      'pixel',
      PatchGAN(PIXEL, features=8, size=1),
      {'conv_0': 'net.0', 'conv_1': 'net.2', 'head': 'net.5'},
    ),
  ],
)
def test_patchgan_variants_agree_with_the_original(
  reference, group, network, names
):
  golden = reference('discriminators')
  x = jnp.asarray(golden[f'{group}/x'].transpose(0, 2, 3, 1))
  _, variables = made(network, *x.shape)
  params = {}
  for module, leaves in variables['params'].items():
    weights = f'{group}/w/{names[module]}'
    params[module] = {
      'kernel': golden[f'{weights}.weight'].transpose(2, 3, 1, 0)
    }
    if 'bias' in leaves:
      params[module]['bias'] = golden[f'{weights}.bias']
  verdict = jax.jit(network.apply)({'params': params}, x)
  expected = golden[f'{group}/y'].transpose(0, 2, 3, 1)
  np.testing.assert_allclose(verdict.logits[0], expected, atol=3e-5)


def test_receptive_fields_and_smallest_sides_of_the_variants():
  short, pixel = PatchGAN(PATCH34), PatchGAN(PIXEL, size=1)
  assert (short.receptive_field, pixel.receptive_field) == (34, 1)
  assert pixel.smallest == 1
  side = short.smallest
  verdict, _ = made(short, 1, side, side, 1)
  assert verdict.logits[0].shape == (1, 1, 1, 1)


@pytest.mark.parametrize(
  'trunk', [PatchGAN(features=2), UNetGAN(features=2, downs=2)]
)
def test_multitask_grades_what_its_trunk_judges(trunk):
  network = MultiTask(trunk, LEVELS)
  assert network.smallest == trunk.smallest
  x = jax.random.normal(jax.random.key(1), (2, 32, 32, 2))
  variables = jax.jit(network.init)(jax.random.key(0), x)
  verdict = jax.jit(network.apply)(variables, x)
  own = {
    kind: leaves['trunk']
    for kind, leaves in variables.items()
    if 'trunk' in leaves
  }
  plain = jax.jit(trunk.apply)(own, x)
  for a, b in zip(verdict.logits, plain.logits, strict=True):
    np.testing.assert_array_equal(a, b)
  params = variables['params']
  width = plain.features[-1].shape[-1]
  seen = Conv(width, 3, pad=(1, 1)).apply(
    {'params': params['grading']}, plain.features[-1]
  )
  heads = {'params': params['heads']}
  expected = GradeHeads(LEVELS).apply(heads, leaky(seen))
  assert set(verdict.grades) == {'la_enlarged', 'lvh'}
  for name, levels in LEVELS:
    assert verdict.grades[name].shape == (2, levels - 1)
    np.testing.assert_allclose(verdict.grades[name], expected[name], atol=1e-6)


def test_grades_are_linear_in_the_mean_and_float32():
  x = jax.random.normal(jax.random.key(1), (2, 3, 5, 4)).astype(jnp.bfloat16)
  network = GradeHeads(LEVELS, jnp.bfloat16)
  variables = jax.jit(network.init)(jax.random.key(0), x)
  grades = jax.jit(network.apply)(variables, x)
  dense = variables['params']['la_enlarged']
  expected = np.mean(np.asarray(x, np.float32), axis=(1, 2)) @ dense['kernel']
  assert grades['la_enlarged'].dtype == jnp.float32
  np.testing.assert_allclose(grades['la_enlarged'], expected, atol=1e-3)


def test_bfloat16_judges_about_the_same():
  x = jax.random.normal(jax.random.key(1), (1, 16, 16, 1)) / 4
  exact = UNetGAN(features=2, downs=2)
  coarse = UNetGAN(features=2, downs=2, dtype=jnp.bfloat16)
  variables = jax.jit(exact.init)(jax.random.key(0), x)
  for a, b in zip(
    jax.jit(exact.apply)(variables, x).logits,
    jax.jit(coarse.apply)(variables, x).logits,
    strict=True,
  ):
    assert b.dtype == jnp.float32
    np.testing.assert_allclose(a, b, atol=0.1)
