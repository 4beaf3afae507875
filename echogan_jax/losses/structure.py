"""Terms on structure and illumination, inside the sector only.

After CSI-GAN and StillGAN (Ma et al. 2020, 2021). The original compares a
centre crop; an echo is black outside its sector, so the mask takes that part.
"""

import jax.numpy as jnp

from echogan_jax import image
from echogan_jax.command import BadInput
from echogan_jax.losses.cycle import directions
from echogan_jax.shapes import Outputs, Values

_MAPS = {'structure': image.structure, 'full': image.ssim}


def ssim(
  out: Outputs,
  *,
  form: str = 'structure',
  window: int = 11,
  sigma: float = 1.5,
) -> Values:
  """Return 1 - SSIM between each source and its translation.

  Args:
    out: the generators' pass.
    form: `structure` is the structure term alone (StillGAN's loss), which
      lets brightness and contrast change; `full` is the whole index.
    window: side of the Gaussian window in pixels.
    sigma: its width in pixels.

  Raises:
    BadInput: `form` is neither, or the window is even.
  """
  if form not in _MAPS:
    raise BadInput(f'losses.ssim.form={form}: choose {" or ".join(_MAPS)}')
  if window % 2 == 0:
    raise BadInput(f'losses.ssim.window={window}: must be odd')
  total = 0.0
  for source, target in directions(out.fake):
    similarity = _MAPS[form](
      image.to_unit(out.real[source]),
      image.to_unit(out.fake[target]),
      window=window,
      sigma=sigma,
    )
    total += 1.0 - image.masked_mean(similarity, out.mask[source])
  return total


def illumination(out: Outputs, *, grids: tuple[int, ...] = (8, 4)) -> Values:
  """Return how unevenly the enhanced image is lit (StillGAN's regulariser).

  Patch means minus the global mean, enlarged bicubically, mean magnitude.
  Only pixels inside the sector count, in the patches and in the mean: the
  full-frame form would punish the black around the fan.

  Args:
    out: the generators' pass; only the enhanced image is looked at.
    grids: patches per side, one term each, averaged; the paper's 48 and 96
      pixel patches of a 384 pixel crop are 8 and 4.

  Raises:
    BadInput: the sides are no multiples of a grid.
  """
  lit, mask = image.to_unit(out.fake['high']), out.mask['low']
  height, width = lit.shape[1:3]
  level = image.masked_mean(lit, mask)[:, None, None, None]
  total = 0.0
  for grid in grids:
    if height % grid or width % grid:
      raise BadInput(
        f'losses.illumination.grids: {height}x{width} pixels do not divide '
        f'into {grid} patches; change data.size or the grids'
      )
    means, area = image.patch_means(lit, mask, grid)
    uneven = jnp.where(area > 0, means - level, 0.0)
    uneven = image.enlarge(uneven, height, width)
    total += image.masked_mean(jnp.abs(uneven), mask) / len(grids)
  return total
