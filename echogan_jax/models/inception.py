"""InceptionV3 as the Fréchet distance sees with it (Heusel et al. 2017).

TensorFlow's weights of 2015-12-05 (Szegedy et al. 2016), not torchvision's:
1008 classes, averages that leave the padding out, and a maximum where the
last block should average. Scores of other networks cannot be compared.
"""

import functools
import pathlib
from collections.abc import Callable, Generator, Mapping
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from echogan_jax.command import BadInput
from echogan_jax.models.convolution import Map, convolve
from echogan_jax.models.torch_file import read as read_torch

SIDE = 299  # pixels
CLASSES = 1008
WIDTH = 2048  # of the last pooling

# folded convolutions under the names of the file, and `fc`
Params = Mapping[str, Mapping[str, Array | np.ndarray]]

_EPSILON = 1e-3  # of every batch norm
_ADVICE = (
  'it should be pt_inception-2015-12-05-6726825d.pth, from '
  'https://github.com/mseitzer/pytorch-fid/releases'
)


class _Conv(NamedTuple):
  name: str
  outputs: int
  size: tuple[int, int] = (1, 1)
  stride: int = 1
  padded: bool = True  # to keep the size


# A step is a convolution, a pooling, or a fork: a list of branches, each a
# tuple of steps, whose maps are joined.
_Steps = tuple[_Conv | Callable[[Map], Map] | list, ...]

_THREE, _ROW, _COLUMN = (3, 3), (1, 7), (7, 1)

_mean = functools.partial(
  nn.avg_pool, window_shape=_THREE, padding='SAME', count_include_pad=False
)
_max = functools.partial(nn.max_pool, window_shape=_THREE, padding='SAME')
_halve = functools.partial(nn.max_pool, window_shape=_THREE, strides=(2, 2))


def _chain(name: str, *convs: tuple) -> _Steps:
  return tuple(_Conv(f'{name}_{i}', *conv) for i, conv in enumerate(convs, 1))


def _block_a(name: str, pooled: int) -> list[_Steps]:
  double = (64,), (96, _THREE), (96, _THREE)
  return [
    (_Conv(f'{name}.branch1x1', 64),),
    _chain(f'{name}.branch5x5', (48,), (64, (5, 5))),
    _chain(f'{name}.branch3x3dbl', *double),
    (_mean, _Conv(f'{name}.branch_pool', pooled)),
  ]


def _block_b(name: str) -> list[_Steps]:
  double = (64,), (96, _THREE), (96, _THREE, 2, False)
  return [
    (_Conv(f'{name}.branch3x3', 384, _THREE, 2, False),),
    _chain(f'{name}.branch3x3dbl', *double),
    (_halve,),
  ]


def _block_c(name: str, n: int) -> list[_Steps]:
  double = (n,), (n, _COLUMN), (n, _ROW), (n, _COLUMN), (192, _ROW)
  return [
    (_Conv(f'{name}.branch1x1', 192),),
    _chain(f'{name}.branch7x7', (n,), (n, _ROW), (192, _COLUMN)),
    _chain(f'{name}.branch7x7dbl', *double),
    (_mean, _Conv(f'{name}.branch_pool', 192)),
  ]


def _block_d(name: str) -> list[_Steps]:
  cross = (192,), (192, _ROW), (192, _COLUMN), (192, _THREE, 2, False)
  return [
    _chain(f'{name}.branch3x3', (192,), (320, _THREE, 2, False)),
    _chain(f'{name}.branch7x7x3', *cross),
    (_halve,),
  ]


def _block_e(name: str, pool: Callable[[Map], Map]) -> list[_Steps]:
  def cross(stem: str) -> list[_Steps]:
    row, column = (1, 3), (3, 1)
    return [(_Conv(f'{stem}a', 384, row),), (_Conv(f'{stem}b', 384, column),)]

  single, double = f'{name}.branch3x3', f'{name}.branch3x3dbl'
  return [
    (_Conv(f'{name}.branch1x1', 320),),
    (*_chain(single, (384,)), cross(f'{single}_2')),
    (*_chain(double, (448,), (384, _THREE)), cross(f'{double}_3')),
    (pool, _Conv(f'{name}.branch_pool', 192)),
  ]


_NETWORK = (
  _Conv('Conv2d_1a_3x3', 32, _THREE, 2, padded=False),
  _Conv('Conv2d_2a_3x3', 32, _THREE, padded=False),
  _Conv('Conv2d_2b_3x3', 64, _THREE),
  _halve,
  _Conv('Conv2d_3b_1x1', 80),
  _Conv('Conv2d_4a_3x3', 192, _THREE, padded=False),
  _halve,
  _block_a('Mixed_5b', 32),
  _block_a('Mixed_5c', 64),
  _block_a('Mixed_5d', 64),
  _block_b('Mixed_6a'),
  _block_c('Mixed_6b', 128),
  _block_c('Mixed_6c', 160),
  _block_c('Mixed_6d', 160),
  _block_c('Mixed_6e', 192),
  _block_d('Mixed_7a'),
  _block_e('Mixed_7b', _mean),
  _block_e('Mixed_7c', _max),
)


def _shapes(steps: _Steps, inputs: int) -> Generator[tuple, None, int]:
  """Yield each kernel's name and PyTorch's shape; return the channels."""
  for step in steps:
    if isinstance(step, _Conv):
      yield step.name, (step.outputs, inputs, *step.size)
      inputs = step.outputs
    elif isinstance(step, list):
      widths = []
      for branch in step:
        widths.append((yield from _shapes(branch, inputs)))
      inputs = sum(widths)
  return inputs


def _take(
  weights: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...]
) -> np.ndarray:
  array = weights.get(name)
  if not isinstance(array, np.ndarray):
    raise BadInput(f'has no tensor {name}')
  if array.shape != shape:
    raise BadInput(f'has {name} of shape {array.shape}, not {shape}')
  array = array.astype(np.float64)
  if not np.isfinite(array).all():
    raise BadInput(f'has a value in {name} that is not finite')
  return array


def _fold(
  weights: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...]
) -> dict[str, np.ndarray]:
  kernel = _take(weights, f'{name}.conv.weight', shape)
  norm = ('weight', 'bias', 'running_mean', 'running_var')
  scale, bias, mean, variance = (
    _take(weights, f'{name}.bn.{kind}', shape[:1]) for kind in norm
  )
  if variance.min() < 0:
    raise BadInput(f'has a negative value in {name}.bn.running_var')
  scale = scale / np.sqrt(variance + _EPSILON)
  return _narrow(kernel.transpose(2, 3, 1, 0) * scale, bias - mean * scale)


def _narrow(kernel: np.ndarray, bias: np.ndarray) -> dict[str, np.ndarray]:
  return {
    'kernel': kernel.astype(np.float32),
    'bias': bias.astype(np.float32),
  }


def convert(weights: Mapping[str, np.ndarray]) -> Params:
  """Fold each batch norm of a state_dict into its convolution.

  Args:
    weights: PyTorch's names and layout; what is not needed is ignored.

  Raises:
    BadInput: names the first that is missing, of another shape, or not
      finite.
  """
  params = {n: _fold(weights, n, s) for n, s in _shapes(_NETWORK, 3)}
  kernel = _take(weights, 'fc.weight', (CLASSES, WIDTH)).T
  bias = _take(weights, 'fc.bias', (CLASSES,))
  return params | {'fc': _narrow(kernel, bias)}


def read(path: pathlib.Path) -> Params:
  """Read the weights that pytorch-fid publishes.

  Raises:
    BadInput: the file cannot be read, or is of another network.
  """
  weights = read_torch(path)
  try:
    return convert(weights)
  except BadInput as error:
    raise BadInput(f'{path} {error}; {_ADVICE}') from error


def _run(steps: _Steps, params: Params, x: Map) -> Map:
  for step in steps:
    if isinstance(step, _Conv):
      kernel, bias = params[step.name]['kernel'], params[step.name]['bias']
      pads = tuple((n // 2 * step.padded,) * 2 for n in step.size)
      y = convolve(x, jnp.asarray(kernel), stride=step.stride, pads=pads)
      x = nn.relu(y + bias)
    elif isinstance(step, list):
      maps = [_run(branch, params, x) for branch in step]
      x = jnp.concatenate(maps, axis=-1)
    else:
      x = step(x)
  return x


def features(
  params: Params, x: Float[Array, 'batch 299 299 3']
) -> tuple[Float[Array, 'batch 2048'], Float[Array, 'batch 1008']]:
  """See images in [-1, 1], resized beforehand.

  Args:
    params: what `read` returns.
    x: grey in all three channels, or colour.

  Returns:
    The last pooling (`pool3`), and the logits of TensorFlow's 1008 classes.
  """
  pooled = jnp.mean(_run(_NETWORK, params, x), axis=(1, 2))
  return pooled, pooled @ params['fc']['kernel'] + params['fc']['bias']
