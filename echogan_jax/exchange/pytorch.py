"""Generators of pytorch-CycleGAN and of CUT as ours, and ours as theirs.

Their ResNets and U-Nets with instance norm are the same networks as ours under
other names. A bias before an instance norm has no effect: ours have none, so
it is dropped on the way here, and zero on the way back.
"""

import functools
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, PyTree

from echogan_jax import models
from echogan_jax.command import BadInput
from echogan_jax.data import limits
from echogan_jax.exchange import recognise
from echogan_jax.models import torch_file
from echogan_jax.models.resnet import ResNet
from echogan_jax.models.unet import UNet
from echogan_jax.training.enhancer import Enhancer

State = Mapping[str, Array | np.ndarray]  # by their keys, in their layout
Names = dict[str, str]  # of their modules -> of ours, in their order

_BLURS = {'down': (1, 2, 1), 'up': (1, 3, 3, 1)}  # CUT's, before scaling


class Found(NamedTuple):
  """A generator from a file.

  Attributes:
    model: `config.model`, as far as it is the generator's.
    params: its weights, float32.
    flags: what the original code would be told to build it.
  """

  model: dict[str, Any]
  params: PyTree
  flags: str


def resnet_names(
  blocks: int, *, down: int = 3, up: int = 3, second: int = 5
) -> Names:
  """Return the names of a ResNet's convolutions.

  Args:
    blocks: residual blocks.
    down: modules from one halving to the next: 4 where CUT blurs.
    up: modules from one doubling to the next: 4 where it interpolates.
    second: place of the second convolution of a block: 6 after a dropout.
  """
  first = 4 + 2 * down
  end = first + blocks + up - 3
  stem = {1: 'stem', 4: 'down_0', 4 + down: 'down_1'}
  names = {f'model.{i}': name for i, name in stem.items()}
  for i in range(blocks):
    for j, place in enumerate((1, second)):
      names[f'model.{first + i}.conv_block.{place}'] = f'block_{i}/conv_{j}'
  head = {end: 'up_0', end + up: 'up_1', end + up + 4: 'head'}
  return names | {f'model.{i}': name for i, name in head.items()}


def unet_names(downs: int) -> Names:
  """Return the names of a U-Net's convolutions, each scale inside another."""
  ways, back = {'model.model.0': 'down_0'}, {'model.model.3': 'up_0'}
  for i in range(1, downs):
    scale = f'model.model.1{".model.3" * (i - 1)}.model'
    ways[f'{scale}.1'] = f'down_{i}'
    back[f'{scale}.{3 if i == downs - 1 else 5}'] = f'up_{i}'
  return ways | dict(reversed(back.items()))


def params(
  state: State, names: Names, like: PyTree, *, deconvs: bool = True
) -> PyTree:
  """Return their weights in the form of ours; biases not in it are dropped.

  Args:
    state: their weights.
    names: of all our modules that have any.
    like: parameters of the network.
    deconvs: the ways up are transposed convolutions, whose kernels PyTorch
      keeps as [in, out, height, width].
  """
  keys, found = {ours: key for key, ours in names.items()}, {}
  for path in flatten_dict(like, sep='/'):
    module, kind = path.rsplit('/', 1)
    if kind == 'bias':
      array = state[f'{keys[module]}.bias']
    else:
      array = state[f'{keys[module]}.weight'].transpose(_axes(module, deconvs))
    found[path] = np.ascontiguousarray(array, np.float32)
  return unflatten_dict(found, sep='/')


def state_dict(network: nn.Module, ours: PyTree, *, second: int = 5) -> State:
  """Return a generator's weights as theirs, in the order of their modules.

  Args:
    network: a ResNet or U-Net that their code has.
    ours: its parameters.
    second: as for `resnet_names`.
  """
  names, flat = _names(network, second), flatten_dict(ours, sep='/')
  state = {}
  for key, module in names.items():
    kernel = flat[f'{module}/kernel']
    axes = np.argsort(_axes(module, network.up == 'deconv'))
    state[f'{key}.weight'] = kernel.transpose(*axes)
    blank = np.zeros(kernel.shape[-1], np.float32)
    state[f'{key}.bias'] = flat.get(f'{module}/bias', blank)
  if isinstance(network, UNet):
    return state
  for key, module in names.items():
    way, place = module.partition('_')[0], int(key.split('.')[1])
    if way in _BLURS and getattr(network, way) == 'blur':
      # behind the norm and activation of a down, ahead of an up
      place += 3 if way == 'down' else -1
      wide = flat[f'{module}/kernel'].shape[3 if way == 'down' else 2]
      state[f'model.{place}.filt'] = np.tile(_blur(way), (wide, 1, 1, 1))
  return dict(
    sorted(state.items(), key=lambda item: int(item[0].split('.')[1]))
  )


def read(path: pathlib.Path) -> Found:
  """Read a generator that pytorch-CycleGAN, or CUT, saved.

  Whatever wraps or prefixes the keys is taken off; the statistics that old
  instance norms kept, and never used, are dropped.

  Raises:
    BadInput: it is damaged, or another network than these; says which.
  """
  saved = torch_file.read(limits.regular(path))
  try:
    state = recognise.unwrap(saved)
    if sum(array.nbytes for array in state.values()) > path.stat().st_size:
      raise BadInput('is damaged: its tensors claim more than it holds')
    return _found(state)
  except BadInput as error:
    raise BadInput(f'{path} {error}') from error


def write(path: pathlib.Path, model: Enhancer) -> None:
  """Write an enhancer's generator as a state_dict that their code loads.

  Raises:
    BadInput: their code has no such network.
  """
  network = models.generators(model.config['model']).generator
  state = state_dict(network, model.ema['enhance'])
  torch_file.write(path, {k: np.asarray(array) for k, array in state.items()})


def _found(state: State) -> Found:
  state = recognise.without_statistics(state)
  model, second = recognise.network(state)
  made = models.generators(model | {'directions': 'enhance'}).generator
  blank = jnp.zeros((1, made.smallest, made.smallest, 1))
  like = jax.eval_shape(made.init, jax.random.key(0), blank)['params']
  expected = jax.eval_shape(
    functools.partial(state_dict, made, second=second), like
  )
  recognise.compare(state, expected, flags(made))
  names = _names(made, second)
  found = params(state, names, like, deconvs=made.up == 'deconv')
  for key, array in state_dict(made, found, second=second).items():
    if key.endswith('.filt') and not np.allclose(state[key], array, atol=1e-3):
      raise BadInput(f'blurs unlike CUT: {key} is another filter')
  return Found(model, found, flags(made))


def flags(network: nn.Module) -> str:
  """Return the options that make their code build such a network."""
  if isinstance(network, ResNet):
    name = f'resnet_{network.blocks}blocks'
    blurred = 'blur' in (network.up, network.down)
  else:
    name, blurred = f'unet_{2**network.downs}', False
  return (
    f'--netG {name} --ngf {network.features} --input_nc {network.colours} '
    f'--output_nc {network.colours} --norm instance --no_dropout'
    f'{" (CUT)" if blurred else ""}'
  )


def _names(network: nn.Module, second: int) -> Names:
  match network:
    case ResNet(up='deconv' | 'blur', down='stride' | 'blur'):
      down, up = 3 + (network.down == 'blur'), 3 + (network.up == 'blur')
      return resnet_names(network.blocks, down=down, up=up, second=second)
    case UNet(up='deconv', skip_every=1, downs=downs) if downs > 4:
      return unet_names(downs)
  raise BadInput(
    'the original PyTorch code has no such network: it has resnet with '
    'up=deconv or blur and down=stride or blur, and unet with up=deconv, '
    'skip_every=1 and downs from 5 on'
  )


def _axes(module: str, deconvs: bool) -> tuple[int, ...]:
  """Return the axes of their kernel that are ours, [height, width, in, out]."""
  return (2, 3, 0, 1) if deconvs and module.startswith('up_') else (2, 3, 1, 0)


def _blur(way: str) -> np.ndarray:
  line = np.array(_BLURS[way], np.float32)
  line = line / line.sum() * (2 if way == 'up' else 1)  # zeros between pixels
  return np.outer(line, line)[None, None]
