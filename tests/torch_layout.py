"""PyTorch state_dict arrays -> our parameters, for the reference numbers."""

import flax
import numpy as np


def resnet_names(blocks, down=3, up=3):
  """`down` and `up` are the layers per down and up: 4 where one resamples."""
  first = 4 + 2 * down
  end = first + blocks + up - 3
  names = {1: 'stem', 4: 'down_0', 4 + down: 'down_1'}
  names |= {end: 'up_0', end + up: 'up_1', end + up + 4: 'head'}
  names = {f'model.{i}': name for i, name in names.items()}
  for i in range(blocks):
    for j, index in enumerate((1, 5)):
      key = f'model.{first + i}.conv_block.{index}'
      names[key] = f'block_{i}/conv_{j}'
  return names


def unet_names(downs):
  names, prefix = {'model.model.0': 'down_0'}, 'model.model.1'
  for i in range(1, downs):
    names[f'{prefix}.model.1'] = f'down_{i}'
    names[f'{prefix}.model.{3 if i == downs - 1 else 5}'] = f'up_{i}'
    prefix += '.model.3'
  return names | {'model.model.3': 'up_0'}


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
  flat = {}
  for path, leaf in flax.traverse_util.flatten_dict(template, sep='/').items():
    module, kind = path.rsplit('/', 1)
    key = next(k for k, name in names.items() if name == module)
    suffix = 'weight' if kind == 'kernel' else 'bias'
    array = weights[f'{prefix}{key}.{suffix}']
    if kind == 'kernel' and deconvs and module.startswith('up_'):
      array = array.transpose(2, 3, 0, 1)
    elif kind == 'kernel':
      array = array.transpose(2, 3, 1, 0)
    assert array.shape == leaf.shape, (path, array.shape, leaf.shape)
    flat[path] = np.asarray(array)
  return flax.traverse_util.unflatten_dict(flat, sep='/')


def nhwc(x):
  return np.asarray(x).transpose(0, 2, 3, 1)
