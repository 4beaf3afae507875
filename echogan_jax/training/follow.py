"""Follows a run: logs what is due, shows progress, raises alarms."""

import contextlib
import logging
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
import tqdm
from jaxtyping import UInt8
from ml_collections import ConfigDict

from echogan_jax.command import BadInput
from echogan_jax.data import files
from echogan_jax.shapes import Batch
from echogan_jax.training import alarm
from echogan_jax.training.log import Log, read

_SHOWN = ('loss/cycle', 'loss/adversarial', 'loss/judge_high')
Picture = UInt8[np.ndarray, 'height width']
_SNAPSHOTS = 5  # batches kept in a workdir; what follows looks the same
_SKIPS = 100  # steps left out in a row, after which no step will be good


class Follower:
  """What is known of a run beside its state.

  Every line is on disk before the checkpoint that comes after it, so that a
  run which goes on from there has no line too few; `Log` sees to it that it
  has none too many. With many processes only the first one writes.

  Args:
    config: of the run.
    workdir: of the run.
    start: the step that it goes on from.
    alarms: what to do about them.
    batches: `pipeline.batches` of the run.
  """

  def __init__(
    self,
    config: ConfigDict,
    workdir: pathlib.Path,
    start: int,
    alarms: alarm.Alarms,
    batches: Callable[..., Iterator[Batch]],
  ):
    self._config, self._workdir = config, workdir
    self._alarms, self._batches = alarms, batches
    self._pending, self._mark, self._time = [], start, None
    self._writes = jax.process_index() == 0
    due = self.due(start)
    if self._writes:
      self._log = Log(workdir, step=start, due=due)
    before = read(workdir, last=start if due else start - 1)
    self._recent = before[-alarm.PATIENCE :]
    noted = read(workdir, 'alarms.jsonl', last=start)[-_SKIPS:]
    self._bad = {line['step'] for line in noted}
    self._bar = tqdm.tqdm(
      total=config.train.num_steps,
      initial=start,
      desc='train',
      unit='step',
      mininterval=1.0 if sys.stderr.isatty() else 30.0,
      disable=not self._writes,
    )

  def __enter__(self) -> 'Follower':
    return self

  def __exit__(self, *problem: object) -> None:
    if self._writes:
      self._log.close()
    with contextlib.suppress(OSError):
      self._bar.close()

  def due(self, step: int) -> bool:
    """Return whether a step's metrics are to be logged."""
    end = step == self._config.train.num_steps
    logged = step % self._config.train.log_every == 0
    return step > 0 and (logged or end or self.evaluated(step))

  def evaluated(self, step: int) -> bool:
    """Return whether a step is to be evaluated."""
    every = self._config.eval.every
    return step > 0 and every > 0 and step % every == 0

  def owes(self, step: int) -> bool:
    """Return whether an evaluation was due there, and was not ended."""
    if not (self._writes and self.evaluated(step) and self._recent):
      return False
    last = self._recent[-1]
    return last['step'] == step and not any(k.startswith('eval/') for k in last)

  def alarmed(self) -> str:
    """Return why an earlier attempt stopped, if that still says stop."""
    return '; '.join(
      f'step {self._recent[-1]["step"]}: {name}; to go on, '
      f'--config.train.alarms.{kind}=warn'
      for name, kind in alarm.raised(self._recent, self._alarms).items()
      if getattr(self._alarms, kind) == 'stop'
    )

  def count(self, step: int, metrics: Mapping[str, jax.Array]) -> None:
    """Take the metrics of the last step, or steps; nothing waits for them."""
    shape = next(iter(metrics.values())).shape
    with contextlib.suppress(OSError):  # who looked on has left
      self._bar.update(*shape)
    self._pending.append((step, metrics))

  def look(self, *, log: bool) -> str:
    """Look at all steps since the last look, and log the last one if asked.

    Returns:
      why to stop here, empty if nothing says so.

    Raises:
      BadInput: a value is not finite and that is to stop the run; the state
        is not fit to be saved.
    """
    steps = [x for n, found in self._pending for x in _each(n, found)]
    self._pending = []
    for step, values in steps:
      bad = alarm.nonfinite(values)
      if bad:
        self._not_finite(step, bad, values)
    if not log:
      return ''
    return self._logged(step, {k: v for k, v in values.items() if k not in bad})

  def _logged(self, step: int, values: dict[str, float]) -> str:
    before = {name for x in self._recent[-1:] for name in x.get('alarms', ())}
    self._recent = [*self._recent, {'step': step, **values}][-alarm.PATIENCE :]
    raised = alarm.raised(self._recent, self._alarms)
    line = values | ({'alarms': list(raised)} if raised else {})
    self._recent[-1] |= line
    if self._writes:
      self._log.scalars(step, line)
      self._log.speed(step, self._rate(step))
    shown = {k.split('/')[1]: f'{values[k]:.3f}' for k in _SHOWN if k in values}
    self._bar.set_postfix(shown, refresh=False)
    stops = []
    for name, kind in raised.items():
      action, kept = getattr(self._alarms, kind), ''
      if name not in before:
        kept = self._noted(step, name, action, values)
      if action == 'stop':
        advice = f'to go on, --config.train.alarms.{kind}=warn'
        stops.append(f'{name}{kept}; {advice}')
    return f'step {step}: {"; ".join(stops)}' if stops else ''

  def _not_finite(
    self, step: int, bad: list[str], values: dict[str, float]
  ) -> None:
    # where a loss is not finite, all that follows from it is not either
    culprits = [name for name in bad if name.startswith('loss/')] or bad
    action = self._alarms.nonfinite
    what = f'{", ".join(culprits)} not finite'
    kept = self._noted(step, what, action, values)
    self._bad.add(step)
    lasting = all(step - n in self._bad for n in range(_SKIPS))
    if action == 'skip' and lasting:
      raise BadInput(
        f'step {step}: {what}, and {_SKIPS} steps in a row were left out: the '
        'weights themselves are bad. Lower state.learning_rate in another '
        '--workdir'
      )
    if action == 'stop':
      raise BadInput(
        f'step {step}: {what}{kept}; the last checkpoint is from before it. '
        'Lower state.learning_rate or the weight of it, or leave such steps '
        'out: --config.train.alarms.nonfinite=skip'
      )

  def _noted(
    self, step: int, what: str, action: str, values: Mapping[str, float]
  ) -> str:
    """Note an alarm, keep the batch; return where that is, for the message."""
    logging.warning('step %d: %s', step, what)
    if not self._writes:
      return ''
    text = {name: repr(value) for name, value in values.items()}
    path = self._workdir / 'alarms' / f'step_{step}.npz'
    there = len(list(path.parent.glob('*.npz')))
    kept = action == 'stop' or there < _SNAPSHOTS
    if kept:
      batch = next(self._batches(start_step=step - 1))
      files.write_npz(path, _arrays(batch, text))
    self._log.alarm(step, {'alarm': what, 'action': action})
    return f' (its batch is in {path})' if kept else ''

  def picture(self, step: int, draw: Callable[[], Picture]) -> None:
    """Keep a picture of what the run does."""
    if self._writes:
      self._log.picture(step, draw())

  def add(self, step: int, evaluate: Callable[[], dict[str, float]]) -> None:
    """Evaluate, and add it to the step's line; its time does not count."""
    if not self._writes:
      return
    before = time.monotonic()
    self._log.add(step, evaluate())
    if self._time:
      self._time += time.monotonic() - before

  def _rate(self, step: int) -> float:
    # from the second reading on: the first holds the compilation
    now = time.monotonic()
    steps, since = step - self._mark, self._time
    self._mark, self._time = step, now
    pairs = steps * self._config.data.batch_size
    return pairs / (now - since) if since else 0.0


def _each(
  last: int, metrics: Mapping[str, jax.Array]
) -> Iterator[tuple[int, dict[str, float]]]:
  """Yield the steps of a dispatch, and what was measured in each."""
  columns = {k: np.ravel(x) for k, x in jax.device_get(metrics).items()}
  number = len(next(iter(columns.values())))
  for i in range(number):
    values = {name: float(column[i]) for name, column in columns.items()}
    yield last - number + 1 + i, values


def _arrays(batch: Batch, metrics: Mapping[str, str]) -> dict[str, Any]:
  """Name what a batch holds, and what was measured of it."""
  found = {
    f'{domain}_{name}': array
    for domain, frames in batch.items()
    for name, array in frames._asdict().items()
    if array is not None
  }
  table = [f'{name}={value}' for name, value in metrics.items()]
  return found | {'metrics': np.array(table)}
