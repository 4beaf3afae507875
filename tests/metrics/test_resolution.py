"""Fourier ring correlation against pictures with a known cut-off."""

import numpy as np
import pytest

from echogan_jax.metrics.resolution import frc, frc_map

SIZE = 96
FULL = np.ones((1, SIZE, SIZE), bool)


def noise(seed, shape=FULL.shape):
  level = np.random.default_rng(seed).normal(128, 30, shape)
  return as_uint8(level)


def as_uint8(level):
  return np.rint(level).clip(0, 255).astype(np.uint8)


def low_passed(frames, cutoff):
  """Return what lies below the cut-off (cycles/pixel), as float."""
  frequency = np.hypot(
    *np.meshgrid(*(np.fft.fftfreq(s) for s in frames.shape[1:]), indexing='ij')
  )
  return np.fft.ifft2(np.fft.fft2(frames) * (frequency < cutoff)).real


def test_equal_pictures_share_every_detail():
  assert frc(noise(0), noise(0), FULL) == 0.5
  flat = np.full(FULL.shape, 90, np.uint8)
  assert frc(flat, flat, FULL) == 0.5
  assert frc(flat, flat + 50, FULL) == 0.5


@pytest.mark.parametrize('cutoff', [0.1, 0.25, 0.4])
@pytest.mark.parametrize('invented', [False, True])
def test_a_cut_off_is_found(cutoff, invented):
  truth, other = noise(0), noise(1)
  level = low_passed(truth, cutoff)
  if invented:
    level += other - low_passed(other, cutoff)
  found = frc(as_uint8(level), truth, FULL)
  assert abs(found - cutoff) < 1 / 32


def test_independent_pictures_share_nothing():
  assert frc(noise(0), noise(1), FULL) < 0.03
  flat = np.full(FULL.shape, 128, np.uint8)
  assert frc(flat, noise(0), FULL) < 0.03


def test_contrast_does_not_matter_and_its_sign_does():
  truth = noise(0)
  assert frc(as_uint8(60 + truth / 2.0), truth, FULL) == 0.5
  assert frc(255 - truth, truth, FULL) < 0.03


def test_rounding_is_no_difference():
  level = low_passed(noise(0), 0.1)
  shifted = level + np.random.default_rng(2).uniform(-0.5, 0.5, level.shape)
  assert frc(as_uint8(level), as_uint8(shifted), FULL) == 0.5


def test_only_patches_over_the_invention_fall():
  truth = noise(0)
  frames = truth.copy()
  frames[:, 32:48, 64:80] = noise(1)[:, 32:48, 64:80]
  found = frc_map(frames, truth, FULL, patch=16)[0]
  assert found.shape == (11, 11)
  over = np.zeros(found.shape, bool)
  over[3:6, 7:10] = True  # patches lie 8 pixels apart
  assert (found[~over] == 0.5).all()
  assert (found[4, 7:10] < 0.2).all() and (found[3:6, 8] < 0.2).all()


def test_only_the_sector_counts():
  inside = np.tri(SIZE, dtype=bool)[None].copy()
  truth = noise(0)
  frames = np.where(inside, truth, noise(1))
  found = frc_map(frames, truth, inside)[0]
  covered = np.isfinite(found)
  assert covered[np.tril_indices(5, -1)].all()
  assert not covered[np.triu_indices(5, 1)].any()
  assert (found[covered] == 0.5).all()
  blurred = as_uint8(low_passed(truth, 0.25))
  assert abs(frc(blurred, truth, inside) - 0.25) < 1 / 32


def test_the_edge_of_the_sector_is_no_shared_detail():
  """A step at the edge has every frequency, in both pictures."""
  inside = np.zeros(FULL.shape, bool)
  inside[:, :, 20:70] = True
  slope = np.linspace(-100, 100, SIZE)[None, None]
  frames, truth = (as_uint8(slope + noise(s) / 8.0 + 112) for s in (0, 1))
  assert np.nanmax(frc_map(frames, truth, inside)) < 0.25


def test_small_pictures_and_batches():
  shape = (3, 25, 21)
  truth, inside = noise(0, shape), np.ones(shape, bool)
  frames = truth.copy()
  frames[1] = noise(1, shape)[1]
  assert frc_map(frames, truth, inside).shape == (3, 2, 2)
  found = frc(frames, truth, inside)
  assert found[0] == found[2] == 0.5
  assert found[1] < 0.1
  inside[1] = False
  with pytest.raises(ValueError, match='without a patch'):
    frc(frames, truth, inside)
  with pytest.raises(ValueError, match='4 pixels'):
    frc(frames[:, :3], truth[:, :3], inside[:, :3])


def test_a_sector_that_covers_no_patch_has_an_empty_map():
  inside = np.zeros((1, 32, 32), bool)
  inside[:, :20, 10:20] = True
  frames = np.full(inside.shape, 9, np.uint8)
  assert np.isnan(frc_map(frames, frames, inside)).all()
