"""UltraGAN (Escobar et al. 2020): frequency losses, anatomy for the judge.

  python -m echogan_jax.main --config=configs/ultragan.py \
    --workdir=runs/ultragan --config.data.dir=DATA

Needs the chambers drawn in both domains while training (ingest
--annotations), nothing when enhancing. As the authors' published command,
which has no pixel-wise cycle loss: Laplacian and Gaussian pyramids replace it.
Draw as many frames in one domain as in the other: a frame without drawing is
shown without tissue, and would tell its domain.
"""

from ml_collections import ConfigDict

from configs import cyclegan


def get_config() -> ConfigDict:
  """Return UltraGAN with grey images."""
  config = cyclegan.get_config()
  config.model.conditioned = True
  config.losses.cycle.weight = 0.0
  config.losses.laplacian.weight = 1.0
  config.losses.gaussian.weight = 1.0
  config.data.batch_size = 4
  return config
