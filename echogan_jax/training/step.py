"""The training step: one pure function, the same on one device and on many.

CycleGAN's order (Zhu et al. 2017): both players' gradients are taken at the
parameters the step began with, the fakes shown to the discriminators come
from the same pass as the generators' loss, through the image pool. CUT's
order (Park et al. 2020): the discriminators move first, and the generators
play against them as they are then.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Key, PyTree

from echogan_jax import image
from echogan_jax.losses import Objective
from echogan_jax.models import Models
from echogan_jax.shapes import Batch, Outputs
from echogan_jax.training import rng, trial
from echogan_jax.training.play import Cast, Scene, play, scene
from echogan_jax.training.state import (
  Player,
  Rules,
  TrainState,
  average,
)

Metrics = dict[str, Array]
Step = Callable[..., tuple[TrainState, Metrics]]


class Game(NamedTuple):
  """What does not change during training."""

  models: Models
  objective: Objective
  rules: Rules


def make(models: Models, objective: Objective, rules: Rules) -> Step:
  """Return `step(state, batch, key, *, axis=None) -> (state, metrics)`.

  `key` is the run's `train` stream; the step folds its number in. `axis` is
  the only trace of parallelism: the name of the pmap axis over which
  gradients and metrics are averaged and fakes are gathered.
  """
  game = Game(models, objective, rules)

  def step(
    state: TrainState, batch: Batch, key: Key[Array, ''], *, axis=None
  ) -> tuple[TrainState, Metrics]:
    key, now = jax.random.fold_in(key, state.step), scene(batch)
    old, said = state, {}
    if rules.judges_first:
      # the same fakes as in the generators' own pass: XLA computes them once
      params = {'generators': state.generators.params}
      out = play(_cast(game, state, frozenset()), params, now, key)
      state, said = update_discriminators(game, state, now, out, key, axis)
    state, out, metrics = update_generators(game, state, now, key, axis)
    if not rules.judges_first:
      state, said = update_discriminators(game, state, now, out, key, axis)
    state, read = update_task(game, state, now, axis)
    images = len(now.real['low']) * (lax.axis_size(axis) if axis else 1)
    ema = average(
      old.ema,
      state.generators.params,
      old.step,
      images,
      rules.ema_halflife_images,
    )
    new = state.replace(step=old.step + 1, ema=ema)
    metrics = _mean(metrics | said | read, axis)
    if rules.skip_nonfinite:
      finite = jnp.all(jnp.isfinite(jnp.stack(list(metrics.values()))))
      kept = old.replace(step=new.step)
      new = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, kept)
    return new, metrics

  return step


def update_generators(
  game: Game, state: TrainState, now: Scene, key: Array, axis: str | None
) -> tuple[TrainState, Outputs, Metrics]:
  """Move the generators, and the projector, against everyone else."""
  cast = _cast(game, state, game.objective.needs)

  def loss(params: dict[str, PyTree]) -> tuple[Array, tuple[Outputs, Metrics]]:
    out = play(cast, params, now, key)
    total, values = game.objective.generators(out, state.step)
    return total, (out, values)

  moved, slopes, (out, values), _ = _descend(
    loss, game.rules, _players(state, 'generators', 'projector'), axis
  )
  metrics = {f'loss/{name}': value for name, value in values.items()}
  for name, own in slopes.items():
    metrics[f'grad/{name}'] = optax.tree.norm(own)
  return _with(state, moved), out, metrics | _watch(out)


def update_discriminators(
  game: Game,
  state: TrainState,
  now: Scene,
  out: Outputs,
  key: Array,
  axis: str | None,
) -> tuple[TrainState, Metrics]:
  """Move the discriminators on real images and on what the pools gave."""
  if not game.objective.needs & {'judged', 'judged_real'}:
    return state, {}
  stats0 = state.discriminators.stats
  shown, pools = trial.show(game.models, state.pools, key, out, axis)
  luck = jax.random.uniform(rng.stream(key, 'luck'))
  mixing = 'mixed' in game.objective.needs
  boxes = trial.boxes(now, key, axis) if mixing else {}

  def loss(params: PyTree) -> tuple[Array, tuple[PyTree, PyTree]]:
    total, values, stats = 0.0, {}, {}
    for d in game.models.targets:
      variables = {'params': params['discriminators'][d], 'stats': stats0[d]}
      tried, stats[d] = trial.hold(
        game.models, variables, now, d, shown[d], boxes
      )
      part, values[d] = game.objective.discriminator(tried, state.step, luck)
      total += part
    return total, (values, stats)

  moved, slopes, (values, stats), _ = _descend(
    loss, game.rules, _players(state, 'discriminators'), axis
  )
  player = moved['discriminators'].replace(stats=_mean(stats, axis))
  if game.rules.rest_below is not None:
    player = _rested(game.rules, state, player, values, axis)
  metrics = {
    f'loss/judge_{d}' + (f'_{name}' if name != 'adversarial' else ''): value
    for d, terms in values.items()
    for name, value in terms.items()
  }
  metrics['grad/discriminators'] = optax.tree.norm(slopes['discriminators'])
  return state.replace(discriminators=player, pools=pools), metrics


def _rested(
  rules: Rules,
  state: TrainState,
  after: Player,
  values: dict[str, dict[str, Array]],
  axis: str | None,
) -> Player:
  """Return the moved player, its winners with the weights they had."""
  params = {}
  for d, terms in values.items():
    won = _mean(terms['adversarial'], axis) < rules.rest_below
    won &= state.step >= rules.rest_after
    params[d] = jax.tree.map(
      lambda old, new, won=won: jnp.where(won, old, new),
      state.discriminators.params[d],
      after.params[d],
    )
  return after.replace(params=params)


def update_task(
  game: Game, state: TrainState, now: Scene, axis: str | None
) -> tuple[TrainState, Metrics]:
  """Move the task network on the real images of both domains.

  Of both, so that it is not fooled by quality (Ouyang et al. 2019).
  """
  if 'task' not in state.helpers:
    return state, {}

  def loss(params: dict[str, PyTree]) -> tuple[Array, None]:
    total = 0.0
    for d, real in now.real.items():
      variables = {'params': params['task']['task']}
      reading = game.models.task.apply(variables, real)
      drawn = now.anatomy[d] if game.objective.draws else None
      values = game.objective.task(reading, now.grades[d], drawn)
      total += jnp.mean(values) / len(now.real)
    return total, None

  moved, slopes, _, total = _descend(
    loss, game.rules, _players(state, 'task'), axis
  )
  metrics = {'loss/task_own': total, 'grad/task': optax.tree.norm(slopes)}
  return _with(state, moved), metrics


def _cast(game: Game, state: TrainState, needs: frozenset[str]) -> Cast:
  return Cast(game.models, needs, state.discriminators, state.helpers)


def _players(state: TrainState, *names: str) -> dict[str, Player]:
  """Return the named players that there are."""
  there = vars(state) | state.helpers
  return {name: there[name] for name in names if name in there}


def _with(state: TrainState, moved: dict[str, Player]) -> TrainState:
  """Return the state with these players in place of its own."""
  helpers = {k: moved.get(k, player) for k, player in state.helpers.items()}
  main = {k: player for k, player in moved.items() if k not in helpers}
  return state.replace(helpers=helpers, **main)


def _descend(
  loss: Callable,
  rules: Rules,
  players: dict[str, Player],
  axis: str | None,
) -> tuple[dict[str, Player], dict[str, PyTree], PyTree, Array]:
  """Return the moved players, their gradients, what the loss kept, and it."""
  params = {name: player.params for name, player in players.items()}
  (total, kept), slopes = jax.value_and_grad(loss, has_aux=True)(params)
  slopes, moved = _mean(slopes, axis), {}
  for name, player in players.items():
    moves, moments = rules.optimizers[name].update(
      slopes[name], player.optimizer, player.params
    )
    moved[name] = player.replace(
      params=optax.apply_updates(player.params, moves), optimizer=moments
    )
  return moved, slopes, kept, total


def _mean(tree: PyTree, axis: str | None) -> PyTree:
  return lax.pmean(tree, axis) if axis else tree


def _watch(out: Outputs) -> Metrics:
  """Measure what the alarms look at, on the enhanced images."""
  low, high, mask = out.real['low'], out.fake['high'], out.mask['low']
  return {
    'watch/correlation': jnp.mean(image.correlation(low, high, mask)),
    'watch/deviation': jnp.mean(image.deviation(high, mask)),
  }
