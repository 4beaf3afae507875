"""Who translates: the generators, with and without the structure term.

A U-Net passes detail by; a ResNet must carry it through its middle.
"""

_NAMES = ('resnet', 'unet', 'resunet', 'casnet', 'seed_resnet')

VARIANTS = {name: {'model.generator': name} for name in _NAMES} | {
  f'{name}_structure': {'model.generator': name, 'losses.ssim.weight': 5.0}
  for name in _NAMES
}
