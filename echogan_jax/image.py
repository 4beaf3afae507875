"""Pure pixel maths on batches, shared by losses, metrics and deployment.

Images are [batch, height, width, 1]; functions that reduce return one value
per example. Everything here is differentiable except the uint8 conversions.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Num, UInt8

from echogan_jax.shapes import Image, Mask, Values


def to_float(frames: Num[Array, 'batch height width 1']) -> Image:
  """Map uint8 grey levels to [-1, 1]; floats are taken as mapped already."""
  if jnp.issubdtype(frames.dtype, jnp.floating):
    return frames
  return frames.astype(jnp.float32) / 127.5 - 1.0


def to_uint8(image: Image) -> UInt8[Array, 'batch height width 1']:
  """Map [-1, 1] to grey levels, rounded to the nearest and clipped."""
  return jnp.clip(jnp.rint((image + 1.0) * 127.5), 0, 255).astype(jnp.uint8)


def to_unit(image: Image) -> Image:
  """Map [-1, 1] to [0, 1], where SSIM and illumination are defined."""
  return (image + 1.0) / 2.0


def inside(image: Image, source: Image, mask: Mask) -> Image:
  """Keep `image` where the mask is 1 and `source` where it is 0."""
  return mask * image + (1.0 - mask) * source


def mean(values: Float[Array, 'batch *rest']) -> Values:
  """Return the mean over everything but the batch."""
  return jnp.mean(values, axis=tuple(range(1, values.ndim)))


def masked_mean(values: Image, mask: Mask) -> Values:
  """Return the mean where the mask is 1; 0 for an empty mask."""
  axes = tuple(range(1, values.ndim))
  area = jnp.sum(mask, axis=axes)
  return jnp.sum(values * mask, axis=axes) / jnp.maximum(area, 1.0)


def l1(x: Image, y: Image) -> Values:
  """Return the mean absolute difference per example."""
  return mean(jnp.abs(x - y))


def correlation(x: Image, y: Image, mask: Mask) -> Values:
  """Return Pearson's correlation inside the mask; 0 for flat images."""
  x = x - masked_mean(x, mask)[:, None, None, None]
  y = y - masked_mean(y, mask)[:, None, None, None]
  power = masked_mean(x * x, mask) * masked_mean(y * y, mask)
  return masked_mean(x * y, mask) / jnp.sqrt(jnp.maximum(power, 1e-12))


def deviation(x: Image, mask: Mask) -> Values:
  """Return the standard deviation inside the mask."""
  x = x - masked_mean(x, mask)[:, None, None, None]
  return jnp.sqrt(masked_mean(x * x, mask))


def _gaussian(window: int, sigma: float) -> Float[Array, ' window']:
  offsets = jnp.arange(window) - (window - 1) / 2.0
  weights = jnp.exp(-0.5 * (offsets / sigma) ** 2)
  return weights / jnp.sum(weights)


def blur(
  x: Image,
  *,
  window: int = 11,
  sigma: float = 1.5,
  border: Literal['symmetric', 'zero'] = 'symmetric',
) -> Image:
  """Filter with a Gaussian window of `window` pixels, same size out."""
  half = window // 2
  pads = ((0, 0), (half, half), (half, half), (0, 0))
  x = jnp.pad(x, pads, 'constant' if border == 'zero' else border)
  weights = _gaussian(window, sigma).astype(x.dtype)
  for kernel in (weights[:, None, None, None], weights[None, :, None, None]):
    x = lax.conv_general_dilated(
      x, kernel, (1, 1), 'VALID', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )
  return x


def _moments(x: Image, y: Image, **window) -> tuple[Image, ...]:
  stacked = jnp.concatenate([x, y, x * x, y * y, x * y])
  ex, ey, exx, eyy, exy = jnp.split(blur(stacked, **window), 5)
  vx, vy = (jnp.maximum(v, 0.0) for v in (exx - ex * ex, eyy - ey * ey))
  return ex, ey, vx, vy, exy - ex * ey


def ssim(x: Image, y: Image, *, data_range: float = 1.0, **window) -> Image:
  """Return the SSIM map (Wang et al. 2004, Eq. 13), population moments.

  Args:
    x: first image, in a range of width `data_range`.
    y: second image.
    data_range: L of the constants (0.01 L)² and (0.03 L)².
    **window: keywords of `blur`.
  """
  ex, ey, vx, vy, cov = _moments(x, y, **window)
  c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
  luminance = (2 * ex * ey + c1) / (ex * ex + ey * ey + c1)
  return luminance * (2 * cov + c2) / (vx + vy + c2)


def structure(x: Image, y: Image, **window) -> Image:
  """Return the map of SSIM's structure term (Wang et al. 2004, Eq. 10).

  Blind to local brightness and contrast, so it lets an enhancement through.
  Flat regions give 1. For images in [0, 1]; C3 = 0.03²/2.
  """
  _, _, vx, vy, cov = _moments(x, y, **window)
  c3 = 0.03**2 / 2
  # the square root's slope is infinite at 0, which black regions reach
  spread = jnp.sqrt(vx + 1e-10) * jnp.sqrt(vy + 1e-10)
  return (cov + c3) / (spread + c3)


Patches = Float[Array, 'batch {grid} {grid} 1']


def patch_means(x: Image, mask: Mask, grid: int) -> tuple[Patches, Patches]:
  """Average over grid x grid equal patches, counting masked pixels only.

  The sides must be multiples of `grid`.

  Returns:
    The means (0 where a patch has no masked pixel) and the patch areas.
  """
  batch, height, width, _ = x.shape
  shape = (batch, grid, height // grid, grid, width // grid, 1)
  total = jnp.sum((x * mask).reshape(shape), axis=(2, 4))
  area = jnp.sum(mask.reshape(shape), axis=(2, 4))
  return total / jnp.maximum(area, 1.0), area


def enlarge(
  x: Float[Array, 'batch rows columns channels'], height: int, width: int
) -> Float[Array, 'batch {height} {width} channels']:
  """Resize bicubically as PyTorch does (a = -0.75, no antialiasing)."""
  shape = (x.shape[0], height, width, x.shape[3])
  return jax.image.resize(x, shape, 'cubic-pytorch', antialias=False)
