"""Every system the project names, side by side: the README's table.

  python -m experiments.run systems --local --split=test

Each variant is a file of configs/. The laptop scale gives all the same budget,
batch and schedule, also to those that have their own (the seed's constant
rate, FastCUT's late decay, UltraGAN's batch of 4). The phantom's anatomy is
drawn, so Task-GAN segments.
"""

VARIANTS = {
  name: {'config': name}
  for name in (
    'cyclegan',
    'seed',
    'unet_gan',
    'multitask',
    'task_gan',
    'csi_gan',
    'ultragan',
    'cycle_medgan',
    'ssc_unet',
    'cut',
    'fastcut',
    'dclgan',
    'adaptive_upsampling',
  )
}
VARIANTS['task_gan'] |= {'losses.task.anatomy': True}
