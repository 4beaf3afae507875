"""The loop: restore, next batch, step, log, sample, save. No mathematics."""

import functools
import logging
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import tqdm
from ml_collections import ConfigDict

from echogan_jax import losses, models
from echogan_jax.command import BadInput
from echogan_jax.data import manifest, pipeline
from echogan_jax.evaluation import case, walk
from echogan_jax.shapes import GENERATORS
from echogan_jax.training import (
  checkpoint,
  combination,
  parallel,
  recipe,
  rng,
  state,
  step,
)
from echogan_jax.training.enhancer import assemble, players, translator
from echogan_jax.training.interrupt import Interrupt
from echogan_jax.training.log import Log
from echogan_jax.training.step import Metrics


def train(config: ConfigDict, workdir: pathlib.Path) -> int:
  """Train, or go on with, the run in `workdir`; return the step it ends at.

  The result after n steps depends on the config and n only, not on how often
  the run was stopped. SIGTERM and SIGINT finish the step, save and return.

  Raises:
    BadInput: the config, the data or the workdir do not fit together.
  """
  _check(config)
  made = models.create(config.model.to_dict())
  combination.check(config.to_dict(), made)
  objective = losses.build(config.losses.to_dict())
  models.check_size(made, config.data.size, objective.needs)
  rules = state.rules(**config.state)
  mode, data = config.parallel.mode, config.data.to_dict()
  extras = objective.needs & {'grades', 'anatomy'}
  extras |= {'anatomy'} if made.conditioned else set()
  run = parallel.compile(
    step.make(made, objective, rules), mode=mode, batch_size=data['batch_size']
  )
  sample = _sampler(made, data, config.train.samples)
  validate = _validator(made, data, **config.eval)
  resolved = config.to_dict() | {
    'data_sha256': manifest.fingerprint(pathlib.Path(data['dir']))
  }
  recipe.check(workdir, resolved)
  root = rng.root(config.seed)
  key, init = rng.stream(root, 'train'), rng.stream(root, 'init')
  now = state.create(
    made, rules, key=init, size=data['size'], needs=objective.needs
  )
  with checkpoint.opened(workdir, keep=config.checkpoint.keep) as manager:
    now = parallel.place(checkpoint.restore(manager, now) or now, mode)
    start, end = int(now.step), config.train.num_steps
    batches = pipeline.batches(
      **data, extras=extras, seed=config.seed, start_step=start
    )
    recipe.write(workdir, resolved)
    with Interrupt() as interrupt, _Follower(config, workdir, start) as follow:
      for done in range(start + 1, end + 1):
        now, metrics = run(now, next(batches), key)
        last = done == end or interrupt.came
        saving = done % config.checkpoint.every == 0 or last
        found = functools.partial(validate, now.ema, done)
        due = bool(config.eval.every) and done % config.eval.every == 0
        extra = found if due else None
        follow.logged(done, metrics, due=last, check=saving, extra=extra)
        if saving:
          checkpoint.save(manager, now)
        if done in config.train.sample_at or last:
          follow.log.picture(done, sample(now.ema))
        if last:
          break
  return int(now.step)


def _check(config: ConfigDict) -> None:
  counts = {
    'data.batch_size': config.data.batch_size,
    'data.shuffle_buffer': config.data.shuffle_buffer,
    'train.num_steps': config.train.num_steps,
    'train.log_every': config.train.log_every,
    'train.samples': config.train.samples,
    'checkpoint.every': config.checkpoint.every,
    'checkpoint.keep': config.checkpoint.keep,
  }
  for name, count in counts.items():
    if count < 1:
      raise BadInput(f'{name}={count}: must be at least 1')


class _Follower:
  """Logs what is due, shows progress, raises the alarm."""

  def __init__(self, config: ConfigDict, workdir: pathlib.Path, start: int):
    self._every, self._batch = config.train.log_every, config.data.batch_size
    self._step, self._time = start, None
    self.log = Log(workdir, step=start, alarms=config.train.alarms.to_dict())
    self._bar = tqdm.tqdm(
      total=config.train.num_steps,
      initial=start,
      desc='train',
      unit='step',
      mininterval=1.0 if sys.stderr.isatty() else 30.0,
    )

  def __enter__(self) -> '_Follower':
    return self

  def __exit__(self, *problem: object) -> None:
    self._bar.close()
    self.log.close()

  def logged(
    self,
    done: int,
    metrics: Metrics,
    *,
    due: bool,
    check: bool,
    extra: Callable[[], dict[str, float]] | None = None,
  ) -> None:
    """Count a step; where `due` or at every n-th, write its metrics.

    What `extra` returns is written with them; its time does not count.

    Raises:
      BadInput: a metric is not finite, looked at when logging and where
        `check` says that the state is about to be saved.
    """
    self._bar.update()
    due = due or bool(extra) or done % self._every == 0
    if not (due or check):
      return
    values = {name: float(value) for name, value in metrics.items()}
    bad = [name for name, value in values.items() if not np.isfinite(value)]
    if bad:
      raise BadInput(
        f'step {done}: {", ".join(bad)} is not finite; the last checkpoint '
        'is from before it. Lower state.learning_rate or the weight of it'
      )
    if not due:
      return
    values['pairs_per_second'] = self._rate(done)
    if extra:
      before = time.monotonic()
      values |= extra()
      self._time += time.monotonic() - before
    for alarm in self.log.scalars(done, values):
      logging.warning('step %d: %s', done, alarm)
    names = ('loss/cycle', 'loss/adversarial', 'loss/judge_high')
    shown = {k.split('/')[1]: f'{values[k]:.3f}' for k in names if k in values}
    self._bar.set_postfix(shown, refresh=False)

  def _rate(self, done: int) -> float:
    # from the second reading on: the first holds the compilation
    now = time.monotonic()
    steps, since = done - self._step, self._time
    self._step, self._time = done, now
    return steps * self._batch / (now - since) if since else 0.0


def _sampler(made: models.Models, data: dict[str, Any], count: int):
  sources = [GENERATORS[name][0] for name in made.names]
  frames = pipeline.examples(
    data['dir'], 'train', count, size=data['size'], domains=sources
  )
  count = min(len(frames[domain].image) for domain in sources)
  translate = translator(made)

  def sample(ema: dict) -> np.ndarray:
    """Draw rows source, translation, back if there is a way; low first."""
    rows = []
    for name in made.names:
      source, target = GENERATORS[name]
      there = frames[source].image[:count, ..., 0]
      mask = frames[source].mask[:count, ..., 0] > 0
      fake = translate(ema[name], there, mask)
      back = [n for n in made.names if GENERATORS[n][0] == target]
      rows += [there, fake, *(translate(ema[n], fake, mask) for n in back)]
    return np.concatenate([np.concatenate(list(row), axis=1) for row in rows])

  return sample


def _validator(
  made: models.Models,
  data: dict[str, Any],
  *,
  every: int,
  truth: str,
  **limits: int,
) -> Callable[[dict, int], dict[str, float]]:
  """Return what measures the enhancer on the validation split."""
  place, size = pathlib.Path(data['dir']), data['size']
  if not every:
    return lambda ema, step: {}
  split = case.Source(place, 'validation', size)
  if not case.rows(split, 'low'):
    logging.warning('%s: no validation split to evaluate on', place)
    return lambda ema, step: {}
  source = case.source(*split[:3], truth or None)
  play = players(made)

  def validate(ema: dict, step: int) -> dict[str, float]:
    model = assemble(play, ema, size=size, step=step)
    found = walk.walk(model, source, limits=walk.Limits(**limits))
    metrics = found.summary['metrics']
    return {f'eval/{name}': value for name, value in metrics.items()}

  return validate


def device_summary() -> str:
  """Return what the run computes on, for the first line of the log."""
  kinds = {device.device_kind for device in jax.devices()}
  return f'{jax.device_count()} x {", ".join(sorted(kinds))}'
