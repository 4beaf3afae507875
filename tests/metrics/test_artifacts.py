"""Artefact measures: see what was put in, and nothing where nothing was."""

import numpy as np
import pytest
from scipy import ndimage

from echogan_jax.data import phantom
from echogan_jax.metrics.artifacts import (
  checkerboard_db,
  high_frequency_db,
  inversion,
)

SIZE = 64
FULL = np.ones((SIZE, SIZE), bool)
FAN = np.tri(SIZE, dtype=bool)[:, ::2] | np.zeros((SIZE, SIZE // 2), bool)
FAN = np.concatenate([FAN[:, ::-1], FAN], axis=1)


def picture(blur, seed=0):
  noise = np.random.default_rng(seed).normal(size=(SIZE, SIZE))
  noise = ndimage.gaussian_filter(noise, blur)
  return as_uint8(128 + 30 * noise / noise.std())


def as_uint8(level):
  return np.clip(np.rint(level), 0, 255).astype(np.uint8)


def grid(period, axes, level=8.0):
  """Squares or stripes that turn their sign every half period."""
  places = [np.indices((SIZE, SIZE))[axis] for axis in axes]
  turns = sum(2 * place // period for place in places)
  return level * (1.0 - 2.0 * (turns % 2))


@pytest.mark.parametrize('inside', [FULL, FAN], ids=['full', 'fan'])
@pytest.mark.parametrize('axes', [(0,), (1,), (0, 1)], ids=str)
@pytest.mark.parametrize('period', [2, 4])
def test_a_grid_stands_out(period, axes, inside):
  for blur in (1.5, 8):
    plain = picture(blur)
    marked = as_uint8(plain + grid(period, axes))
    rise = checkerboard_db(marked, inside) - checkerboard_db(plain, inside)
    assert rise > 10, blur


def test_a_stronger_grid_scores_higher():
  found = [
    checkerboard_db(as_uint8(picture(1.5) + grid(2, (0, 1), level)), FULL)
    for level in (1.0, 3.0, 9.0)
  ]
  assert np.diff(found).min() > 5


def test_without_a_grid_it_is_near_zero():
  for blur in (0, 1.5, 8):
    values = [checkerboard_db(picture(blur, seed), FULL) for seed in range(8)]
    assert abs(np.mean(values)) < 1.5, blur
  # a pattern of another period is texture
  stripes = 20 * np.sin(2 * np.pi * np.arange(SIZE) / 5)
  assert abs(checkerboard_db(as_uint8(picture(1.5) + stripes), FULL)) < 2


def test_simulated_echo_has_no_grid():
  for seed in range(3):
    study = phantom.simulate([5, seed], size=96, frames=1)
    for frames in (study.clean, study.degraded):
      assert abs(checkerboard_db(frames[0], study.fan)) < 3


def test_flat_and_tiny_pictures_have_none():
  flat = np.full((SIZE, SIZE), 90, np.uint8)
  assert checkerboard_db(flat, FULL) == 0.0
  dot = np.zeros((SIZE, SIZE), bool)
  dot[3, 5] = True
  assert checkerboard_db(picture(0), dot) == 0.0
  with pytest.raises(ValueError, match='empty'):
    checkerboard_db(flat, ~FULL)


def test_what_lies_outside_the_sector_does_not_count():
  plain = picture(1.5)
  marked = np.where(FAN, plain, as_uint8(plain + grid(2, (0, 1), 50.0)))
  assert checkerboard_db(marked, FAN) == checkerboard_db(plain, FAN)


@pytest.mark.parametrize('inside', [FULL, FAN], ids=['full', 'fan'])
def test_white_noise_has_the_share_of_its_area(inside):
  expected = 10 * np.log10(1 - np.pi * 0.35**2)
  values = [high_frequency_db(picture(0, seed), inside) for seed in range(8)]
  assert abs(np.mean(values) - expected) < 0.2
  flat = np.full((SIZE, SIZE), 90, np.uint8)
  assert abs(high_frequency_db(flat, inside) - expected) < 0.1


@pytest.mark.parametrize('frequency, low', [(0.2, True), (0.45, False)])
def test_a_wave_is_on_its_side_of_the_cut(frequency, low):
  x, y = np.indices((SIZE, SIZE))
  for place in (x, (x + y) / np.sqrt(2)):
    wave = as_uint8(128 + 60 * np.sin(2 * np.pi * frequency * place))
    found = high_frequency_db(wave, FULL)
    assert found < -30 if low else found > -0.1


def test_hidden_noise_raises_it_and_blur_lowers_it():
  plain = picture(1.2)
  noise = np.random.default_rng(1).normal(0, 6, plain.shape)
  found = [
    high_frequency_db(as_uint8(level), FAN)
    for level in (ndimage.gaussian_filter(plain, 1.0), plain, plain + noise)
  ]
  assert np.diff(found).min() > 5


def test_high_frequency_needs_a_sector_and_only_counts_it():
  plain = picture(1.5)
  with pytest.raises(ValueError, match='empty'):
    high_frequency_db(plain, ~FULL)
  other = np.where(FAN, plain, picture(0))
  assert high_frequency_db(other, FAN) == high_frequency_db(plain, FAN)


@pytest.mark.parametrize('inside', [FULL, FAN], ids=['full', 'fan'])
def test_a_negative_is_inverted_and_a_stretch_is_not(inside):
  plain = picture(1.5)
  assert inversion(plain, 255 - plain, inside) > 0.99
  gamma = as_uint8(255 * (plain / 255) ** 2)
  stretched = as_uint8(2.0 * plain - 100)
  blurred = ndimage.gaussian_filter(plain, 1)
  for after in (plain, gamma, stretched, blurred):
    assert inversion(plain, after, inside) == 0.0
  flat = np.full((SIZE, SIZE), 90, np.uint8)
  assert inversion(plain, flat, inside) == inversion(flat, plain, inside) == 0.0


def test_half_a_negative_is_half_inverted():
  plain = picture(1.5)
  after = np.where(np.arange(SIZE) < SIZE // 2, plain, 255 - plain)
  assert abs(inversion(plain, after, FULL) - 0.5) < 0.1


def test_inversion_is_asked_of_the_sector_only():
  plain = picture(1.5)
  after = np.where(FAN, plain, 255 - plain)
  assert inversion(plain, after, FAN) == 0.0
  assert inversion(plain, after, ~FAN) > 0.99
  with pytest.raises(ValueError, match='empty'):
    inversion(plain, after, ~FULL)
