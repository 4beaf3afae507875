"""Where PatchNCE looks, and how it embeds what it finds (Park et al. 2020)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt32

from echogan_jax.models.layers import Map
from echogan_jax.shapes import Mask

Key = PRNGKeyArray | UInt32[Array, '2']
Places = Int[Array, 'batch places']  # on the row-major flattened grid
Samples = Float[Array, 'batch places _']


def choose(
  key: Key, mask: Mask, height: int, width: int, count: int
) -> tuple[Places, Float[Array, 'batch places']]:
  """Choose places of a map at random, inside the sector while there are any.

  All images share the random order, so that it does not matter how a batch
  is spread over devices.

  Args:
    key: a random key.
    mask: of the images; resized to the map's sides.
    height: of the map.
    width: of the map.
    count: how many places; at most all of the map's are chosen.

  Returns:
    The places, none twice in an image, and 1 where they are inside.
  """
  batch = mask.shape[0]
  small = jax.image.resize(mask, (batch, height, width, 1), 'nearest')
  inside = (small.reshape(batch, -1) > 0.5).astype(jnp.float32)
  order = jax.random.uniform(key, (height * width,))
  # the order is below 1: whatever is inside comes before whatever is not
  _, index = lax.top_k(inside + order, min(count, height * width))
  return index, jnp.take_along_axis(inside, index, axis=1)


def gather(x: Map, index: Places) -> Samples:
  """Return what a map holds at these places of its flattened grid."""
  flat = x.reshape(x.shape[0], -1, x.shape[-1])
  return jnp.take_along_axis(flat, index[..., None], axis=1)


def unit(x: Samples) -> Samples:
  """Scale to unit length, at least in float32; zeros stay zeros."""
  wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
  power = jnp.sum(wide * wide, axis=-1, keepdims=True)
  # the root has no slope at 0, where normalised flat maps are
  return wide / (jnp.sqrt(jnp.maximum(power, 1e-24)) + 1e-7)


class Perceptron(nn.Module):
  """Two dense layers, rectified between."""

  features: int
  dtype: DTypeLike | None = None

  @nn.compact
  def __call__(self, x: Samples) -> Samples:
    """Embed each sample."""
    options = dict(kernel_init=nn.initializers.normal(0.02), dtype=self.dtype)
    y = nn.Dense(self.features, name='hidden', **options)(x)
    return nn.Dense(self.features, name='out', **options)(nn.relu(y))


class Projector(nn.Module):
  """Embed the samples of each depth by a perceptron of its own.

  Attributes:
    features: of the embeddings.
    dtype: of the computation, None for the operands' own.
  """

  features: int = 256
  dtype: DTypeLike | None = None

  @nn.compact
  def __call__(self, samples: tuple[Array, ...]) -> tuple[Array, ...]:
    """Return unit vectors [batch, places, features], one array per depth."""
    return tuple(
      unit(Perceptron(self.features, self.dtype, name=f'mlp_{i}')(x))
      for i, x in enumerate(samples)
    )
