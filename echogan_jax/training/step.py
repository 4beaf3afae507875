"""The training step: one pure function, the same on one device and on many.

CycleGAN's order (Zhu et al. 2017): both players' gradients are taken at the
parameters the step began with, the fakes shown to the discriminators come
from the same pass as the generators' loss, through the image pool.
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
from echogan_jax.shapes import (
  DOMAINS,
  GENERATORS,
  Batch,
  Image,
  Mask,
  Outputs,
  Verdict,
)
from echogan_jax.training import pool, rng
from echogan_jax.training.state import Player, Rules, TrainState, average

Metrics = dict[str, Array]
Step = Callable[..., tuple[TrainState, Metrics]]
_TO = {target: name for name, (_, target) in GENERATORS.items()}


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
    key = jax.random.fold_in(key, state.step)
    real, mask = _floats(batch)
    generators, out, seen = update_generators(game, state, real, mask, axis)
    shown, pools = _through_pools(state.pools, key, out.fake, axis)
    judges, judged = update_discriminators(game, state, real, shown, axis)
    images = len(real['low']) * (lax.axis_size(axis) if axis else 1)
    ema = average(
      state.ema,
      generators.params,
      state.step,
      images,
      rules.ema_halflife_images,
    )
    new = TrainState(state.step + 1, generators, judges, ema, pools)
    return new, _mean(seen | judged, axis)

  return step


def update_generators(
  game: Game,
  state: TrainState,
  real: dict[str, Image],
  mask: dict[str, Mask],
  axis: str | None,
) -> tuple[Player, Outputs, Metrics]:
  """Move both generators against the discriminators as they are."""

  def loss(params: PyTree) -> tuple[Array, tuple[Outputs, Metrics]]:
    needs, judges = game.objective.needs, state.discriminators
    out = play(game.models, needs, params, judges, real, mask)
    total, values = game.objective.generators(out)
    return total, (out, values)

  player, slopes, (out, values) = _descend(
    loss, game.rules.generators, state.generators, axis
  )
  metrics = {f'loss/{name}': value for name, value in values.items()}
  metrics['grad/generators'] = optax.tree.norm(slopes)
  return player, out, metrics | _watch(out)


def update_discriminators(
  game: Game,
  state: TrainState,
  real: dict[str, Image],
  fake: dict[str, Image],
  axis: str | None,
) -> tuple[Player, Metrics]:
  """Move both discriminators on real images and on what the pools gave."""
  before = state.discriminators

  def loss(params: PyTree) -> tuple[Array, tuple[Metrics, PyTree]]:
    values, stats = {}, {}
    for d in DOMAINS:
      verdicts, stats[d] = _judge_both(
        game.models, params[d], before.stats[d], real[d], fake[d]
      )
      values[d] = jnp.mean(game.objective.discriminator(*verdicts))
    return sum(values.values()), (values, stats)

  player, slopes, (values, stats) = _descend(
    loss, game.rules.discriminators, before, axis
  )
  metrics = {f'loss/judge_{d}': values[d] for d in DOMAINS}
  metrics['grad/discriminators'] = optax.tree.norm(slopes)
  return player.replace(stats=_mean(stats, axis)), metrics


def _floats(batch: Batch) -> tuple[dict[str, Image], dict[str, Mask]]:
  real = {d: image.to_float(batch[d].image) for d in DOMAINS}
  mask = {d: (batch[d].mask > 0).astype(real[d].dtype) for d in DOMAINS}
  return real, mask


def play(
  models: Models,
  needs: frozenset[str],
  params: PyTree,
  judges: Player,
  real: dict[str, Image],
  mask: dict[str, Mask],
) -> Outputs:
  """Run the generators' pass: only what `needs` names beside the fakes.

  Outside the sector every output is its source: nothing is generated there,
  in training as in deployment.
  """

  def translate(name: str, source: Image, domain: str) -> Image:
    made = models.generator.apply({'params': params[name]}, source)
    return image.inside(made, source, mask[domain])

  fake = {
    target: translate(name, real[source], source)
    for name, (source, target) in GENERATORS.items()
  }
  cycled, same, judged = {}, {}, {}
  if 'cycled' in needs:
    for d, other in zip(DOMAINS, reversed(DOMAINS), strict=True):
      cycled[d] = translate(_TO[d], fake[other], d)
  if 'same' in needs:
    same = {d: translate(_TO[d], real[d], d) for d in DOMAINS}
  if 'judged' in needs:
    for d in DOMAINS:
      variables = {'params': judges.params[d], 'stats': judges.stats[d]}
      judged[d] = models.discriminator.apply(variables, fake[d])
  return Outputs(real, mask, fake, cycled, same, judged)


def _descend(
  loss: Callable,
  optimizer: optax.GradientTransformation,
  player: Player,
  axis: str | None,
) -> tuple[Player, PyTree, PyTree]:
  """Return the moved player, its gradients, and what the loss kept."""
  (_, kept), slopes = jax.value_and_grad(loss, has_aux=True)(player.params)
  slopes = _mean(slopes, axis)
  moves, moments = optimizer.update(slopes, player.optimizer, player.params)
  params = optax.apply_updates(player.params, moves)
  return player.replace(params=params, optimizer=moments), slopes, kept


def _mean(tree: PyTree, axis: str | None) -> PyTree:
  return lax.pmean(tree, axis) if axis else tree


def _through_pools(
  pools: dict[str, pool.Pool],
  key: Array,
  fakes: dict[str, Image],
  axis: str | None,
) -> tuple[dict[str, Image], dict[str, pool.Pool]]:
  # every device queries with the whole batch, so that the pools stay the
  # same everywhere and are state like any other
  shown, after = {}, {}
  for d in DOMAINS:
    fresh = lax.stop_gradient(fakes[d])
    whole = lax.all_gather(fresh, axis, tiled=True) if axis else fresh
    after[d], seen = pool.query(pools[d], rng.stream(key, f'pool/{d}'), whole)
    if axis:
      own = lax.axis_index(axis) * len(fresh)
      seen = lax.dynamic_slice_in_dim(seen, own, len(fresh))
    shown[d] = seen
  return shown, after


def _judge_both(
  models: Models, params: PyTree, stats: PyTree, real: Image, fake: Image
) -> tuple[tuple[Verdict, Verdict], PyTree]:
  verdicts = []
  for images in (real, fake):
    verdict, changed = models.discriminator.apply(
      {'params': params, 'stats': stats}, images, mutable=['stats']
    )
    stats = changed.get('stats', {})
    verdicts.append(verdict)
  return tuple(verdicts), stats


def _watch(out: Outputs) -> Metrics:
  """Measure what the alarms look at, on the enhanced images."""
  low, high, mask = out.real['low'], out.fake['high'], out.mask['low']
  return {
    'watch/correlation': jnp.mean(image.correlation(low, high, mask)),
    'watch/deviation': jnp.mean(image.deviation(high, mask)),
  }
