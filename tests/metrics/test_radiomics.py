"""Texture against scikit-image, SciPy and closed forms."""

import numpy as np
import pytest
import scipy.stats
from skimage.feature import graycomatrix, graycoprops

from echogan_jax.metrics import radiomics


def speckle(shape=(2, 40, 48), seed=0):
  noise = np.random.default_rng(seed).rayleigh(40, shape)
  return np.clip(noise, 0, 255).astype(np.uint8)


def measure(frames, inside=None):
  """Return named features of one frame."""
  inside = np.ones(frames.shape, bool) if inside is None else inside
  found = radiomics.radiomics(frames[None], inside[None])[0]
  return dict(zip(radiomics.NAMES, found, strict=True))


def test_first_order_statistics_are_scipys():
  frame = speckle()[0]
  found, levels = measure(frame), frame.ravel().astype(np.float64)
  share = np.bincount(frame.ravel()) / frame.size
  expected = {
    'mean': levels.mean(),
    'deviation': levels.std(),
    'skewness': scipy.stats.skew(levels),
    'kurtosis': scipy.stats.kurtosis(levels),
    'entropy': scipy.stats.entropy(share, base=2),
    'uniformity': np.sum(share**2),
    'percentile_10': np.percentile(levels, 10),
    'percentile_50': np.median(levels),
    'percentile_90': np.percentile(levels, 90),
  }
  for name, value in expected.items():
    assert abs(found[name] - value) < 1e-9 * abs(value), name


@pytest.mark.parametrize('far', [1, 2, 4])
def test_co_occurrence_is_scikit_images(far):
  frame = speckle()[0]
  # its distances are lengths, ours are steps: a diagonal step is √2 long
  straight, diagonal = (
    graycomatrix(
      frame // 16,
      [far * length],
      np.pi * np.array(angles),
      levels=16,
      symmetric=True,
      normed=True,
    )
    for length, angles in ((1, (0, 0.5)), (2**0.5, (0.25, 0.75)))
  )
  both = np.concatenate([straight, diagonal], axis=3)
  found = measure(frame)
  for name in ('contrast', 'correlation', 'energy', 'homogeneity', 'entropy'):
    expected = graycoprops(both, name).mean()
    if name == 'entropy':  # in nats
      expected /= np.log(2)
    assert abs(found[f'{name}_{far}'] - expected) < 1e-9, name


def test_only_the_sector_counts():
  frame, other = speckle()
  inside = np.zeros(frame.shape, bool)
  inside[3:30, 5:40] = True
  expected = measure(frame[inside].reshape(27, 35))
  found = measure(np.where(inside, frame, other), inside)
  for name, value in found.items():
    assert abs(value - expected[name]) < 1e-9 * max(abs(value), 1), name


def test_a_ramp_is_as_steep_as_it_is():
  ramp = np.tile(np.arange(0, 120, 3, dtype=np.uint8), (20, 1))
  found = measure(ramp)
  assert found['gradient_mean'] == 3.0 and found['gradient_deviation'] == 0.0
  turned = measure(np.ascontiguousarray(ramp.T))
  for name, value in found.items():
    assert abs(turned[name] - value) < 1e-6 * max(abs(value), 1), name


def test_a_grating_has_its_power_in_its_octave():
  for period in (3, 6, 12, 24, 48):
    wave = 128 + 60 * np.cos(2 * np.pi * np.arange(96) / period)
    found = measure(np.tile(wave.astype(np.uint8), (96, 1)))
    powers = {n: v for n, v in found.items() if n.startswith('power_db')}
    low = 2 ** int(np.ceil(np.log2(period)))
    assert max(powers, key=powers.get) == f'power_db_{low}'


def test_white_noise_has_the_same_power_in_every_octave():
  noise = np.random.default_rng(0).normal(128, 12, (128, 128))
  found = measure(noise.astype(np.uint8))
  expected = 10 * np.log10(12 * 12**2)
  for name, value in found.items():
    if name.startswith('power_db') and name != 'power_db_64':
      assert abs(value - expected) < 1.5, name


def test_a_flat_picture_has_finite_texture():
  found = measure(np.full((16, 16), 80, np.uint8))
  assert np.isfinite(list(found.values())).all()
  zeros = ('deviation', 'skewness', 'kurtosis', 'contrast_4', 'power_db_4')
  assert all(abs(found[name]) < 1e-9 for name in zeros)
  assert found['correlation_1'] == found['energy_2'] == 1.0


def test_frames_keep_their_order_and_sectors_too_small_are_refused():
  frames = speckle()
  inside = np.ones(frames.shape, bool)
  found = radiomics.radiomics(frames, inside)
  assert found.shape == (2, len(set(radiomics.NAMES)))
  np.testing.assert_array_equal(found[1], list(measure(frames[1]).values()))
  assert radiomics.radiomics(frames[:0], inside[:0]).shape == (0, 31)
  for rows, reason in ((0, 'empty'), (4, '4 apart'), (5, None)):
    inside = np.zeros(frames.shape, bool)
    inside[:, :rows] = True
    if reason:
      with pytest.raises(ValueError, match=reason):
        radiomics.radiomics(frames, inside)
    else:
      radiomics.radiomics(frames, inside)
  sparse = np.random.default_rng(0).random(frames.shape[1:]) < 0.12
  with pytest.raises(ValueError, match='neighbours'):
    measure(frames[0], sparse)
