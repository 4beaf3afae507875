"""The image pool of CycleGAN (Shrivastava et al. 2017, §2.3) as arrays."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, Key, PyTree


class Pool(struct.PyTreeNode):
  """Earlier fakes, with what belongs to each."""

  items: Any  # arrays [capacity, …]
  count: Any  # int: items received while not yet full


def create(capacity: int, item: PyTree) -> Pool:
  """Return an empty pool.

  Args:
    capacity: how many items it holds.
    item: shapes and dtypes of one, without a batch axis.
  """
  items = jax.tree.map(lambda x: jnp.zeros((capacity, *x.shape), x.dtype), item)
  return Pool(items, jnp.zeros((), jnp.int32))


def _length(items: PyTree) -> int:
  return len(jax.tree.leaves(items)[0])


def query(
  pool: Pool, key: Key[Array, ''], items: PyTree
) -> tuple[Pool, PyTree]:
  """Exchange a batch of fresh items for what the discriminator is to see.

  Until the pool is full every item is stored and returned. Then, one by one,
  with probability 1/2 it takes a random slot's place and the slot's old item
  is returned; otherwise it is returned itself and not stored. What belongs
  to an image, such as its anatomy, goes with it.
  """
  capacity, batch = _length(pool.items), _length(items)
  coin, slot = jax.random.split(key)
  swaps = jax.random.bernoulli(coin, shape=(batch,))
  slots = jax.random.randint(slot, (batch,), 0, capacity)
  return exchange(pool, swaps, slots, items)


def exchange(
  pool: Pool, swaps: Array, slots: Array, items: PyTree
) -> tuple[Pool, PyTree]:
  """Run `query` on given draws: whether to swap, and with which slot."""
  capacity = _length(pool.items)

  def one(pool: Pool, draw: tuple[Array, Array, PyTree]) -> tuple[Pool, PyTree]:
    swap, slot, item = draw
    filling = pool.count < capacity
    slot = jnp.where(filling, pool.count, slot)
    shown = jax.tree.map(
      lambda held, new: jnp.where(~filling & swap, held[slot], new),
      pool.items,
      item,
    )

    def store(held: Array, new: Array) -> Array:
      kept = jnp.where(filling | swap, new, held[slot])
      return held.at[slot].set(kept.astype(held.dtype))

    items = jax.tree.map(store, pool.items, item)
    count = jnp.minimum(pool.count + 1, capacity)
    return Pool(items=items, count=count), shown

  return lax.scan(one, pool, (swaps, slots, items))
