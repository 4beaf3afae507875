"""Networks against the official implementations' outputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_layout as layout

from configs import cyclegan
from echogan_jax import models
from echogan_jax.command import BadInput
from echogan_jax.models.patchgan import PATCH70, SEED142, PatchGAN
from echogan_jax.models.resnet import ResNet
from echogan_jax.models.unet import UNet

CONFIG = cyclegan.get_config().model.to_dict()
for network, small in (
  ('resnet', {'features': 4, 'blocks': 1}),
  ('unet', {'features': 4, 'downs': 3}),
  ('patch70', {'features': 4}),
  ('seed142', {'features': 4}),
):
  CONFIG[network] |= small


def apply(network, names, weights, x, prefix=''):
  x = jnp.asarray(layout.nhwc(x))
  made = jax.eval_shape(network.init, jax.random.key(0), x)['params']
  params = layout.params(weights, names, made, prefix)
  return network.apply({'params': params}, x)


@pytest.mark.parametrize('suffix', ['', '_odd'])
def test_resnet_agrees_with_the_original(reference, suffix):
  golden = reference('gen_resnet9')
  network, names = ResNet(features=8, blocks=9), layout.resnet_names(9)
  y = apply(network, names, golden, golden[f'x{suffix}'], 'w/')
  np.testing.assert_allclose(y, layout.nhwc(golden[f'y{suffix}']), atol=3e-5)


def test_unet_agrees_with_the_original(reference):
  golden = reference('gen_unet128')
  network, names = UNet(features=8, downs=7), layout.unet_names(7)
  y = apply(network, names, golden, golden['x'], 'w/')
  np.testing.assert_allclose(y, layout.nhwc(golden['y']), atol=1e-5)


def test_patchgan_agrees_with_the_original(reference):
  golden = reference('discriminators')
  network = PatchGAN(PATCH70, features=8)
  verdict = apply(
    network, layout.patch_names(), golden, golden['basic/x'], 'basic/w/'
  )
  expected = layout.nhwc(golden['basic/y'])
  np.testing.assert_allclose(verdict.logits[0], expected, atol=3e-5)


def count(network, size):
  blank = jax.ShapeDtypeStruct((1, size, size, 1), jnp.float32)
  made = jax.eval_shape(network.init, jax.random.key(0), blank)['params']
  return sum(leaf.size for leaf in jax.tree.leaves(made))


def test_parameter_counts_are_the_published_ones():
  # less the biases before a norm, which have no effect and which we leave out
  blocks = 9 * 2 * 256
  assert (
    count(ResNet(), 64) == 11_365_633 - (64 + 128 + 256 + 128 + 64) - blocks
  )
  assert count(PatchGAN(), 64) == 2_762_689 - (128 + 256 + 512)
  seed = PatchGAN(SEED142, keras=True)
  assert count(seed, 64) == 6_960_321 - (128 + 256 + 512 + 512)


@pytest.mark.parametrize(
  ('layers', 'field', 'sides'),
  [(PATCH70, 70, {256: 30, 128: 14}), (SEED142, 142, {256: 16, 128: 8})],
)
def test_receptive_field_is_what_the_gradient_says(layers, field, sides):
  keras = layers is SEED142
  network = PatchGAN(layers, features=1, keras=keras)
  assert network.receptive_field == field
  for side, logits in sides.items():
    blank = jnp.zeros((1, side, side, 1))
    verdict = jax.eval_shape(network.init_with_output, jax.random.key(0), blank)
    assert verdict[0].logits[0].shape == (1, logits, logits, 1)
  # instance norm would make every logit see the whole image: probe without
  one = jnp.zeros((1, 320, 320, 1)).at[0, 160, 160].set(1.0)
  for _, stride in (*layers, (1, 1)):
    pad = network._pad(stride)
    kernel = jnp.ones((4, 4, 1, 1))
    one = jax.lax.conv_general_dilated(
      one,
      kernel,
      (stride, stride),
      (pad, pad),
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    )
  rows = np.flatnonzero(np.asarray(one).any(axis=(0, 2, 3)))
  jump = np.prod([stride for _, stride in layers])
  # logits `jump` apart that all see one pixel span the receptive field
  assert abs(len(rows) * jump - field) < jump


def test_smallest_side_leaves_exactly_one_logit():
  for layers in (PATCH70, SEED142):
    network = PatchGAN(layers, features=1, keras=layers is SEED142)
    side = network.smallest
    blank = jnp.zeros((1, side, side, 1))
    verdict, _ = jax.eval_shape(
      network.init_with_output, jax.random.key(0), blank
    )
    assert verdict.logits[0].shape[1] == 1


def test_spectral_norm_converges_to_the_largest_singular_value():
  network = PatchGAN(PATCH70, features=2, spectral=True)
  x = jax.random.normal(jax.random.key(1), (1, 32, 32, 1))
  variables = network.init(jax.random.key(0), x)
  assert set(variables['stats']) == {
    'conv_0',
    'conv_1',
    'conv_2',
    'conv_3',
    'head',
  }
  for _ in range(60):
    _, changed = network.apply(variables, x, mutable=['stats'])
    variables = variables | changed
  kernel = np.asarray(variables['params']['conv_2']['kernel'])
  matrix = kernel.reshape(-1, kernel.shape[-1])
  u = np.asarray(variables['stats']['conv_2']['u'])
  sigma = np.linalg.norm(matrix @ u)
  np.testing.assert_allclose(sigma, np.linalg.svd(matrix)[1][0], rtol=1e-4)


def test_bfloat16_computes_close_to_float32():
  x = jax.random.normal(jax.random.key(1), (1, 16, 16, 1)) / 4
  exact = models.create(CONFIG).generator
  coarse = models.create(CONFIG | {'dtype': 'bfloat16'}).generator
  variables = exact.init(jax.random.key(0), x)
  y = coarse.apply(variables, x)
  assert y.dtype == jnp.float32
  np.testing.assert_allclose(y, exact.apply(variables, x), atol=0.03)


def test_unknown_names_are_refused_by_name():
  with pytest.raises(BadInput, match='resnet, unet'):
    models.create(CONFIG | {'generator': 'resnext'})
  with pytest.raises(BadInput, match='patch70, seed142'):
    models.create(CONFIG | {'discriminator': 'patch'})
  with pytest.raises(BadInput, match='float32, bfloat16'):
    models.create(CONFIG | {'dtype': 'float8'})


def test_sizes_that_do_not_fit_are_refused():
  made = models.create(CONFIG)
  models.check_size(made, 24)
  with pytest.raises(BadInput, match='too small.*ResNet 8.*at least 24'):
    models.check_size(made, 20)
  with pytest.raises(BadInput, match='multiple of 4; try 28'):
    models.check_size(made, 26)
  with pytest.raises(BadInput, match='multiple of 8'):
    models.check_size(models.create(CONFIG | {'generator': 'unet'}), 28)
