"""Which way up, and down, leaves no checkerboard.

The column to read is `checkerboard_db`, against that of the input.
"""

VARIANTS = {
  'deconv': {'model.resnet.up': 'deconv'},
  'resize': {'model.resnet.up': 'resize'},
  'nearest': {'model.resnet.up': 'nearest'},
  'bicubic': {'model.resnet.up': 'bicubic'},
  'blur': {'model.resnet.up': 'blur'},
  'pixel_shuffle': {'model.resnet.up': 'pixel_shuffle'},
  'adaptive': {'model.resnet.up': 'adaptive'},
  'blur_both_ways': {'model.resnet.up': 'blur', 'model.resnet.down': 'blur'},
}
