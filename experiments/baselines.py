"""Would a filter have done? The input and classical filters, side by side.

  python -m experiments.run baselines --split=test [--workdir W ...]

runs at once, for nothing is trained; --workdir adds networks, trained here or
imported from PyTorch.
"""

from echogan_jax.evaluation.baselines import METHODS as _METHODS

METRICS = (
  'recovery',
  'invention',
  'psnr',
  'ssim',
  'lpips',
  'gcnr',
  'fd_vgg16',
  'dice_lv',
  'dice_myocardium',
  'ef_error',
  'flicker',
  'survival',
)
SEEDS = (0,)
VARIANTS = {name: {'method': name} for name in _METHODS}
