"""Distance of an image to its paired truth, inside the sector."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float64, UInt8

from echogan_jax import image

Frames = UInt8[np.ndarray, 'batch height width']
Masks = Bool[np.ndarray, 'batch height width']

_ssim = jax.jit(image.ssim)


def psnr(
  frames: Frames, truth: Frames, inside: Masks
) -> Float64[np.ndarray, ' batch']:
  """Return the peak signal-to-noise ratio in dB, peak 255, per image.

  Infinite for equal images.
  """
  error = (frames.astype(np.float64) - truth) ** 2
  axes = (1, 2)
  mse = np.sum(error * inside, axes) / np.maximum(np.sum(inside, axes), 1)
  with np.errstate(divide='ignore'):
    return 10.0 * np.log10(255.0**2 / mse)


def ssim(
  frames: Frames, truth: Frames, inside: Masks
) -> Float64[np.ndarray, ' batch']:
  """Return the mean SSIM over the sector (Wang et al. 2004), per image.

  Gaussian window of 11 pixels, sigma 1.5, K 0.01 and 0.03.
  """
  x, y = (jnp.asarray(a, jnp.float32)[..., None] / 255 for a in (frames, truth))
  found = np.asarray(_ssim(x, y), np.float64)[..., 0]
  area = np.maximum(np.sum(inside, (1, 2)), 1)
  return np.sum(found * inside, (1, 2)) / area


def mae(
  frames: Frames, truth: Frames, inside: Masks
) -> Float64[np.ndarray, ' batch']:
  """Return the mean absolute error in grey levels, per image."""
  error = np.abs(frames.astype(np.float64) - truth)
  axes = (1, 2)
  return np.sum(error * inside, axes) / np.maximum(np.sum(inside, axes), 1)
