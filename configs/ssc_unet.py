"""Wang et al. 2019: portable ultrasound, paired, sparse skip connections.

  python -m echogan_jax.main --config=configs/ssc_unet.py \
    --workdir=runs/ssc_unet --config.data.dir=DATA

Needs a target for each low frame (ingest --annotations), which only phantoms
and twice-scanned patients have. Adversarial, L1 and differential loss, one
direction. The paper's weights and the places of its skips were not found
(unverified): 100 for the L1 is pix2pix's.
"""

from ml_collections import ConfigDict

from configs import cyclegan


def get_config() -> ConfigDict:
  """Return the SSC U-Net at 256 pixels."""
  config = cyclegan.get_config()
  config.data.paired = True
  config.model.update(generator='unet', directions='enhance')
  config.model.unet.skip_every = 2
  config.losses.cycle.weight = 0.0
  config.losses.identity.weight = 0.0
  config.losses.paired.weight = 100.0
  config.losses.gradient.update(weight=100.0, form='paired')
  config.state.pool_size = 0
  return config
