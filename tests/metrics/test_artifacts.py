"""The checkerboard measure: sees a grid, and nothing where there is none."""

import numpy as np
import pytest
from scipy import ndimage

from echogan_jax import metrics
from echogan_jax.data import phantom
from echogan_jax.metrics.artifacts import checkerboard_db

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


def test_it_is_measured_before_after_and_in_the_truth():
  plain = picture(1.5)
  case = metrics.Case(
    input=plain, enhanced=as_uint8(plain + grid(4, (0, 1))), inside=FULL
  )
  found = metrics.measure(case)
  assert found['checkerboard_db/enhanced'] > found['checkerboard_db/input'] + 10
  assert 'checkerboard_db/target' not in found
  found = metrics.measure(case._replace(target=plain))
  assert found['checkerboard_db/target'] == found['checkerboard_db/input']
