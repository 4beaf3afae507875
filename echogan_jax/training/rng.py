"""Named random streams: no key is stored, none depends on the device."""

import zlib

import jax
from jaxtyping import Array, Key


def root(seed: int) -> Key[Array, '']:
  """Return the one key that every other of a run is folded from."""
  return jax.random.key(seed)


def stream(key: Key[Array, ''], name: str) -> Key[Array, '']:
  """Return the stream of that name, such as `init/enhance` or `train`."""
  return jax.random.fold_in(key, zlib.crc32(name.encode()))
