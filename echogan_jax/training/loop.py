"""The loop: restore, next batch, step, log, sample, save. No mathematics."""

import logging
import pathlib
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import tqdm
from ml_collections import ConfigDict

from echogan_jax import losses, models
from echogan_jax.command import BadInput
from echogan_jax.data import pipeline
from echogan_jax.shapes import GENERATORS, Frames
from echogan_jax.training import checkpoint, parallel, rng, state, step
from echogan_jax.training.enhancer import translator
from echogan_jax.training.log import Log


def train(config: ConfigDict, workdir: pathlib.Path) -> int:
  """Train, or go on with, the run in `workdir`; return the step it ends at.

  The result after n steps depends on the config and n only, not on how often
  the run was stopped. SIGTERM and SIGINT finish the step, save and return.

  Raises:
    BadInput: the config, the data or the workdir do not fit together.
  """
  made = models.create(config.model.to_dict())
  models.check_size(made, config.data.size)
  objective = losses.build(config.losses.to_dict())
  rules = state.rules(**config.state)
  batch_size = config.data.batch_size
  run = parallel.compile(
    step.make(made, objective, rules),
    mode=config.parallel.mode,
    batch_size=batch_size,
  )
  data = config.data.to_dict()
  sample = _sampler(made, data, config.train.samples)
  checkpoint.check_config(workdir, config.to_dict())
  root = rng.root(config.seed)
  now = state.create(
    made, rules, key=rng.stream(root, 'init'), size=config.data.size
  )
  with checkpoint.opened(workdir, **config.checkpoint) as manager:
    now = parallel.place(
      checkpoint.restore(manager, now) or now, config.parallel.mode
    )
    start, end = int(now.step), config.train.num_steps
    batches = pipeline.batches(**data, seed=config.seed, start_step=start)
    checkpoint.write_config(workdir, config.to_dict())
    log = Log(workdir, step=start, alarms=config.train.alarms.to_dict())
    key, clock = rng.stream(root, 'train'), _Clock(start)
    with _Interrupt() as interrupt, _bar(start, end) as bar:
      for done in range(start + 1, end + 1):
        now, metrics = run(now, next(batches), key)
        bar.update()
        if done % config.train.log_every == 0 or done == end:
          values = {k: float(v) for k, v in metrics.items()}
          _refuse_nonfinite(values, done)
          values['pairs_per_second'] = clock.rate(done) * batch_size
          for alarm in log.scalars(done, values):
            logging.warning('step %d: %s', done, alarm)
          bar.set_postfix(_short(values), refresh=False)
        if done in config.train.sample_at or done == end:
          log.picture(done, sample(now.ema))
        checkpoint.save(manager, now, force=done == end or interrupt.came)
        if interrupt.came:
          break
    log.close()
  return int(now.step)


def _bar(start: int, end: int) -> tqdm.tqdm:
  return tqdm.tqdm(
    total=end,
    initial=start,
    desc='train',
    unit='step',
    file=sys.stderr,
    mininterval=1.0 if sys.stderr.isatty() else 30.0,
  )


def _short(values: dict[str, float]) -> dict[str, str]:
  names = ('loss/cycle', 'loss/adversarial', 'loss/judge_high')
  return {k.split('/')[1]: f'{values[k]:.3f}' for k in names if k in values}


def _refuse_nonfinite(values: dict[str, float], done: int) -> None:
  bad = [name for name, value in values.items() if not np.isfinite(value)]
  if bad:
    raise BadInput(
      f'step {done}: {", ".join(bad)} is not finite; the last checkpoint is '
      'from before it. Lower state.learning_rate or the weight of that term'
    )


def _sampler(made: models.Models, data: dict[str, Any], count: int):
  frames = pipeline.examples(data['dir'], 'train', count, size=data['size'])
  translate = translator(made)

  def sample(ema: dict) -> np.ndarray:
    """Draw rows source, translation, back; low above, high below."""
    rows = []
    for name, (source, target) in GENERATORS.items():
      back = next(n for n, (s, _) in GENERATORS.items() if s == target)
      there, mask = _squeezed(frames[source])
      made = translate(ema[name], there, mask)
      rows += [there, made, translate(ema[back], made, mask)]
    return np.concatenate([np.concatenate(list(row), axis=1) for row in rows])

  return sample


def _squeezed(frames: Frames) -> Iterator[np.ndarray]:
  return frames.image[..., 0], frames.mask[..., 0] > 0


class _Clock:
  """Steps per second since the last reading, compilation left out."""

  def __init__(self, step: int):
    self._step, self._time = step, None

  def rate(self, step: int) -> float:
    now = time.monotonic()
    steps, self._step = step - self._step, step
    since, self._time = self._time, now
    return steps / (now - since) if since else 0.0


class _Interrupt:
  """Notices SIGTERM and SIGINT instead of dying of them."""

  def __init__(self):
    self.came = False

  def _notice(self, number: int, frame: Any) -> None:
    del frame
    self.came = True
    # a second one gets through, should the step never end
    signal.signal(number, self._before[number])

  def __enter__(self) -> '_Interrupt':
    numbers = (signal.SIGTERM, signal.SIGINT)
    self._before = {n: signal.getsignal(n) for n in numbers}
    for number in numbers:
      signal.signal(number, self._notice)
    return self

  def __exit__(self, *problem: object) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)


def device_summary() -> str:
  """Return what the run computes on, for the first line of the log."""
  kinds = {device.device_kind for device in jax.devices()}
  return f'{jax.device_count()} x {", ".join(sorted(kinds))}'
