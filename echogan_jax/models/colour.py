"""Grey images through networks that were trained on colour."""

import jax.numpy as jnp

from echogan_jax.models.layers import Map

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def spread(x: Map, colours: int) -> Map:
  """Repeat grey images for a network of so many colours; leave other ones."""
  return jnp.repeat(x, colours, axis=-1) if x.shape[-1] == 1 else x


def gather(y: Map, like: Map) -> Map:
  """Return the luma of colours that were made of grey, and else `y` itself."""
  if y.shape[-1] == like.shape[-1]:
    return y
  return jnp.sum(y * jnp.array(_LUMA, y.dtype), axis=-1, keepdims=True)
