"""CSI-GAN (Ma et al. 2020) in its journal form, StillGAN (Ma et al. 2021).

  python -m echogan_jax.main --config=configs/csi_gan.py \
    --workdir=runs/csi_gan --config.data.dir=DATA

CycleGAN with a structure loss in both directions, an illumination loss at two
scales on the enhanced image, and a ResUNet generator. The weights are
StillGAN's code; CSI-GAN's own are not published (unverified).
"""

from ml_collections import ConfigDict

from configs import cyclegan


def get_config() -> ConfigDict:
  """Return StillGAN; its own images had 512 pixels."""
  config = cyclegan.get_config()
  config.model.generator = 'resunet'
  config.losses.ssim.weight = 5.0
  config.losses.illumination.weight = 1.0
  return config
