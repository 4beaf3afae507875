"""The image pool of CycleGAN (Shrivastava et al. 2017, §2.3) as arrays."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, Key

from echogan_jax.shapes import Image


class Pool(struct.PyTreeNode):
  """Fakes of earlier steps; a capacity of 0 switches the pool off."""

  images: Any  # float [capacity, height, width, 1]
  count: Any  # int: images received while not yet full


def create(capacity: int, size: int) -> Pool:
  """Return an empty pool for square images."""
  return Pool(jnp.zeros((capacity, size, size, 1)), jnp.zeros((), jnp.int32))


def query(pool: Pool, key: Key[Array, ''], images: Image) -> tuple[Pool, Image]:
  """Exchange fresh fakes for what the discriminator is to see.

  Until the pool is full every image is stored and returned. Then, image by
  image, with probability 1/2 it takes a random slot's place and the slot's
  old image is returned; otherwise it is returned itself and not stored.
  """
  capacity = len(pool.images)
  if not capacity:
    return pool, images
  coin, slot = jax.random.split(key)
  swaps = jax.random.bernoulli(coin, shape=(len(images),))
  slots = jax.random.randint(slot, (len(images),), 0, capacity)
  return exchange(pool, swaps, slots, images)


def exchange(
  pool: Pool, swaps: Array, slots: Array, images: Image
) -> tuple[Pool, Image]:
  """Run `query` on given draws: whether to swap, and with which slot."""
  capacity = len(pool.images)

  def one(pool: Pool, draw: tuple[Array, Array, Array]) -> tuple[Pool, Array]:
    swap, slot, image = draw
    filling = pool.count < capacity
    slot = jnp.where(filling, pool.count, slot)
    shown = jnp.where(~filling & swap, pool.images[slot], image)
    stored = jnp.where(filling | swap, image, pool.images[slot])
    pool = Pool(
      images=pool.images.at[slot].set(stored.astype(pool.images.dtype)),
      count=jnp.minimum(pool.count + 1, capacity),
    )
    return pool, shown

  return lax.scan(one, pool, (swaps, slots, images))
