"""Checkpoints: `workdir/checkpoints/<step>`, written by Orbax.

A checkpoint has two items: `ema`, the averaged generators that deployment
loads alone, and `state`, the rest of the `TrainState`. The resolved config
lies beside them in `workdir/config.json`.
"""

import contextlib
import hashlib
import json
import logging
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from echogan_jax.command import BadInput
from echogan_jax.data.files import replacing
from echogan_jax.shapes import PyTree
from echogan_jax.training.state import TrainState

# what may change when a run goes on: it does not touch the mathematics
_FREE = ('train', 'checkpoint', 'parallel', 'eval', 'before', 'after')


def check_config(workdir: pathlib.Path, config: Mapping[str, Any]) -> None:
  """Raise BadInput if the workdir holds a run that this config would change.

  How long to train, where and how often to save may differ.
  """
  if not (workdir / 'config.json').exists():
    return
  difference = _first_difference(read_config(workdir), _plain(config))
  if difference:
    raise BadInput(
      f'{workdir} was trained with {difference}: choose another --workdir, '
      'or the value it was trained with'
    )


def write_config(workdir: pathlib.Path, config: Mapping[str, Any]) -> None:
  """Keep the resolved config as `workdir/config.json`."""
  with replacing(workdir / 'config.json') as part:
    part.write_text(json.dumps(_plain(config), indent=2) + '\n')


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
  # as it reads back from disk: tuples become lists
  return json.loads(json.dumps(config))


def read_config(workdir: pathlib.Path) -> dict[str, Any]:
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


def config_sha256(workdir: pathlib.Path) -> str:
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


@contextlib.contextmanager
def opened(
  workdir: pathlib.Path, *, keep: int
) -> Iterator[ocp.CheckpointManager]:
  """Open a run's checkpoints; on leaving, wait until all are on disk.

  Args:
    workdir: of the run.
    keep: how many of the newest checkpoints stay.
  """
  _hush()
  options = ocp.CheckpointManagerOptions(
    max_to_keep=keep,
    enable_async_checkpointing=True,
    cleanup_tmp_directories=True,
  )
  manager = ocp.CheckpointManager(
    (workdir / 'checkpoints').absolute(),
    item_names=('state', 'ema'),
    options=options,
  )
  try:
    yield manager
    with _writing(manager):
      manager.wait_until_finished()
  finally:
    with contextlib.suppress(Exception):  # said above, or by the real error
      manager.close()


def save(manager: ocp.CheckpointManager, state: TrainState) -> None:
  """Write a state in the background, after the one before it is on disk.

  Raises:
    BadInput: it, or the checkpoint before it, cannot be written.
  """
  step = int(state.step)
  if step == manager.latest_step():
    return
  items = ocp.args.Composite(
    state=ocp.args.StandardSave(state.replace(ema={})),
    ema=ocp.args.StandardSave(state.ema),
  )
  with _writing(manager):
    manager.wait_until_finished()
    if not manager.save(step, args=items, force=True):
      raise RuntimeError(f'orbax declined to write step {step}')


@contextlib.contextmanager
def _writing(manager: ocp.CheckpointManager) -> Iterator[None]:
  try:
    yield
  except Exception as error:  # a full disk has many faces in its stack
    manager.reload()
    last = manager.latest_step()
    kept = f'checkpoint {last} is complete' if last else 'none is complete yet'
    raise BadInput(
      f'cannot write a checkpoint in {manager.directory}: {_cause(error)}; '
      f'{kept}. Make room and run the same command again'
    ) from error


def _hush() -> None:
  """Keep what Orbax prints of a failure from the user: `_writing` says it.

  A failed save or restore leaves dozens of tracebacks behind, through the
  logger of absl, that of asyncio, and from threads whose loop is closed, some
  of them only when the process ends.
  """
  for name in ('absl', 'asyncio'):
    logging.getLogger(name).setLevel(logging.CRITICAL)
  sys.excepthook = _but_closed_loops(sys.__excepthook__)
  sys.unraisablehook = lambda unraisable: None


def _but_closed_loops(hook: Callable[..., None]) -> Callable[..., None]:
  def filtered(kind: type, error: BaseException, trace: Any) -> None:
    if str(error) != 'Event loop is closed':
      hook(kind, error, trace)

  return filtered


def _cause(error: BaseException) -> str:
  text = str(error)
  for known in ('No space left on device', 'Disk quota', 'File too large'):
    if known.lower() in text.lower():
      return known
  return (text.strip().split('\n') or [''])[0][:200] or type(error).__name__


def restore(
  manager: ocp.CheckpointManager, like: TrainState
) -> TrainState | None:
  """Return the newest readable state as host arrays, None if there is none.

  Args:
    manager: of the run.
    like: a state of the same shape, for structure and dtypes.

  Raises:
    BadInput: there are checkpoints, and none of them can be read.
  """
  target = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), like)
  problem = None
  for step in sorted(manager.all_steps(), reverse=True):
    items = ocp.args.Composite(
      state=ocp.args.StandardRestore(target.replace(ema={})),
      ema=ocp.args.StandardRestore(target.ema),
    )
    try:
      found = manager.restore(step, args=items)
    except Exception as error:  # damage shows as a dozen kinds of exception
      problem = error
      logging.warning('checkpoint %d is damaged: %s', step, _cause(error))
      continue
    return found['state'].replace(ema=found['ema'])
  if problem is not None:
    raise BadInput(
      f'no checkpoint in {manager.directory} can be read: {_cause(problem)}'
    )
  return None


def load_ema(
  workdir: pathlib.Path, like: PyTree, *, step: int | None = None
) -> tuple[int, PyTree]:
  """Return (step, averaged generators) of a run, nothing else read.

  Args:
    workdir: of the run.
    like: generators of the same shape.
    step: which checkpoint, None for the newest.

  Raises:
    BadInput: there is no such checkpoint, or it cannot be read.
  """
  _hush()
  folder = workdir / 'checkpoints'
  if not folder.is_dir():
    raise BadInput(f'{workdir} has no checkpoints yet: train it further')
  with ocp.CheckpointManager(
    folder.absolute(), item_names=('state', 'ema')
  ) as manager:
    steps = sorted(manager.all_steps())
    if not steps or (step is not None and step not in steps):
      listed = ', '.join(map(str, steps)) or 'none'
      raise BadInput(f'{folder}: no checkpoint {step or ""} (found: {listed})')
    step = steps[-1] if step is None else step
    target = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), like)
    items = ocp.args.Composite(ema=ocp.args.StandardRestore(target))
    try:
      return step, manager.restore(step, args=items)['ema']
    except Exception as error:
      raise BadInput(
        f'checkpoint {folder / str(step)} is damaged: {_cause(error)}'
      ) from error
