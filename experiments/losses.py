"""What each loss term does, alone, on top of CycleGAN.

Weights are those of StillGAN for structure and illumination, of UltraGAN for
the pyramids, of DCLGAN for PatchNCE; the rest are 1, not tuned.
"""

VARIANTS = {
  'cyclegan': {},
  'hinge': {'losses.adversarial.objective': 'hinge'},
  'without_cycle': {'losses.cycle.weight': 0.0},
  'without_identity': {'losses.identity.weight': 0.0},
  'structure': {'losses.ssim.weight': 5.0},
  'illumination': {'losses.illumination.weight': 1.0},
  'stillgan': {'losses.ssim.weight': 5.0, 'losses.illumination.weight': 1.0},
  'laplacian': {'losses.laplacian.weight': 1.0},
  'pyramids': {
    'losses.laplacian.weight': 1.0,
    'losses.gaussian.weight': 1.0,
    'losses.cycle.weight': 0.0,
  },
  'gradient': {
    'losses.gradient.weight': 1.0,
    'losses.gradient.form': 'correlation',
  },
  'perceptual': {'losses.perceptual.weight': 1.0},
  'style': {'losses.style.weight': 1.0},
  'patchnce': {'losses.patchnce.weight': 1.0},
  'patchnce_instead_of_cycle': {
    'losses.patchnce.weight': 1.0,
    'losses.cycle.weight': 0.0,
  },
}
