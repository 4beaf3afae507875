"""The seed project's recipe, its complaints and its wishes, one at a time.

It complained of checkerboards and unstable training, and wished for
structural similarity, even illumination, a U-Net discriminator and
anatomical labels.
"""

BASE = 'seed'
VARIANTS = {
  'seed': {},
  'patch70': {'model.discriminator': 'patch70'},
  'pool_0': {'state.pool_size': 0},
  'resize_convolution': {
    'model.generator': 'resnet',
    'model.resnet.up': 'resize',
  },
  'structure': {'losses.ssim.weight': 5.0},
  'illumination': {'losses.illumination.weight': 1.0},
  'unet_gan': {'config': 'unet_gan'},
  'multitask': {'config': 'multitask'},
  'cyclegan': {'config': 'cyclegan'},
}
