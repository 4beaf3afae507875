"""What a checkpoint says of itself, so that damage and strangers show."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from echogan_jax.command import BadInput

Note = dict[str, Any]


def write(parts: Mapping[str, PyTree]) -> Note:
  """Return what the parts of a checkpoint hold, under a seal of its own."""
  found = {name: digest(part) for name, part in parts.items()}
  return found | {'seal': _seal(found)}


def digest(tree: PyTree) -> Note:
  """Return which arrays a tree holds, and the SHA-256 of all of it.

  Equal digests mean equal names, shapes, types and bits.
  """
  total = hashlib.sha256()
  for (name, shape), leaf in zip(
    _shapes(tree), jax.tree.leaves(tree), strict=True
  ):
    total.update(f'{name} {shape}\n'.encode())
    total.update(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8))
  return {'sha256': total.hexdigest(), 'shapes': dict(_shapes(tree))}


def _shapes(tree: PyTree) -> list[tuple[str, str]]:
  return [
    (
      jax.tree_util.keystr(path, simple=True, separator='/'),
      f'{leaf.dtype}{list(np.shape(leaf))}',
    )
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  ]


def _seal(note: Note) -> str:
  text = json.dumps(note, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()


def compare(note: Note, parts: Mapping[str, PyTree], what: str) -> None:
  """Raise unless a checkpoint is of the asked state; look at no array.

  Args:
    note: what `write` returned.
    parts: arrays, or what has their shape and dtype.
    what: the checkpoint.

  Raises:
    ValueError: the note is damaged.
    BadInput: it is intact, and of another state.
  """
  found = {name: value for name, value in note.items() if name != 'seal'}
  if note.get('seal') != _seal(found):
    raise ValueError('its note does not fit its checksum')
  for name, part in parts.items():
    there, asked = note[name]['shapes'], dict(_shapes(part))
    for key in sorted(there.keys() ^ asked.keys()) + sorted(there):
      if there.get(key) != asked.get(key):
        raise BadInput(
          f'{what} is of other networks: its {key} is {there.get(key)}, not '
          f'{asked.get(key)}; choose another --workdir'
        )


def check(note: Note, parts: Mapping[str, PyTree]) -> None:
  """Raise ValueError unless all arrays are those that were saved."""
  for name, part in parts.items():
    if digest(part) != note[name]:
      raise ValueError(f'its {name} does not fit its checksum')
