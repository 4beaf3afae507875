"""Flicker: motion is explained, brightness that jumps is not."""

import functools

import numpy as np
import pytest
from scipy import ndimage

from echogan_jax.data import phantom
from echogan_jax.metrics.temporal import flicker, flicker_added, warp

SIDE, FRAMES = 48, 5
FULL = np.ones((SIDE, SIDE), bool)
STILL = np.zeros((FRAMES, SIDE, SIDE, 2), np.float32)
STEP = np.array([2, 1], np.float32)  # (x, y), pixels a frame
TIMES = np.arange(FRAMES, dtype=np.float32)[:, None, None, None]


def texture(side=SIDE, seed=0):
  noise = np.random.default_rng(seed).normal(size=(side, side))
  noise = ndimage.gaussian_filter(noise, 1.5, mode='wrap')
  return as_uint8(128 + 30 * noise / noise.std())


def as_uint8(level):
  return np.clip(np.rint(level), 0, 255).astype(np.uint8)


def difference(frames, inside):
  return np.abs(np.diff(frames.astype(float), axis=0))[:, inside].mean()


@pytest.fixture(scope='module')
def moving():
  """A texture that goes right and down, and how."""
  frames = [np.roll(texture(), (t, 2 * t), axis=(0, 1)) for t in range(FRAMES)]
  return np.stack(frames), STILL + STEP * TIMES


def test_known_motion_explains_all_of_a_rigid_move(moving):
  frames, displacement = moving
  assert difference(frames, FULL) > 15
  # whole pixels, so that interpolation changes nothing
  assert flicker(frames, displacement, FULL) < 1e-3


def test_wrong_motion_explains_nothing(moving):
  frames, displacement = moving
  for wrong in (-displacement, displacement[..., ::-1]):
    assert flicker(frames, wrong, FULL) > 10


def test_growth_is_followed_where_displacements_vary():
  middle = (SIDE - 1) / 2
  y, x = np.indices((SIDE, SIDE)) - middle
  frames, displacement = [], []
  for t in range(FRAMES):
    scale = 1.05**t
    places = np.stack([y, x]) / scale + middle
    frames.append(ndimage.map_coordinates(texture(), places, order=3))
    displacement.append(np.stack([x, y], -1) * (1 - 1 / scale))
  frames = np.stack(frames)
  displacement = np.stack(displacement).astype(np.float32)
  found = flicker(frames, displacement, FULL)
  # interpolation's share; one step of the iteration leaves a quarter more
  assert found < 0.125 * difference(frames, FULL)
  # displacements count from frame 0, not from the frame before
  between = np.diff(displacement, axis=0, prepend=STILL[:1])
  assert found < 0.3 * flicker(frames, between, FULL)


def test_a_still_clip_has_none_and_jumping_brightness_counts_in_full(moving):
  still = np.stack([texture()] * FRAMES)
  assert flicker(still, STILL, FULL) == 0.0
  jump = 8 * (np.arange(FRAMES) % 2).astype(np.uint8)[:, None, None]
  bounded = np.clip(still, 10, 240)
  assert flicker(bounded + jump, STILL, FULL) == 8.0
  frames, displacement = moving
  found = flicker(np.clip(frames, 10, 240) + jump, displacement, FULL)
  assert found == pytest.approx(8, abs=0.05)


def test_only_motion_within_the_sector_counts(moving):
  frames, displacement = moving
  inside = np.zeros((SIDE, SIDE), bool)
  inside[8:40, 8:40] = True
  spoiled = np.where(inside, frames, 255).astype(np.uint8)
  # as the phantom has it: motion is known inside only
  known = displacement * inside[..., None]
  moved, seen = warp(spoiled, known, inside)
  expected = np.zeros((SIDE, SIDE), bool)
  expected[9:40, 10:40] = True
  np.testing.assert_array_equal(seen, np.stack([expected] * (FRAMES - 1)))
  np.testing.assert_allclose(moved[seen], frames[1:][seen], atol=1e-2)
  assert flicker(spoiled, known, inside) < 1e-3


def test_added_flicker_is_what_the_input_has_not(moving):
  frames = np.clip(moving[0], 20, 200)
  assert flicker_added(frames, frames + np.uint8(30), FULL) == 0.0
  jump = 6 * (np.arange(FRAMES) % 2).astype(np.uint8)[:, None, None]
  assert flicker_added(frames, frames + jump, FULL) == 6.0
  outside = ~np.eye(SIDE, dtype=bool)
  marked = np.where(outside, frames, 0).astype(np.uint8)
  assert flicker_added(frames, marked, outside) == 0.0


def test_a_single_frame_or_no_sector_cannot_flicker():
  still = np.stack([texture()] * FRAMES)
  for measure in (
    functools.partial(flicker, still[:1], STILL[:1]),
    functools.partial(flicker_added, still[:1], still[:1]),
  ):
    with pytest.raises(ValueError, match='two frames'):
      measure(FULL)
  for measure in (
    functools.partial(flicker, still, STILL),
    functools.partial(flicker_added, still, still),
  ):
    with pytest.raises(ValueError, match='sector'):
      measure(~FULL)
  away = STILL + 100 * TIMES
  with pytest.raises(ValueError, match='no pixel stays'):
    flicker(still, away, FULL)


@pytest.mark.parametrize('size, share', [(64, 0.7), (96, 0.6)])
def test_the_phantoms_motion_explains_its_clean_clip(size, share):
  study = phantom.simulate(1, size=size, frames=8)
  displacement = study.displacement / np.float32(study.mm_per_pixel)
  found = flicker(study.clean, displacement, study.fan)
  assert found < share * difference(study.clean, study.fan)
  assert found < 0.6 * flicker(study.clean, -displacement, study.fan)
