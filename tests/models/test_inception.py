"""InceptionV3 against pytorch-fid's own, on weights that any code can draw.

`reference/inception.npz` holds what pytorch-fid 0.3.0 (torchvision 0.28.0,
torch 2.13.0, float64) returns for `images` with the weights of `draw`.
"""

import pathlib
import zlib

import jax
import numpy as np
import pytest

from echogan_jax.command import BadInput
from echogan_jax.models import inception

HERE = pathlib.Path(__file__).parents[1] / 'reference'
RANGES = {'bn.weight': (0.7, 1.3), 'bn.running_var': (0.5, 1.5)}


def draw(name, shape):
  generator = np.random.default_rng(zlib.crc32(name.encode()))
  for end, (low, high) in RANGES.items():
    if name.endswith(end):
      return generator.uniform(low, high, shape).astype(np.float32)
  scale = np.sqrt(1.8 / np.prod(shape[1:])) if len(shape) > 1 else 0.1
  normal = generator.standard_normal(shape, np.float32)
  return (scale * normal).astype(np.float32)


def images():
  coarse = np.random.default_rng(0).uniform(-1, 1, (2, 23, 23, 3))
  return coarse.repeat(13, 1).repeat(13, 2).astype(np.float32)


@pytest.fixture(scope='module')
def expected():
  return dict(np.load(HERE / 'inception.npz'))


@pytest.fixture(scope='module')
def weights(expected):
  shapes = [tuple(shape[shape > 0]) for shape in expected['shapes']]
  return {
    str(name): draw(str(name), shape)
    for name, shape in zip(expected['names'], shapes, strict=True)
  }


def test_features_are_those_of_pytorch_fid(weights, expected):
  params = inception.convert(weights)
  found = jax.jit(inception.features)(params, images())
  # float32 in another order: 2e-7 and 7e-7 were measured
  for ours, name in zip(found, ('pool3', 'logits'), strict=True):
    theirs = expected[name]
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=5e-6 * np.abs(theirs).max())


def test_every_weight_is_needed_and_nothing_else_is(weights):
  idle = {name for name in weights if name.endswith('num_batches_tracked')}
  assert len(idle) == 94
  extra = {'AuxLogits.fc.weight': np.zeros((1008, 768))}
  used = {k: v for k, v in weights.items() if k not in idle}
  plain = inception.convert(used | extra)
  assert set(plain) == {name.split('.bn.')[0] for name in idle} | {'fc'}
  for name in ('Conv2d_1a_3x3.conv.weight', 'Mixed_7c.branch_pool.bn.bias'):
    missing = {k: v for k, v in used.items() if k != name}
    with pytest.raises(BadInput, match=f'has no tensor {name}'):
      inception.convert(missing)


@pytest.mark.parametrize(
  ('name', 'change', 'words'),
  [
    ('fc.weight', lambda a: a[:1000], r'\(1000, 2048\), not \(1008, 2048\)'),
    ('Mixed_6b.branch7x7_2.conv.weight', lambda a: a.swapaxes(2, 3), 'shape'),
    ('Mixed_5b.branch1x1.bn.bias', lambda a: a * np.nan, 'not finite'),
    ('Mixed_5b.branch1x1.bn.running_var', lambda a: -a, 'negative'),
    ('fc.bias', list, 'no tensor'),
  ],
)
def test_other_networks_are_refused_by_name(weights, name, change, words):
  with pytest.raises(BadInput, match=words) as refusal:
    inception.convert(weights | {name: change(weights[name])})
  assert name in str(refusal.value)


def test_another_checkpoint_is_refused_with_where_to_find_the_right_one():
  path = HERE / 'pth' / 'plain.pth'
  with pytest.raises(BadInput, match='no tensor Conv2d_1a_3x3') as refusal:
    inception.read(path)
  assert str(refusal.value).startswith(f'{path} has')
  assert 'github.com/mseitzer/pytorch-fid/releases' in str(refusal.value)
