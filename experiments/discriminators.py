"""Who judges: patches of two sizes, spectral norm, or every pixel.

`seed142` is what the seed project ran under the name of 70x70.
"""

_EVERY_PIXEL = {
  'model.discriminator': 'unet_gan',
  'losses.adversarial.objective': 'bce',
  'losses.adversarial.judge_weight': 1.0,
}
VARIANTS = {
  'patch70': {},
  'patch70_spectral': {'model.patch70.spectral': True},
  'seed142': {'model.discriminator': 'seed142'},
  'unet_gan': _EVERY_PIXEL,
  'unet_gan_cutmix': _EVERY_PIXEL | {'losses.cutmix.weight': 1.0},
  'patch70_hinge': {'losses.adversarial.objective': 'hinge'},
}
