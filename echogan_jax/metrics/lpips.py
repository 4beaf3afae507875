"""Distance of an image to its paired truth as a network sees both."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float64, UInt8

from echogan_jax.metrics.features import in_batches, sector_mean
from echogan_jax.models import vgg
from echogan_jax.models.layers import Map
from echogan_jax.shapes import Image, Mask

Frames = UInt8[np.ndarray, 'batch height width']
Masks = Bool[np.ndarray, 'batch height width']


def lpips(
  frames: Frames, truth: Frames, inside: Masks, *, params: vgg.Weights
) -> Float64[np.ndarray, ' batch']:
  """Return LPIPS 0.1 with VGG16 (Zhang et al. 2018, Eq. 1), per image.

  Both are black outside the sector, and a cell of a map counts by its share
  of sector: of a full sector this is the published metric.

  Args:
    frames: pictures with sides of at least 16.
    truth: what they should be.
    inside: where they count.
    params: `vgg.read(vgg.find())`.

  Raises:
    ValueError: a sector is empty, or the sides are too small.
  """
  return in_batches(functools.partial(_distance, params), frames, truth, inside)


@jax.jit
def _distance(params: vgg.Weights, x: Image, y: Image, inside: Mask) -> Array:
  total = jnp.zeros(len(x))
  maps = zip(
    *(vgg.features(params.network, seen) for seen in (x, y)), strict=True
  )
  for depth, (a, b) in enumerate(maps):
    apart = (_unit(a) - _unit(b)) ** 2 @ params.heads[depth][:, None]
    total += sector_mean(apart, inside, halvings=depth)[:, 0]
  return total


def _unit(x: Map) -> Map:
  return x / (jnp.sqrt(jnp.sum(x * x, -1, keepdims=True)) + 1e-10)
