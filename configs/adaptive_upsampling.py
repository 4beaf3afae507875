"""CycleGAN with adaptive convolution (Nguyen and Ray 2018, arXiv 1802.02226).

  python -m echogan_jax.main --config=configs/adaptive_upsampling.py \
    --workdir=runs/adaptive --config.data.dir=DATA

The other half of the seed's reference 2: the kernel that enlarges a map is
made from the map's own content, place by place. Other cures for checkerboards
are --config.model.resnet.up=resize, bicubic, pixel_shuffle or blur, and
--config.model.resnet.down=blur.
"""

from ml_collections import ConfigDict

from configs import cyclegan


def get_config() -> ConfigDict:
  """Return CycleGAN that enlarges adaptively."""
  config = cyclegan.get_config()
  config.model.resnet.up = 'adaptive'
  return config
