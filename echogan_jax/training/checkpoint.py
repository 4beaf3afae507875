"""Checkpoints: `workdir/checkpoints/<step>`, written by Orbax.

A checkpoint has three items: `ema`, the averaged generators that deployment
loads alone, `state`, the rest of the `TrainState`, and `note`: what the other
two hold, and their SHA-256, which whoever reads them asks for.
"""

import contextlib
import logging
import pathlib
import shutil
import sys
from collections.abc import Collection, Iterator
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jaxtyping import PyTree

from echogan_jax.command import BadInput
from echogan_jax.training import hosts, note, parallel
from echogan_jax.training.state import TrainState

_ITEMS = ('state', 'ema', 'note')


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
  folder = (workdir / 'checkpoints').absolute()
  if jax.process_index() == 0:
    for torn in folder.glob('*.orbax-checkpoint-tmp*'):  # by a kill
      shutil.rmtree(torn, ignore_errors=True)
  manager = ocp.CheckpointManager(
    folder,
    item_names=_ITEMS,
    options=ocp.CheckpointManagerOptions(
      max_to_keep=keep, enable_async_checkpointing=True
    ),
  )
  # a saving thread would count beside `Interrupt`, which asks for all
  manager.reached_preemption = lambda step: False
  try:
    yield manager
    settle(manager)
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
  state = parallel.shared(state)
  _put(manager, step, {'state': state.replace(ema={}), 'ema': state.ema})


def save_ema(workdir: pathlib.Path, ema: PyTree) -> None:
  """Write generators alone, as step 0: they were trained elsewhere.

  Raises:
    BadInput: they cannot be written.
  """
  with opened(workdir, keep=1) as manager:
    _put(manager, 0, {'ema': ema})


def _put(manager: ocp.CheckpointManager, step: int, parts: PyTree) -> None:
  items = ocp.args.Composite(
    **{name: ocp.args.StandardSave(part) for name, part in parts.items()},
    note=ocp.args.JsonSave(note.write(parts)),
  )
  with _writing(manager):
    manager.wait_until_finished()
    if not manager.save(step, args=items, force=True):
      raise RuntimeError(f'orbax declined to write step {step}')


def settle(manager: ocp.CheckpointManager) -> None:
  """Wait until all that was saved is on disk.

  Raises:
    BadInput: it cannot be written.
  """
  with _writing(manager):
    manager.wait_until_finished()


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
  sys.excepthook = _but_closed_loops
  sys.unraisablehook = lambda unraisable: None


def _but_closed_loops(kind: type, error: BaseException, trace: Any) -> None:
  if str(error) != 'Event loop is closed':
    sys.__excepthook__(kind, error, trace)


def _cause(error: BaseException) -> str:
  text = str(error)
  for known in ('No space left on device', 'Disk quota', 'File too large'):
    if known.lower() in text.lower():
      return known
  return (text.strip().split('\n') or [''])[0][:200] or type(error).__name__


def restore(
  manager: ocp.CheckpointManager, like: TrainState
) -> TrainState | None:
  """Return the newest intact state as host arrays, None if there is none.

  Args:
    manager: of the run.
    like: a state of the same shape, for structure and dtypes.

  Raises:
    BadInput: there are checkpoints, and none of them is intact; or they hold
      another state than this config asks for.
  """
  target = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), like)
  parts = {'state': target.replace(ema={}), 'ema': target.ema}
  damaged = {}
  for step in sorted(manager.all_steps(), reverse=True):
    try:
      found = _intact(manager, step, parts)
    except BadInput:
      raise
    except Exception as error:  # damage shows as a dozen kinds of exception
      damaged[step], found = error, None
      logging.warning('checkpoint %d is damaged: %s', step, _cause(error))
    if not hosts.agree(found is not None):
      damaged.setdefault(step, ValueError('another process cannot read it'))
      continue
    _set_aside(manager, damaged)
    return found['state'].replace(ema=found['ema'])
  if damaged:
    raise BadInput(
      f'no checkpoint in {manager.directory} is intact: '
      f'{_cause(damaged[min(damaged)])}; choose another --workdir'
    )
  return None


def _intact(
  manager: ocp.CheckpointManager, step: int, parts: dict[str, PyTree]
) -> dict[str, PyTree]:
  """Return parts of a checkpoint; raise if they are not what was saved."""
  items = ocp.args.Composite(note=ocp.args.JsonRestore())
  said = manager.restore(step, args=items)['note']
  note.compare(said, parts, f'{manager.directory}/{step}')
  found = _read(manager, step, parts)
  note.check(said, found)
  return found


def _read(
  manager: ocp.CheckpointManager, step: int, parts: dict[str, PyTree]
) -> dict[str, PyTree]:
  items = {name: ocp.args.StandardRestore(x) for name, x in parts.items()}
  found = manager.restore(step, args=ocp.args.Composite(**items))
  return {name: found[name] for name in parts}


def _set_aside(manager: ocp.CheckpointManager, steps: Collection[int]) -> None:
  # under its number a damaged step would pass for done when it comes again
  for step in steps if jax.process_index() == 0 else ():
    aside = pathlib.Path(manager.directory).parent / 'damaged' / str(step)
    aside.parent.mkdir(exist_ok=True)
    shutil.rmtree(aside, ignore_errors=True)
    shutil.move(pathlib.Path(manager.directory) / str(step), aside)
  hosts.wait('damaged checkpoints are aside')
  manager.reload()


def load_ema(
  workdir: pathlib.Path,
  like: PyTree,
  *,
  step: int | None = None,
  noted: bool = True,
) -> tuple[int, PyTree]:
  """Return (step, averaged generators) of a run, nothing else read.

  Args:
    workdir: of the run.
    like: generators of the same shape.
    step: which checkpoint, None for the newest that is intact.
    noted: checkpoints hold the checksums that they did not have at first.

  Raises:
    BadInput: there is no such checkpoint, or it is damaged.
  """
  _hush()
  folder = workdir / 'checkpoints'
  if not folder.is_dir():
    raise BadInput(f'{workdir} has no checkpoints yet: train it further')
  target = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), like)
  read = _intact if noted else _read
  with ocp.CheckpointManager(folder.absolute(), item_names=_ITEMS) as manager:
    steps = sorted(manager.all_steps())
    if not steps or (step is not None and step not in steps):
      listed = ', '.join(map(str, steps)) or 'none'
      raise BadInput(f'{folder}: no checkpoint {step or ""} (found: {listed})')
    for candidate in [step] if step is not None else reversed(steps):
      try:
        return candidate, read(manager, candidate, {'ema': target})['ema']
      except BadInput:
        raise
      except Exception as error:
        problem = f'checkpoint {candidate} is damaged: {_cause(error)}'
        logging.warning(problem)
  raise BadInput(f'{folder}: {problem}')
