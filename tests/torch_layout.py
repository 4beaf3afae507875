"""PyTorch state_dict arrays -> our parameters, for the reference numbers."""

import jax
import numpy as np

from echogan_jax.exchange import pytorch

resnet_names, unet_names = pytorch.resnet_names, pytorch.unet_names


def resunet_names(downs):
  names = {'Conv_1x1': 'head'}
  parts = {'conv.0': 'conv_0', 'conv.3': 'conv_1', 'downsample.0': 'short'}
  for i in range(downs):
    names[f'Up{i + 1}.up.1'] = f'up_{i}'
    for key, part in parts.items():
      names[f'Conv{i + 1}.{key}'] = f'enc_{i}/{part}'
      names[f'Up_conv{i + 1}.{key}'] = f'dec_{i}/{part}'
  return names


def patch_names():
  names = {0: 'conv_0', 2: 'conv_1', 5: 'conv_2', 8: 'conv_3', 11: 'head'}
  return {f'model.{i}': name for i, name in names.items()}


def params(weights, names, template, prefix='', *, deconvs=True):
  """Fill the template's leaves; biases that it lacks are dropped.

  `deconvs` says that the ways up are transposed convolutions.
  """
  state = {
    key.removeprefix(prefix): array
    for key, array in weights.items()
    if key.startswith(prefix)
  }
  found = pytorch.params(state, names, template, deconvs=deconvs)
  shapes = [jax.tree.map(np.shape, tree) for tree in (found, template)]
  assert shapes[0] == shapes[1]
  return found


def nhwc(x):
  return np.asarray(x).transpose(0, 2, 3, 1)
