"""Generators against the originals' outputs, sizes and their contract."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_layout as layout

from echogan_jax.command import BadInput
from echogan_jax.models import sampling
from echogan_jax.models.casnet import CasNet
from echogan_jax.models.resnet import ResNet
from echogan_jax.models.resunet import ResUNet
from echogan_jax.models.seed import SeedResNet
from echogan_jax.models.unet import UNet

CUT = ResNet(features=4, blocks=9, up='blur', down='blur', down_bias=True)
SMALL = {
  'resnet': ResNet(features=2, blocks=1),
  'cut': ResNet(features=2, blocks=1, up='blur', down='blur'),
  'unet': UNet(features=2, downs=3),
  'ssc_unet': UNet(features=2, downs=3, skip_every=2, up='resize'),
  'resunet': ResUNet(features=2, downs=3),
  'casnet': CasNet(blocks=2, features=2, downs=2),
  'seed': SeedResNet(features=2, blocks=1),
}


def load(network, names, weights, prefix):
  x = jax.ShapeDtypeStruct((1, 256, 256, channels(weights)), jnp.float32)
  made = jax.eval_shape(network.init, jax.random.key(0), x)['params']
  return {'params': layout.params(weights, names, made, prefix, deconvs=False)}


def channels(weights):
  return weights['x' if 'x' in weights else 'real_A'].shape[1]


def test_cut_generator_and_its_taps_agree_with_the_original(reference):
  golden = reference('cut_losses')
  variables = load(CUT, layout.resnet_names(9, down=4, up=4), golden, 'G/')
  low, high = (layout.nhwc(golden[f'real_{d}']) for d in 'AB')
  apply = jax.jit(CUT.apply, static_argnums=2)
  fake, same = apply(variables, jnp.concatenate([low, high]), ())[:, None]
  np.testing.assert_allclose(fake, layout.nhwc(golden['fake_B']), atol=5e-5)
  np.testing.assert_allclose(same, layout.nhwc(golden['idt_B']), atol=5e-5)
  depths = ('input', 'down_0', 'down_1', 'block_0', 'block_4')
  first, *maps = apply(variables, low, depths)
  border = ((0, 0), (3, 3), (3, 3), (0, 0))
  np.testing.assert_array_equal(first, np.pad(low, border, mode='reflect'))
  for layer, found in zip((4, 8, 12, 16), maps, strict=True):
    expected = layout.nhwc(golden[f'feat_real_A/layer{layer}'])
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(
  ('name', 'network', 'names', 'tolerance'),
  [
    (
      'gen_still_resnet6',
      ResNet(features=4, blocks=6, up='bicubic'),
      layout.resnet_names(6, up=4),
      3e-5,
    ),
    ('gen_resunet', ResUNet(features=4), layout.resunet_names(8), 1e-4),
  ],
)
def test_stillgans_generators_agree(reference, name, network, names, tolerance):
  golden = reference(name)
  variables = load(network, names, golden, 'w/')
  y = jax.jit(network.apply)(variables, layout.nhwc(golden['x']))
  np.testing.assert_allclose(y, layout.nhwc(golden['y']), atol=tolerance)


def made(network, size, channels=1):
  blank = jax.ShapeDtypeStruct((1, size, size, channels), jnp.float32)
  return jax.eval_shape(network.init, jax.random.key(0), blank)['params']


def count(params):
  return sum(leaf.size for leaf in jax.tree.leaves(params))


def test_parameter_counts_are_the_published_ones():
  # less the biases before a norm, which have no effect and which we leave out
  encoder = [64, 128, 256, 512, 512, 512, 512, 512]
  before_norms = sum(encoder) * 2 + sum(encoder) * 3
  assert count(made(ResUNet(), 256)) == 78_642_561 - before_norms
  before_norms = 64 + 128 + 256 + 9 * 2 * 256 + 128 + 64 + 3
  assert count(made(SeedResNet(), 64, 3)) == 35_276_553 - before_norms


@pytest.mark.parametrize('network', SMALL.values(), ids=SMALL)
def test_generators_and_their_taps_fit_from_the_smallest_side_on(network):
  size, depths = network.smallest, network.depths
  params = made(network, size, 2)

  def shapes(*sides, taps=()):
    x = jax.ShapeDtypeStruct((1, *sides, 2), jnp.float32)
    y = jax.eval_shape(
      lambda params, x: network.apply({'params': params}, x, taps), params, x
    )
    return [leaf.shape for leaf in jax.tree.leaves(y)]

  assert size % network.multiple == 0
  for sides in ((size, size), (size + network.multiple, size)):
    assert shapes(*sides) == [(1, *sides, 2)]
  every = shapes(size, size, taps=depths)
  assert len(every) == len(depths)
  # what is as deep as can be is one pixel, or two before a norm or a reflection
  assert every[-1][1:3] in ((1, 1), (2, 2))
  back = shapes(size, size, taps=(depths[-1], depths[0]))
  assert back == [every[-1], every[0]]
  assert every[-1] != every[0]


@pytest.mark.parametrize('network', SMALL.values(), ids=SMALL)
def test_nothing_runs_after_the_last_tap(network):
  whole, first = made(network, 16), network.depths[0]
  blank = jnp.zeros((1, 16, 16, 1))
  shallow = jax.eval_shape(
    lambda: network.init(jax.random.key(0), blank, network.depths[:2])
  )
  assert count(shallow) < count(whole) / 2
  with pytest.raises(BadInput, match=f'no tap ear: choose among {first}'):
    network.init(jax.random.key(0), blank, ('ear',))


@pytest.mark.parametrize('network', SMALL.values(), ids=SMALL)
def test_bfloat16_is_of_the_computation_only(network):
  coarse, tap = network.clone(dtype=jnp.bfloat16), network.depths[1:2]
  blank = jax.ShapeDtypeStruct((1, 16, 16, 1), jnp.float32)
  y, variables = jax.eval_shape(
    coarse.init_with_output, jax.random.key(0), blank
  )
  assert {leaf.dtype for leaf in jax.tree.leaves((y, variables))} == {y.dtype}
  assert y.dtype == jnp.float32
  (found,) = jax.eval_shape(lambda v, x: coarse.apply(v, x, tap), variables, y)
  assert found.dtype == jnp.bfloat16


@pytest.mark.parametrize('up', sampling.UPS)
def test_every_way_up_fits_both_networks(up):
  for network in (ResNet(2, 1, up=up), UNet(2, 3, up=up)):
    blank = jax.ShapeDtypeStruct((1, 16, 16, 1), jnp.float32)
    y, _ = jax.eval_shape(network.init_with_output, jax.random.key(0), blank)
    assert y.shape == blank.shape


def test_unknown_kinds_are_refused():
  for network in (ResNet(up='sinc'), UNet(up='sinc'), ResNet(down='sinc')):
    with pytest.raises(BadInput, match='=sinc: choose '):
      made(network, 256)
  with pytest.raises(BadInput, match='skip_every=0: use 1 or more'):
    made(UNet(skip_every=0), 256)


def test_sparse_skips_join_every_other_scale_from_the_finest():
  params = made(UNet(features=2, downs=5, skip_every=2), 32)
  inputs = [params[f'up_{i}']['kernel'].shape[2] for i in range(5)]
  # joined after up_1 and up_3: 2 + 2 channels, 8 + 8
  assert inputs == [4, 4, 16, 16, 16]


def test_downs_have_biases_only_where_asked():
  plain, biased = made(SMALL['cut'], 16), made(CUT, 16)
  assert set(biased['down_0']) == {'kernel', 'bias'}
  assert set(plain['down_0']) == set(biased['stem']) == {'kernel'}


def test_seed_generator_has_keras_padding_and_concatenates():
  network = SeedResNet(features=2, blocks=1)
  names = ('stem_norm', 'up_0')

  @jax.jit
  def run(x):
    variables = network.init(jax.random.key(1), x)
    taps = network.apply(variables, x, ('down_0', 'down_1', 'block_0'))
    _, state = network.apply(
      variables, x, capture_intermediates=lambda module, _: module.name in names
    )
    seen = [state['intermediates'][name]['__call__'][0] for name in names]
    return variables['params'], taps, seen

  x = jax.random.normal(jax.random.key(0), (1, 8, 8, 1))
  params, (down, before, after), (stem, up) = run(x)
  assert after.shape[-1] == 2 * before.shape[-1]

  def same(x, kernel):
    numbers = ('NHWC', 'HWIO', 'NHWC')
    return jax.lax.conv_general_dilated(
      x, kernel, (2, 2), 'SAME', dimension_numbers=numbers
    )

  expected = same(jax.nn.relu(stem), params['down_0']['kernel'])
  np.testing.assert_allclose(down, expected, atol=1e-6)
  # Keras' transposed convolution is the gradient of that one
  kernel = params['up_0']['kernel'].transpose(0, 1, 3, 2)
  blank = jnp.zeros((1, 4, 4, 4))
  _, pull = jax.vjp(lambda x: same(x, kernel), blank)
  np.testing.assert_allclose(up, pull(after)[0], atol=1e-6)


def test_casnet_is_a_chain_of_unets():
  network = SMALL['casnet']
  x = jax.random.normal(jax.random.key(0), (1, 8, 8, 1))
  params = jax.jit(network.init)(jax.random.key(1), x)['params']
  y, block = x, UNet(features=2, downs=2)
  for i in range(2):
    y = block.apply({'params': params[f'block_{i}']}, y)
  found = network.apply({'params': params}, x)
  np.testing.assert_array_equal(found, y)
