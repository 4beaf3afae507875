"""CycleGAN with U-Net GAN discriminators (Schönfeld et al. 2020, CVPR).

  python -m echogan_jax.main --config=configs/unet_gan.py \
    --workdir=runs/unet_gan --config.data.dir=DATA

A discriminator that answers per image and per pixel, with CutMix and its
consistency. The paper has no translation: cycle and identity are CycleGAN's,
as are batch, decay and average. Rates are its script's for FFHQ, which mixes
whole steps (losses.cutmix.rounds=alternate); here every step is mixed, with a
warm-up, as its code also can.
"""

from ml_collections import ConfigDict

from configs import cyclegan


def get_config() -> ConfigDict:
  """Return CycleGAN with the paper's 256-pixel discriminator."""
  config = cyclegan.get_config()
  config.model.discriminator = 'unet_gan'
  config.losses.adversarial.update(objective='bce', judge_weight=1.0)
  config.losses.cutmix.weight = 1.0
  # 1e-4 and 5e-4, no momentum
  config.state.update(
    learning_rate=1e-4, judge_rate=5.0, beta1=0.0, epsilon=1e-6
  )
  return config
