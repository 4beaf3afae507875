"""SSIM and friends against scikit-image's numbers and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echogan_jax import image
from echogan_jax.metrics import fidelity

CASES = (
  'random',
  'noisy',
  'blur',
  'contrast',
  'grating',
  'black_background',
  'constant_vs_constant',
  'identical',
)


def batch(x):
  return jnp.asarray(x, jnp.float32)[None, ..., None]


@pytest.mark.parametrize('case', CASES)
def test_ssim_is_scikit_images(reference, case):
  golden = reference('ssim_psnr')
  a, b = batch(golden[f'{case}/a']), batch(golden[f'{case}/b'])
  found = image.ssim(a, b)
  np.testing.assert_allclose(
    found[0, ..., 0], golden[f'{case}/ssim_map'], atol=1e-4
  )
  found = np.asarray(found, np.float64)
  inner = found[:, 5:-5, 5:-5].mean()
  assert abs(inner - golden[f'{case}/ssim_f64']) < 2e-6
  masked = found[0, ..., 0][golden['mask'] > 0].mean()
  assert abs(masked - golden[f'{case}/ssim_masked_mean_f64']) < 2e-6


def test_ssim_in_float64_is_exact(reference):
  golden = reference('ssim_psnr')
  with jax.enable_x64(True):
    for case in CASES:
      a, b = (
        jnp.asarray(golden[f'{case}/{k}'], jnp.float64)[None, ..., None]
        for k in 'ab'
      )
      found = jnp.mean(image.ssim(a, b)[:, 5:-5, 5:-5])
      assert abs(float(found) - golden[f'{case}/ssim_f64']) < 1e-9


def test_psnr_in_grey_levels_is_scikit_images(reference):
  golden = reference('ssim_psnr')
  a, b = (golden[f'uint8/{k}'][None] for k in 'ab')
  psnr = fidelity.psnr(a, b, np.ones(a.shape, bool))
  np.testing.assert_allclose(psnr, golden['uint8/psnr_f64'], atol=1e-9)
  found = image.ssim(batch(a[0]), batch(b[0]), data_range=255.0)[:, 5:-5, 5:-5]
  np.testing.assert_allclose(
    jnp.mean(found), golden['uint8/ssim_f64'], atol=2e-5
  )


def test_grey_levels_survive_the_round_trip():
  levels = jnp.arange(256, dtype=jnp.uint8).reshape(1, 16, 16, 1)
  floats = image.to_float(levels)
  assert float(floats.min()) == -1.0 and float(floats.max()) == 1.0
  np.testing.assert_array_equal(image.to_uint8(floats), levels)
  # rounded, not truncated, and clipped
  x = jnp.array([-1.2, -1 + 0.6 / 127.5, 1.2]).reshape(1, 1, 3, 1)
  assert image.to_uint8(x).ravel().tolist() == [0, 1, 255]


def test_correlation_and_deviation_look_inside_the_mask_only():
  x = jax.random.normal(jax.random.key(0), (2, 8, 8, 1))
  mask = jnp.zeros((2, 8, 8, 1)).at[:, 2:6, 1:7].set(1.0)
  y = jnp.where(mask > 0, 3.0 - 2.0 * x, 99.0)
  np.testing.assert_allclose(image.correlation(x, y, mask), -1.0, rtol=1e-5)
  inner = np.asarray(x)[:, 2:6, 1:7].std(axis=(1, 2, 3))
  np.testing.assert_allclose(image.deviation(x, mask), inner, rtol=1e-5)
  flat = jnp.ones_like(x)
  np.testing.assert_array_equal(image.correlation(x, flat, mask), 0.0)


def test_enlarging_is_torchs_bicubic(reference):
  golden = reference('primitives')
  x = jnp.asarray(golden['x'].transpose(0, 2, 3, 1))
  y = golden['bicubic/up_odd'].transpose(0, 2, 3, 1)
  found = image.enlarge(x, y.shape[1], y.shape[2])
  np.testing.assert_allclose(found, y, atol=5e-6)
