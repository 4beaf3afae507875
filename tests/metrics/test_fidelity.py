"""Distances to the truth: closed forms, and the sector only."""

import numpy as np
import skimage.metrics

from echogan_jax.metrics import catalogue, fidelity


def test_psnr_and_mae_count_the_sector_only():
  truth = np.full((1, 8, 8), 100, np.uint8)
  frames = truth.copy()
  frames[0, :4] += 10
  inside = np.zeros(truth.shape, bool)
  inside[0, :4] = True
  expected = 20 * np.log10(255 / 10)
  np.testing.assert_allclose(fidelity.psnr(frames, truth, inside), expected)
  assert fidelity.mae(frames, truth, inside) == 10
  assert np.isinf(fidelity.psnr(frames, truth, ~inside))
  assert fidelity.mae(frames, truth, ~inside) == 0


def test_ssim_is_scikit_images():
  random = np.random.default_rng(0)
  truth = random.integers(0, 256, (2, 24, 24), np.uint8)
  frames = (truth // 2 + random.integers(0, 90, truth.shape)).astype(np.uint8)
  inside = np.zeros(truth.shape, bool)
  inside[:, 8:20, 6:18] = True
  found = fidelity.ssim(frames, truth, inside)
  for n in range(2):
    _, full = skimage.metrics.structural_similarity(
      *(frames[n], truth[n]),
      gaussian_weights=True,
      sigma=1.5,
      use_sample_covariance=False,
      full=True,
    )
    np.testing.assert_allclose(found[n], full[inside[n]].mean(), atol=2e-5)


def test_every_fact_tells_a_direction_and_a_meaning():
  for name, fact in catalogue.FACTS.items():
    assert fact.better in ('higher', 'lower', 'zero', ''), name
    assert 10 < len(fact.meaning) < 80, name
