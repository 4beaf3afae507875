"""Every system the project names, side by side: the README's table.

  python -m experiments.run systems --local --split=test

Each variant is a file of configs/ as it stands, at the same budget.
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
