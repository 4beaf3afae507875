"""The originals' generators read and written: keys, bits, outputs, refusals."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_layout as layout

from echogan_jax import models
from echogan_jax.command import BadInput
from echogan_jax.exchange import pytorch
from echogan_jax.models import torch_file
from echogan_jax.training.enhancer import Enhancer

PTH = pathlib.Path(__file__).parents[1] / 'reference' / 'pth'
RESNET = {'resnet': {'features': 2, 'blocks': 3}}
CUT = {'resnet': RESNET['resnet'] | {'up': 'blur', 'down': 'blur'}}
UNET = {'unet': {'features': 2, 'downs': 5, 'colours': 3}}


def config(options):
  rest = {'dtype': 'float32', 'directions': 'enhance'}
  return {'generator': next(iter(options))} | options | rest


def enhancer(options, seed=0):
  """Return an enhancer with random weights, none of them zero."""
  model = config(options)
  network = models.generators(model).generator
  blank = jnp.zeros((1, 32, 32, 1))
  like = jax.eval_shape(network.init, jax.random.key(0), blank)['params']
  random = np.random.default_rng(seed)
  params = jax.tree.map(
    lambda leaf: random.normal(size=leaf.shape).astype(np.float32), like
  )
  about = {'size': 32, 'step': 0, 'config': {'model': model}}
  return Enhancer(None, {}, ema={'enhance': params}, **about)


def saved(options, tmp_path):
  pytorch.write(tmp_path / 'saved.pth', enhancer(options))
  return torch_file.read(tmp_path / 'saved.pth')


def read(state, tmp_path):
  torch_file.write(tmp_path / 'net.pth', state)
  return pytorch.read(tmp_path / 'net.pth')


def equal(one, other):
  jax.tree.map(np.testing.assert_array_equal, one, other)


def apply(found, x):
  network = models.generators(config(found.model | {})).generator
  return jax.jit(network.apply)({'params': found.params}, x)


def group(golden, prefix):
  return {
    key.removeprefix(prefix): array
    for key, array in golden.items()
    if key.startswith(prefix)
  }


@pytest.fixture(scope='module')
def plain():
  return pytorch.read(PTH / 'plain.pth')


def test_a_published_resnet_gives_the_published_output(reference, plain):
  golden = reference('pth/expected')
  options = {'features': 8, 'blocks': 9, 'colours': 3}
  options |= {'up': 'deconv', 'down': 'stride'}
  assert plain.model['resnet'] == options
  y = apply(plain, layout.nhwc(golden['x']))
  np.testing.assert_allclose(y, layout.nhwc(golden['y']), atol=3e-5)
  assert plain.flags.startswith('--netG resnet_9blocks --ngf 8 --input_nc 3 ')


def test_every_form_of_a_checkpoint_is_the_same_network(
  reference, plain, tmp_path
):
  golden, state = reference('pth/expected'), torch_file.read(PTH / 'plain.pth')
  wrong = np.full(8, 7.0, np.float32)
  stale = {key: state.get(key, wrong) for key in golden['keys_stale']}
  module = {f'module.{key}': array for key, array in stale.items()}
  dropout = {k.replace('block.5.', 'block.6.'): v for k, v in state.items()}
  for form in (stale, module, dropout):
    found = read(form, tmp_path)
    assert found.model == plain.model
    equal(found.params, plain.params)
  assert len(stale) == 117 and dropout.keys() != state.keys()
  equal(pytorch.read(PTH / 'legacy.pth').params, plain.params)


def test_a_published_unet_gives_the_published_output(reference, tmp_path):
  golden = reference('gen_unet128')
  state = group(golden, 'w/')
  found = read(state, tmp_path)
  assert found.flags.startswith('--netG unet_128 --ngf 8 --input_nc 1 ')
  y = apply(found, layout.nhwc(golden['x']))
  np.testing.assert_allclose(y, layout.nhwc(golden['y']), atol=1e-5)
  network = models.generators(config(found.model)).generator
  back = pytorch.state_dict(network, found.params)
  assert list(back) == list(state)


def test_an_antialiased_resnet_comes_back_with_its_filters(reference, tmp_path):
  state = group(reference('cut_losses'), 'G/')
  found = read(state, tmp_path)
  assert found.model['resnet']['up'] == found.model['resnet']['down'] == 'blur'
  assert found.flags.endswith('(CUT)')
  network = models.generators(config(found.model)).generator
  back = pytorch.state_dict(network, found.params)
  assert list(back) == list(state)
  for key, array in state.items():
    if not key.endswith('.bias'):
      np.testing.assert_array_equal(back[key], array)
  state['model.7.filt'] = state['model.7.filt'][:, :, ::-1] * 2
  with pytest.raises(BadInput, match=r'unlike CUT: model\.7\.filt'):
    read(state, tmp_path)


@pytest.mark.parametrize(
  'options',
  [
    RESNET,
    CUT,
    UNET,
    {'resnet': CUT['resnet'] | {'down': 'stride', 'colours': 3}},
    {'resnet': CUT['resnet'] | {'up': 'deconv'}},
  ],
  ids=str,
)
def test_what_is_written_is_read_bit_by_bit(options, tmp_path):
  model, path = enhancer(options), tmp_path / 'made' / 'net.pth'
  pytorch.write(path, model)
  found = pytorch.read(path)
  equal(found.params, model.ema['enhance'])
  asked = next(iter(options.values()))
  assert found.model[found.model['generator']].items() >= asked.items()


def test_every_convolution_has_a_bias_there(tmp_path):
  model = enhancer(RESNET)
  state = saved(RESNET, tmp_path)
  biases = {k: v for k, v in state.items() if k.endswith('.bias')}
  assert len(biases) == len(state) / 2 == 3 + 2 * 3 + 3
  last = list(state)[-1]
  assert last == 'model.20.bias'
  head = model.ema['enhance']['head']['bias']
  np.testing.assert_array_equal(biases.pop(last), head)
  assert not any(bias.any() for bias in biases.values())
  kernel = model.ema['enhance']['up_0']['kernel']
  assert kernel.shape == (3, 3, 8, 4)
  np.testing.assert_array_equal(
    state['model.13.weight'][5, 2], kernel[:, :, 5, 2]
  )
  state['model.4.bias'] += 1  # a norm takes it away again
  equal(read(state, tmp_path).params, model.ema['enhance'])


def test_weights_of_colour_enhance_grey_images(tmp_path):
  options = {'resnet': {'features': 2, 'blocks': 1}}
  alone = {'resnet': options['resnet'] | {'colours': 3}}
  found = read(saved(alone, tmp_path), tmp_path)
  x = np.random.default_rng(1).uniform(-1, 1, (2, 16, 16, 1))
  x = x.astype(np.float32)
  y = apply(found, np.repeat(x, 3, axis=-1))
  assert y.shape[-1] == 3
  expected = y @ np.array([[0.299], [0.587], [0.114]])
  np.testing.assert_allclose(apply(found, x), expected, atol=1e-5)


def test_wrapped_weights_of_half_precision_are_read(tmp_path, monkeypatch):
  state = saved(UNET, tmp_path)
  half = {f'module.{k}': v.astype(np.float16) for k, v in state.items()}
  whole = {'epoch': 3, 'state_dict': half, 'optimizer': {'state': {}, 'lr': 1}}
  monkeypatch.setattr(torch_file, 'read', lambda path: {'last': whole})
  found = pytorch.read(tmp_path / 'saved.pth')
  assert found.model['unet'] == UNET['unet'] | {'up': 'deconv'}
  ours = enhancer(UNET).ema['enhance']
  equal(found.params, jax.tree.map(lambda x: np.float32(np.float16(x)), ours))
  assert {leaf.dtype for leaf in jax.tree.leaves(found.params)} == {
    np.dtype(np.float32)
  }


def test_what_holds_no_single_network_is_refused(tmp_path, monkeypatch):
  state = saved(UNET, tmp_path)
  circle = {}
  circle['again'] = circle
  claimed = dict.fromkeys(state, np.broadcast_to(np.float32(1), (9, 9, 2**40)))
  for read, message in (
    ({'netG_A': state, 'netG_B': state}, r"networks \('netG_A', 'netG_B'\)"),
    ({'epoch': 3}, 'holds no tensors'),
    (circle, 'holds no tensors'),
    (claimed, 'its tensors claim more than it holds'),
  ):
    monkeypatch.setattr(torch_file, 'read', lambda path, read=read: read)
    with pytest.raises(BadInput, match=message):
      pytorch.read(tmp_path / 'saved.pth')


def changed(state, **changes):
  """Drop keys whose value is None, add or replace the others."""
  state = state | {key.replace('_', '.'): v for key, v in changes.items()}
  return {key: array for key, array in state.items() if array is not None}


def ones(*shape):
  return np.ones(shape, np.float32)


REFUSED = {
  'discriminator': (
    lambda s: {'model.0.weight': ones(8, 1, 4, 4), 'model.0.bias': ones(8)},
    'is a discriminator: name the generator',
  ),
  'pixel': (
    lambda s: {'net.0.weight': ones(8, 1, 1, 1), 'net.0.bias': ones(8)},
    'is a discriminator',
  ),
  'stylegan': (
    lambda s: {'synthesis.b4.conv1.weight': ones(8, 8, 3, 3)},
    r"no generator of .*: its first tensor is 'synthesis\.b4\.conv1\.weight'",
  ),
  'several': (
    lambda s: {f'{net}.{k}': v for net in 'AB' for k, v in s.items()},
    r"no generator of .*: its first tensor is 'A\.model\.1\.weight'",
  ),
  'batch_norm': (
    lambda s: changed(s, model_2_weight=ones(2), model_2_running_mean=ones(2)),
    r"norms with weights \('model\.2\.weight'\), as batch norm",
  ),
  'no_norm': (
    lambda s: changed(s, model_4_bias=None),
    r'no model\.4\.bias, so it was trained with batch norm or with none',
  ),
  'extra': (
    lambda s: changed(s, model_99_weight=ones(2, 2, 3, 3)),
    r"like --netG resnet_3blocks --ngf 2 .* also holds 'model\.99\.weight'",
  ),
  'missing': (
    lambda s: changed(s, model_16_weight=None),
    r'like --netG resnet_3blocks .* lacks model\.16\.weight: it is incomplete',
  ),
  'first': (
    lambda s: changed(s, model_1_weight=None),
    r'lacks model\.1\.weight, the first of a generator',
  ),
  'shape': (
    lambda s: changed(s, model_7_weight=ones(8, 5, 3, 3)),
    r'its model\.7\.weight is \[8, 5, 3, 3\], not \[8, 4, 3, 3\]',
  ),
  'two_channels': (
    lambda s: changed(s, model_1_weight=ones(2, 2, 7, 7)),
    'images of 2 channels: echo is grey',
  ),
  'out_of_three': (
    lambda s: changed(s, model_20_weight=ones(3, 2, 7, 7)),
    r'its model\.20\.weight is \[3, 2, 7, 7\], not \[1, 2, 7, 7\]',
  ),
  'flat': (
    lambda s: changed(s, model_1_weight=ones(2, 2)),
    r'no image network: its model\.1\.weight is \[2, 2\]',
  ),
  'zeros': (
    lambda s: {k.replace('block.1.', 'block.0.'): v for k, v in s.items()},
    'pads its blocks with zeros',
  ),
  'diverged': (
    lambda s: changed(s, model_7_bias=ones(8) * np.nan),
    r'of a run that failed: its model\.7\.bias is not finite',
  ),
  'empty': (lambda s: {}, 'holds no tensors'),
}


@pytest.mark.parametrize('name', REFUSED)
def test_other_networks_are_refused_in_one_line(name, tmp_path):
  change, message = REFUSED[name]
  state = change(saved(RESNET, tmp_path))
  with pytest.raises(BadInput, match=message) as refusal:
    read(state, tmp_path)
  text = str(refusal.value)
  assert text.startswith(str(tmp_path / 'net.pth')) and '\n' not in text


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('gen_still_resnet6', r'resnet_6blocks .* lacks model\.16\.'),
    (
      'gen_resunet',
      r"no generator .* first tensor is 'Conv1\.conv\.0\.weight'",
    ),
  ],
)
def test_stillgans_generators_are_refused(reference, tmp_path, name, message):
  with pytest.raises(BadInput, match=message):
    read(group(reference(name), 'w/'), tmp_path)


def test_a_cut_unet_is_refused(tmp_path):
  state = saved(UNET, tmp_path)
  deep = [key for key in state if key.count('model.3') > 2]
  state = {key: array for key, array in state.items() if key not in deep}
  with pytest.raises(BadInput, match='is a U-Net of 4 scales'):
    read(state, tmp_path)


@pytest.mark.parametrize(
  'options',
  [
    {'resnet': RESNET['resnet'] | {'up': 'adaptive'}},
    {'unet': UNET['unet'] | {'skip_every': 2}},
    {'unet': UNET['unet'] | {'downs': 4}},
    {'resunet': {'features': 2, 'downs': 3}},
  ],
  ids=str,
)
def test_networks_that_the_originals_lack_are_not_written(options, tmp_path):
  with pytest.raises(BadInput, match='has no such network: it has resnet'):
    pytorch.write(tmp_path / 'net.pth', enhancer(options))
  assert not list(tmp_path.iterdir())
