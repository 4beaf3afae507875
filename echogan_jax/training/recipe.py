"""The recipe of a run: its resolved config, as `workdir/config.json`.

Whatever evaluates, enhances or resumes reads this, never the file that the
run was started with.
"""

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from echogan_jax.command import BadInput
from echogan_jax.data.files import replacing

# what may change when a run goes on: it does not touch the mathematics
_FREE = ('train', 'checkpoint', 'parallel', 'eval', 'before', 'after')


def check(workdir: pathlib.Path, config: Mapping[str, Any]) -> None:
  """Raise BadInput if the workdir holds a run that this config would change.

  How long to train, where and how often to save may differ.
  """
  steps = (workdir / 'checkpoints').glob('[0-9]*')
  if not any(path.name.isdigit() for path in steps):
    return  # an attempt that died before it had a result to protect
  difference = _first_difference(read(workdir), _plain(config))
  if difference:
    raise BadInput(
      f'{workdir} was trained with {difference}: choose another --workdir, '
      'or the value it was trained with'
    )


def write(workdir: pathlib.Path, config: Mapping[str, Any]) -> None:
  """Keep the resolved config as `workdir/config.json`."""
  with replacing(workdir / 'config.json') as part:
    part.write_text(json.dumps(_plain(config), indent=2) + '\n')


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
  # as it reads back from disk: tuples become lists
  return json.loads(json.dumps(config))


def read(workdir: pathlib.Path) -> dict[str, Any]:
  """Return the resolved config of a run.

  Raises:
    BadInput: there is none, or it cannot be read.
  """
  path = workdir / 'config.json'
  if not path.exists():
    raise BadInput(
      f'{workdir} is no workdir of a training run (no config.json): train '
      f'with python -m echogan_jax.main --workdir={workdir}'
    )
  try:
    return json.loads(path.read_text())
  except ValueError as error:
    raise BadInput(f'{path} is damaged: {error}') from error


def sha256(workdir: pathlib.Path) -> str:
  """Return the hash of a run's resolved config."""
  return hashlib.sha256((workdir / 'config.json').read_bytes()).hexdigest()


def _first_difference(old: Mapping, new: Mapping) -> str:
  old, new = _flat(old), _flat(new)
  for key in sorted(old.keys() | new.keys()):
    if key.split('.')[0] in _FREE or key == 'data.dir':
      continue
    if old.get(key) != new.get(key):
      return f'{key}={old.get(key)}, not {new.get(key)}'
  return ''


def _flat(tree: Mapping, prefix: str = '') -> dict[str, Any]:
  found = {}
  for key, value in tree.items():
    if isinstance(value, Mapping):
      found |= _flat(value, f'{prefix}{key}.')
    else:
      found[prefix + key] = value
  return found
