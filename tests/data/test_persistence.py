"""Persistence: noise is averaged, motion is not, nothing is held back."""

import numpy as np
import pytest

from echogan_jax.data import persistence

SIDE = 56  # local means over 4 pixels


def smoothed(frames, interval=33.0):
  found = persistence.smooth(iter(frames), SIDE, interval=interval)
  return np.stack(list(found))


@pytest.mark.parametrize('count', [1, 2, 4, 5, 12])
def test_what_stands_still_stays_as_it_is(count):
  grey = np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8)
  frames = np.repeat(grey[None], count, axis=0)
  np.testing.assert_array_equal(smoothed(frames), frames)


def test_noise_is_averaged():
  random = np.random.default_rng(1)
  frames = np.clip(random.normal(120, 8, (30, 40, 40)), 0, 255)
  found = smoothed(np.rint(frames).astype(np.uint8)).astype(float)
  before, after = (np.abs(np.diff(f, axis=0)).mean() for f in (frames, found))
  assert after < 0.5 * before
  assert abs(found.mean() - frames.mean()) < 0.2


def test_a_wall_that_moves_is_not_smeared():
  frames = np.full((9, 40, 90), 20, np.uint8)
  for number, frame in enumerate(frames):
    frame[:, 10 * number : 10 * number + 10] = 200
  off = np.abs(smoothed(frames).astype(int) - frames)
  # but for columns whose local mean is the same before and after
  assert (off <= 2).mean() > 0.97 and (off <= 2)[..., 3:7].all()


def test_weights_are_those_of_the_formula():
  # steps between two frames, flat: the local means are the levels
  low, high = (np.full((8, 8), level, np.uint8) for level in (100, 110))
  for interval, sigma in ((33.0, 1.0), (80.0, 0.5)):
    share = np.exp(-((1 / sigma) ** 2) / 2 - (10 / 6) ** 2 / 2)
    expected = (100 + share * 110) / (1 + share)
    found = smoothed([low, high], interval)
    np.testing.assert_array_equal(found[0], np.rint(expected))
    np.testing.assert_array_equal(found[1], np.rint(210 - expected))


def test_no_more_than_three_frames_are_waited_for():
  taken = []

  def frames():
    for number in range(9):
      taken.append(number)
      yield np.zeros((8, 8), np.uint8)

  found = persistence.smooth(frames(), SIDE, interval=33.0)
  for number in range(9):
    next(found)
    assert len(taken) == min(number + 4, 9)
