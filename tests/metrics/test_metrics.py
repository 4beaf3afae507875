"""Metrics against reference numbers and closed forms."""

import numpy as np
import pytest

from echogan_jax import metrics
from echogan_jax.metrics import contrast, fidelity


def test_gcnr_is_the_challenges(reference):
  golden = reference('challenge_metrics')
  expected = golden['images/gCNR_f64']
  for i, mask in enumerate(golden['images/mask']):
    output = golden['images/output'][i].astype(np.float64)
    found = contrast.gcnr(output[mask == 255], output[mask == 128])
    assert abs(found - expected[i]) < 1e-12
  found = contrast.gcnr(golden['float/region_A'], golden['float/region_B'])
  assert abs(found - golden['float/gCNR_f64']) < 1e-12


def test_gcnr_of_same_and_of_separate_tissues():
  tissue = np.arange(1000) % 50
  assert contrast.gcnr(tissue, tissue) == 0.0
  assert contrast.gcnr(tissue, tissue + 100) == 1.0
  with pytest.raises(ValueError, match='empty'):
    contrast.gcnr(tissue, tissue[:0])


def test_psnr_counts_the_sector_only():
  truth = np.full((1, 8, 8), 100, np.uint8)
  frames = truth.copy()
  frames[0, :4] += 10
  inside = np.zeros(truth.shape, bool)
  inside[0, :4] = True
  expected = 20 * np.log10(255 / 10)
  np.testing.assert_allclose(fidelity.psnr(frames, truth, inside), expected)
  assert np.isinf(fidelity.psnr(frames, truth, ~inside))


def case(**changes):
  random = np.random.default_rng(0)
  labels = np.zeros((24, 24), np.uint8)
  labels[4:12, 4:20], labels[14:20, 4:20] = 1, 2
  target = np.where(labels == 2, 180, 20).astype(np.uint8)
  noisy = np.clip(target + random.normal(0, 40, target.shape), 0, 255)
  found = metrics.Case(
    input=noisy.astype(np.uint8),
    enhanced=((noisy + target) / 2).astype(np.uint8),
    inside=np.ones((24, 24), bool),
    target=target,
    labels=labels,
  )
  return found._replace(**changes)


def test_a_better_picture_scores_better():
  found = metrics.measure(case())
  assert set(found) == {
    *(f'{m}/{w}' for m in ('psnr', 'ssim') for w in ('input', 'enhanced')),
    *(
      f'{m}/{w}'
      for m in ('gcnr', 'checkerboard_db')
      for w in ('input', 'enhanced', 'target')
    ),
  }
  for name in ('psnr', 'ssim', 'gcnr'):
    assert found[f'{name}/enhanced'] > found[f'{name}/input']
  assert found['gcnr/target'] == 1.0


def test_what_cannot_be_computed_is_absent_with_its_reason():
  found = metrics.measure(case(target=None, labels=None))
  assert set(found) == {'checkerboard_db/input', 'checkerboard_db/enhanced'}
  means, skipped = metrics.summarise([{}, {}])
  assert means == {}
  assert set(skipped) == {'psnr', 'ssim', 'gcnr'}
  assert 'truth' in skipped['psnr']
  blank = case(labels=np.zeros((24, 24), np.uint8))
  assert not any('gcnr' in name for name in metrics.measure(blank))
  means, skipped = metrics.summarise([{'psnr/input': np.inf}])
  assert 'psnr/input' in skipped and not means
