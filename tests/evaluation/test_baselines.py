"""Classical filters: what each does, and that none leaves the sector."""

import sys

import numpy as np
import pytest
from scipy import ndimage

from echogan_jax.command import BadInput
from echogan_jax.evaluation import baselines

FILTERS = [name for name in baselines.METHODS if name != 'input']
SMOOTHERS = [name for name in FILTERS if name not in ('clahe', 'gamma')]


def noisy(*, deviation=5.0):
  """Return two halves of 60 and 180 under additive noise, and the sector."""
  random = np.random.default_rng(0)
  clean = np.full((2, 48, 48), 60.0)
  clean[:, :, 24:] = 180
  frames = np.rint(clean + random.normal(0, deviation, clean.shape))
  return frames.astype(np.uint8), np.ones(clean.shape, bool)


def disc():
  rows, columns = np.indices((48, 48)) - 24
  return np.broadcast_to(rows**2 + columns**2 < 20**2, (2, 48, 48)).copy()


def halves(frames):
  """Return the deviation in the two halves, away from their edge."""
  return np.mean([frames[:, :, :20].std(), frames[:, :, 28:].std()])


def test_the_input_is_its_own_first_rival():
  frames, inside = noisy()
  assert list(baselines.METHODS)[0] == 'input'
  np.testing.assert_array_equal(
    baselines.enhance('input', frames, inside), frames
  )


def test_every_grey_level_survives_the_way_there_and_back():
  ramp = np.tile(np.arange(256, dtype=np.uint8), (1, 4, 1))
  found = baselines.enhance('median', ramp, np.ones(ramp.shape, bool))
  np.testing.assert_array_equal(found, ramp)


@pytest.mark.parametrize('name', FILTERS)
def test_only_the_sector_changes_and_gives_the_same_again(name):
  frames, inside = noisy()[0], disc()
  found = baselines.enhance(name, frames, inside)
  np.testing.assert_array_equal(found[~inside], frames[~inside])
  assert (found != frames)[inside].any()
  again = baselines.enhance(name, frames[1:], inside[1:])
  np.testing.assert_array_equal(again, found[1:])


@pytest.mark.parametrize('name', FILTERS)
def test_what_lies_outside_does_not_reach_the_rim(name):
  frames, inside = noisy()[0], disc()
  dark, bright = (np.where(inside, frames, level) for level in (0, 255))
  dark, bright = (
    baselines.enhance(name, surround.astype(np.uint8), inside)
    for surround in (dark, bright)
  )
  np.testing.assert_array_equal(dark[inside], bright[inside])


@pytest.mark.parametrize('name', SMOOTHERS)
def test_a_smoother_leaves_no_dark_rim(name):
  inside = disc()
  frames = np.where(inside, noisy()[0], 0).astype(np.uint8)
  found = baselines.enhance(name, frames, inside)
  core = ndimage.binary_erosion(inside[0], iterations=2)
  rim = inside & ~core
  for half in (np.s_[:, :, :21], np.s_[:, :, 27:]):
    levels = found[half][rim[half]]
    assert abs(levels.mean() - frames[half][rim[half]].mean()) < 2


@pytest.mark.parametrize('name', SMOOTHERS)
def test_a_smoother_takes_noise_and_leaves_the_levels(name):
  frames, inside = noisy()
  found = baselines.enhance(name, frames, inside)
  assert halves(found) < 0.8 * halves(frames)
  for half in (np.s_[:, :, :20], np.s_[:, :, 28:]):
    assert abs(found[half].mean() - frames[half].mean()) < 0.4


def test_clahe_raises_local_contrast():
  column = 100 + 8 * np.sin(np.arange(64) / 2)
  frames = np.broadcast_to(column, (1, 64, 64)).astype(np.uint8)
  frames = frames + np.linspace(0, 120, 64).astype(np.uint8)[:, None]
  found = baselines.enhance('clahe', frames, np.ones(frames.shape, bool))
  before, after = (x[:, 8:-8].std(axis=2) for x in (frames, found))
  assert (after > 1.5 * before).all()


def speckled(*, seed=0):
  """Return two halves 20 dB apart under fully developed speckle."""
  random = np.random.default_rng(seed)
  echo = random.rayleigh(size=(1, 64, 64)) * np.where(np.arange(64) < 32, 1, 10)
  return np.clip((20 * np.log10(echo) + 25) / 60, 0, 1)


def test_srad_keeps_an_edge_that_a_gaussian_of_equal_smoothing_blurs():
  levels = speckled()
  found = baselines.srad(levels, q0=0.5, steps=40)
  dark, light = np.s_[:, :, 4:24], np.s_[:, :, 40:60]
  assert found[dark].std() < 0.6 * levels[dark].std()
  widths = np.linspace(0.2, 4, 77)
  blurred = (ndimage.gaussian_filter(levels, (0, w, w)) for w in widths)
  equal = next(b for b in blurred if b[dark].std() <= found[dark].std())
  kept, lost = (
    (x[:, :, 32] - x[:, :, 31]).mean() / (x[light].mean() - x[dark].mean())
    for x in (found, equal)
  )
  assert kept > 1.5 * lost


def test_srad_is_blind_to_gain_and_stops_at_a_flat_picture():
  levels = speckled()
  found = baselines.srad(levels)
  np.testing.assert_allclose(baselines.srad(levels + 0.1), found + 0.1)
  flat = np.full((1, 8, 8), 0.25)
  np.testing.assert_allclose(baselines.srad(flat), flat)


def test_srad_takes_the_step_of_the_paper():
  echo = np.ones((1, 5, 5))
  echo[0, 2, 2] = 2
  found = 10 ** (3 * baselines.srad(np.log10(echo) / 3, q0=0.5, steps=1))
  # squares of the coefficient of variation: 1 here, 0.28 beside it
  here, beside = (1 / (1 + (q - 0.25) / (0.25 * 1.25)) for q in (1, 0.28))
  np.testing.assert_allclose(found[0, 2, 2], 2 - (2 * here + 2 * beside) / 16)


def test_srad_moves_echoes_and_makes_none():
  levels = speckled()
  before, after = (
    np.sum(10 ** (x * 3)) for x in (levels, baselines.srad(levels))
  )
  np.testing.assert_allclose(after, before)


@pytest.mark.parametrize('name', baselines.METHODS)
def test_black_pictures_and_empty_sectors_pass(name):
  black = np.zeros((1, 24, 24), np.uint8)
  full = np.ones(black.shape, bool)
  np.testing.assert_array_equal(baselines.enhance(name, black, full), black)
  frames = noisy()[0]
  found = baselines.enhance(name, frames, np.zeros(frames.shape, bool))
  np.testing.assert_array_equal(found, frames)


def test_an_unknown_name_is_answered_with_the_known():
  frames, inside = noisy()
  with pytest.raises(
    BadInput, match="'bm3d' is not one of input, gamma, median"
  ):
    baselines.enhance('bm3d', frames, inside)


def test_a_missing_library_is_named(monkeypatch):
  monkeypatch.setitem(sys.modules, 'skimage.restoration', None)
  with pytest.raises(BadInput, match=r"pip install 'echogan_jax\[baselines\]'"):
    baselines.enhance('tv', *noisy())
