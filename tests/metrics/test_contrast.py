"""Contrast and speckle against reference numbers and closed forms."""

import numpy as np
import pytest
from scipy import stats

from echogan_jax.metrics import contrast

RAMP = np.arange(1000) % 50


@pytest.fixture(scope='module')
def regions(reference):
  """Hazy and dehazed grey levels of the septum and the cavity, per picture."""
  golden = reference('challenge_metrics')
  return [
    {
      'A': (hazy[mask == 255], output[mask == 255]),
      'B': (hazy[mask == 128], output[mask == 128]),
    }
    for hazy, output, mask in zip(
      *(golden[f'images/{name}'] for name in ('hazy', 'output', 'mask')),
      strict=True,
    )
  ]


@pytest.mark.parametrize(
  'name, metric, tolerance',
  [('CNR', contrast.cnr, 1e-10), ('gCNR', contrast.gcnr, 1e-12)],
)
def test_contrast_is_the_challenges(
  reference, regions, name, metric, tolerance
):
  golden = reference('challenge_metrics')
  found = [metric(found['A'][1], found['B'][1]) for found in regions]
  expected = golden[f'images/{name}_f64']
  np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
  pair = golden['float/region_A'], golden['float/region_B']
  found = metric(*(region.astype(np.float64) for region in pair))
  assert abs(found - golden[f'float/{name}_f64']) < tolerance


@pytest.mark.parametrize('region', ['A', 'B'])
def test_ks_is_the_challenges(reference, regions, region):
  found = [contrast.ks(*pictures[region]) for pictures in regions]
  expected = reference('challenge_metrics')[f'images/KS_{region}_f64']
  np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_ks_is_scipys_without_ties():
  random = np.random.default_rng(0)
  before, after = random.normal(size=200), random.normal(0.3, 2, size=150)
  expected = stats.ks_2samp(before, after).statistic
  assert abs(contrast.ks(before, after) - expected) < 1e-12


def test_gcnr_of_same_and_of_separate_tissues():
  assert contrast.gcnr(RAMP, RAMP) == 0.0
  assert contrast.gcnr(RAMP, RAMP + 100) == 1.0


def test_cnr_has_a_sign_and_a_unit():
  bright = RAMP + 100
  expected = 100 / np.sqrt(2 * RAMP.var())
  assert contrast.cnr(bright, RAMP) == pytest.approx(expected)
  assert contrast.cnr(RAMP, bright) == pytest.approx(-expected)
  found = contrast.cnr_db(RAMP, bright)
  assert found == pytest.approx(20 * np.log10(np.sqrt(2) * expected))
  # bytes must not wrap around
  as_bytes = RAMP.astype(np.uint8), bright.astype(np.uint8)
  assert contrast.cnr(*as_bytes) == contrast.cnr(RAMP, bright)


@pytest.mark.parametrize('dynamic_range_db', [50.0, 60.0])
def test_speckle_snr_of_rayleigh_speckle(dynamic_range_db):
  envelope = np.random.default_rng(0).rayleigh(size=40_000)
  decibels = 20 * np.log10(envelope / envelope.max())
  grey = np.rint(255 * (1 + decibels / dynamic_range_db)).clip(0, 255)
  found = contrast.speckle_snr(
    grey.astype(np.uint8), dynamic_range_db=dynamic_range_db
  )
  assert abs(found - np.sqrt(np.pi / (4 - np.pi))) < 0.02
  smooth = np.rint(grey.reshape(-1, 4).mean(1)).astype(np.uint8)
  assert contrast.speckle_snr(smooth, dynamic_range_db=dynamic_range_db) > 3


def test_what_is_undefined_is_refused():
  empty, flat = RAMP[:0], np.full(9, 7)
  for metric in (contrast.gcnr, contrast.cnr, contrast.cnr_db, contrast.ks):
    for pair in ((empty, RAMP), (RAMP, empty)):
      with pytest.raises(ValueError, match='empty'):
        metric(*pair)
  with pytest.raises(ValueError, match='empty'):
    contrast.speckle_snr(empty)
  with pytest.raises(ValueError, match='constant'):
    contrast.speckle_snr(flat)
  for metric in (contrast.cnr, contrast.cnr_db):
    with pytest.raises(ValueError, match='constant'):
      metric(flat, flat + 5)
  with pytest.raises(ValueError, match='equal means'):
    contrast.cnr_db(RAMP, RAMP)
