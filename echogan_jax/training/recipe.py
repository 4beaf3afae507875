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
from echogan_jax.data import limits
from echogan_jax.data.files import replacing

LAYOUT = 2  # of a workdir; 1 had no checksums
# what may change when a run goes on: it does not touch the mathematics
_FREE = ('train', 'checkpoint', 'parallel', 'eval', 'before', 'after')
_FREE += ('layout', 'changed')
_FINISHED = 'finished'
# what makes other networks: their weights cannot go on as these
_BUILT = ('model.', 'data.size', 'state.pool_size')


def check(
  workdir: pathlib.Path, config: Mapping[str, Any], *, accept: bool = False
) -> dict[str, Any]:
  """Raise BadInput if the workdir holds a run that this config would change.

  How long to train, where and how often to save may differ.

  Args:
    workdir: of the run, or of one to be.
    config: the resolved config.
    accept: whether to go on with a difference all the same, where the
      networks stay the same.

  Returns:
    what is accepted: the keys that differ, with their old values, and the
    alarms, which need no consent but leave steps out or do not.
  """
  steps = (workdir / 'checkpoints').glob('[0-9]*')
  if not any(path.name.isdigit() for path in steps):
    return {}  # an attempt that died before it had a result to protect
  there = read(workdir)
  if 'imported' in there:
    raise BadInput(
      f'{workdir} holds weights that were imported, no run to go on with: '
      'enhance, evaluate and export can read it; to train, choose another '
      '--workdir'
    )
  if layout(there) != LAYOUT:
    raise BadInput(
      f'{workdir} is of another version of this program (layout '
      f'{layout(there)}, not {LAYOUT}): enhance and evaluate can read it; to '
      'train, choose another --workdir'
    )
  old, new = _flat(there), _flat(_plain(config))
  found = {
    key: old.get(key)
    for key in sorted(old.keys() | new.keys())
    if old.get(key) != new.get(key) and not _free(key)
  }
  built = [key for key in found if key.startswith(_BUILT)]
  refused = built or ([] if accept else list(found))
  if refused:
    key = refused[0]
    more = '' if len(found) == 1 else f' (and {len(found) - 1} more)'
    anyway = (
      '; or go on with the difference, which config.json will tell, by '
      '--config.train.accept_difference=True'
    )
    raise BadInput(
      f'{workdir} was trained with {key}={old.get(key)}, not {new.get(key)}'
      f'{more}: choose another --workdir, or the value it was trained with'
      f'{"" if built else anyway}'
    )
  alarms = (key for key in new if key.startswith('train.alarms.'))
  found |= {k: old.get(k) for k in alarms if old.get(k) != new[k]}
  return found


def write(
  workdir: pathlib.Path,
  config: Mapping[str, Any],
  *,
  step: int = 0,
  accepted: Mapping[str, Any] | None = None,
) -> None:
  """Keep the resolved config as `workdir/config.json` as a run begins.

  Args:
    workdir: of the run.
    config: the resolved config.
    step: where the run goes on.
    accepted: what `check` returned: kept beside it for good.
  """
  path = workdir / 'config.json'
  changed = read(workdir).get('changed', []) if step and path.exists() else []
  # it went back behind a change: that holds from here on
  changed = [one | {'step': min(one['step'], step)} for one in changed]
  changed += [{'step': step, 'was': accepted}] if accepted else []
  full = _plain(config) | {'layout': LAYOUT}
  full |= {'changed': changed} if changed else {}
  (workdir / _FINISHED).unlink(missing_ok=True)
  with replacing(path) as part:
    part.write_text(json.dumps(full, indent=2) + '\n')


def finish(workdir: pathlib.Path) -> None:
  """Mark a run as finished: what a launcher asks for before it goes on.

  A run that was stopped ends with status 0 as well.
  """
  (workdir / _FINISHED).touch()


def layout(config: Mapping[str, Any]) -> int:
  """Return the version of the workdir that a resolved config came from."""
  return config.get('layout', 1)


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
    found = json.loads(limits.regular(path, limits.TABLE).read_text())
  except (ValueError, RecursionError) as error:
    raise BadInput(f'{path} is damaged: {error}') from error
  if not isinstance(found, dict):
    raise BadInput(f'{path} is damaged: no mapping')
  return found


def sha256(workdir: pathlib.Path) -> str:
  """Return the hash of a run's resolved config."""
  return hashlib.sha256((workdir / 'config.json').read_bytes()).hexdigest()


def _free(key: str) -> bool:
  return key.split('.')[0] in _FREE or key == 'data.dir'


def _flat(tree: Mapping, prefix: str = '') -> dict[str, Any]:
  found = {}
  for key, value in tree.items():
    if isinstance(value, Mapping):
      found |= _flat(value, f'{prefix}{key}.')
    else:
      found[prefix + key] = value
  return found
