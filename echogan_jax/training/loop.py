"""The loop: restore, next batch, step, log, save, evaluate. No mathematics."""

import contextlib
import functools
import itertools
import logging
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from ml_collections import ConfigDict

from echogan_jax import models
from echogan_jax.command import BadInput
from echogan_jax.data import files, manifest, pipeline
from echogan_jax.evaluation import case, walk
from echogan_jax.shapes import GENERATORS
from echogan_jax.training import (
  alarm,
  built,
  checkpoint,
  parallel,
  recipe,
  rng,
  state,
)
from echogan_jax.training.enhancer import assemble, players, translator
from echogan_jax.training.follow import Follower
from echogan_jax.training.interrupt import Interrupt, Stopped

# where the gradient of a convolution inside lax.scan is 53 times as slow
_ONE_BY_ONE = ('cpu',)


class _Game(NamedTuple):
  """What the config is built into: all that is called, and no state."""

  run: Callable  # (state, batches, key) -> (state, metrics)
  create: Callable  # () -> state
  batches: Callable  # (start_step=, share=) -> iterator of batches
  sample: Callable  # (ema) -> picture
  validate: Callable  # (ema, step) -> metrics
  alarms: alarm.Alarms
  resolved: dict[str, Any]


def train(config: ConfigDict, workdir: pathlib.Path) -> int:
  """Train, or go on with, the run in `workdir`; return the step it ends at.

  The result after n steps depends on the config and n only, not on how often
  the run was stopped. SIGTERM and SIGINT finish the step, save and return.

  Raises:
    BadInput: the config, the data or the workdir do not fit together, or an
      alarm stops the run.
    Stopped: a signal came before the first step, or in the last one.
  """
  with contextlib.ExitStack() as leaving:
    many, mode = jax.process_count() > 1, config.parallel.mode
    interrupt = leaving.enter_context(Interrupt(many=many))
    game = _game(config)
    accepted = recipe.check(
      workdir, game.resolved, accept=config.train.accept_difference
    )
    first = jax.process_index() == 0
    if first:
      leaving.enter_context(files.alone(workdir))
    keep = config.checkpoint.keep
    manager = leaving.enter_context(checkpoint.opened(workdir, keep=keep))
    now = game.create()
    now = parallel.place(checkpoint.restore(manager, now) or now, mode)
    start = int(now.step)
    if first:
      recipe.write(workdir, game.resolved, step=start, accepted=accepted)
    follow = leaving.enter_context(
      Follower(config, workdir, start, game.alarms, game.batches)
    )
    return _go(
      game, now, config, manager=manager, follow=follow, interrupt=interrupt
    )


def _go(
  game: _Game,
  now: state.TrainState,
  config: ConfigDict,
  *,
  manager: ocp.CheckpointManager,
  follow: Follower,
  interrupt: Interrupt,
) -> int:
  """Run the steps that are left; lines and pictures before what is saved."""

  def evaluate() -> None:
    follow.add(done, functools.partial(game.validate, now.ema, done))

  done, end = int(now.step), config.train.num_steps
  if halt := follow.alarmed():
    raise BadInput(halt)
  if follow.owes(done):
    interrupt.unheld(evaluate)
  batches = game.batches(start_step=done, share=parallel.share())
  key = parallel.place(
    rng.stream(rng.root(config.seed), 'train'), config.parallel.mode
  )
  stop = interrupt.came()
  while done < end and not stop:
    some = list(itertools.islice(batches, _together(config, follow, done)))
    now, metrics = game.run(now, some, key)
    interrupt.hold()  # from here on a signal would cost a step
    done += len(some)
    follow.count(done, metrics)
    stop = interrupt.came()
    log, due = follow.due(done), follow.evaluated(done)
    saving = due or stop or done == end or done % config.checkpoint.every == 0
    halt = follow.look(log=log) if log or saving else ''
    if done in config.train.sample_at or done == end:
      follow.picture(done, functools.partial(game.sample, now.ema))
    if saving or halt:
      checkpoint.save(manager, now)
    if halt:
      raise BadInput(halt)
    if due and not stop:
      checkpoint.settle(manager)
      interrupt.unheld(evaluate)
      stop = interrupt.came()
  if stop and done == end:
    raise Stopped  # what belongs to the end is not done
  return done


def _together(config: ConfigDict, follow: Follower, done: int) -> int:
  """Return how many steps go in one dispatch; the same after every stop."""
  most = config.parallel.steps_per_call
  if jax.default_backend() in _ONE_BY_ONE or done % most:
    return 1
  seen = any(
    follow.due(n) or _kept(config, n) for n in range(done + 1, done + most)
  )
  return 1 if seen else most


def _kept(config: ConfigDict, step: int) -> bool:
  drawn = step in config.train.sample_at
  return drawn or step % config.checkpoint.every == 0


def _game(config: ConfigDict) -> _Game:
  _check(config)
  made = built.build(config)
  data = config.data.to_dict()
  return _Game(
    run=made.run,
    create=made.create,
    batches=made.batches,
    sample=_sampler(made.models, data, config.train.samples),
    validate=_validator(made.models, data, **config.eval),
    alarms=made.alarms,
    resolved=config.to_dict()
    | {'data_sha256': manifest.fingerprint(pathlib.Path(data['dir']))},
  )


def _check(config: ConfigDict) -> None:
  counts = {
    'data.batch_size': config.data.batch_size,
    'data.shuffle_buffer': config.data.shuffle_buffer,
    'train.num_steps': config.train.num_steps,
    'train.log_every': config.train.log_every,
    'train.samples': config.train.samples,
    'checkpoint.every': config.checkpoint.every,
    'checkpoint.keep': config.checkpoint.keep,
    'parallel.steps_per_call': config.parallel.steps_per_call,
  }
  for name, count in counts.items():
    if count < 1:
      raise BadInput(f'{name}={count}: must be at least 1')


def _sampler(made: models.Models, data: dict[str, Any], count: int):
  sources = [GENERATORS[name][0] for name in made.names]
  frames = pipeline.examples(
    data['dir'], 'train', count, size=data['size'], domains=sources
  )
  count = min(len(frames[domain].image) for domain in sources)
  translate = translator(made)

  def sample(ema: dict) -> np.ndarray:
    """Draw rows source, translation, back if there is a way; low first."""
    ema, rows = jax.device_get(ema), []
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
    model = assemble(play, jax.device_get(ema), size=size, step=step)
    found = walk.walk(model, source, limits=walk.Limits(**limits))
    metrics = found.summary['metrics']
    return {f'eval/{name}': value for name, value in metrics.items()}

  return validate


def device_summary() -> str:
  """Return what the run computes on, for the first line of the log."""
  kinds = {device.device_kind for device in jax.devices()}
  return f'{jax.device_count()} x {", ".join(sorted(kinds))}'
