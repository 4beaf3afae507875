"""The training step: one pure function, the same on one device and on many.

CycleGAN's order (Zhu et al. 2017): both players' gradients are taken at the
parameters the step began with, the fakes shown to the discriminators come
from the same pass as the generators' loss, through the image pool.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Key

from echogan_jax import image
from echogan_jax.losses import Objective
from echogan_jax.models import Models
from echogan_jax.shapes import (
  DOMAINS,
  GENERATORS,
  Batch,
  Image,
  Outputs,
  PyTree,
  Verdict,
)
from echogan_jax.training import pool, rng
from echogan_jax.training.state import Player, Rules, TrainState, average

Metrics = dict[str, Array]
Step = Callable[..., tuple[TrainState, Metrics]]
_TO = {target: name for name, (_, target) in GENERATORS.items()}


def make(models: Models, objective: Objective, rules: Rules) -> Step:
  """Return `step(state, batch, key, *, axis=None) -> (state, metrics)`.

  `key` is the run's `train` stream; the step folds its number in. `axis` is
  the only trace of parallelism: the name of the pmap axis over which
  gradients and metrics are averaged and fakes are gathered.
  """

  def step(
    state: TrainState, batch: Batch, key: Key[Array, ''], *, axis=None
  ) -> tuple[TrainState, Metrics]:
    key = jax.random.fold_in(key, state.step)
    real = {d: image.to_float(batch[d].image) for d in DOMAINS}
    mask = {d: image.to_float(batch[d].mask) for d in DOMAINS}
    mask = {d: (mask[d] > 0).astype(real[d].dtype) for d in DOMAINS}

    def generators_loss(params: PyTree):
      judges = state.discriminators
      out = play(models, objective.needs, params, judges, real, mask)
      total, values = objective.generators(out)
      return total, (out, values)

    slopes, (out, values) = _gradient(
      generators_loss, state.generators.params, axis
    )
    shown, pools = _through_pools(state.pools, key, out.fake, axis)

    def discriminators_loss(params: PyTree):
      losses, stats = {}, {}
      for d in DOMAINS:
        verdicts, stats[d] = _judge_both(
          models, params[d], state.discriminators.stats[d], real[d], shown[d]
        )
        losses[d] = jnp.mean(objective.discriminator(*verdicts))
      return sum(losses.values()), (losses, stats)

    judge_slopes, (losses, stats) = _gradient(
      discriminators_loss, state.discriminators.params, axis
    )
    generators = _update(rules.generators, state.generators, slopes)
    judges = _update(rules.discriminators, state.discriminators, judge_slopes)
    metrics = {f'loss/{name}': value for name, value in values.items()}
    metrics |= {f'loss/judge_{d}': losses[d] for d in DOMAINS}
    metrics |= _watch(out) | {
      'grad/generators': optax.tree.norm(slopes),
      'grad/discriminators': optax.tree.norm(judge_slopes),
    }
    images = len(real['low']) * _devices(axis)
    new = TrainState(
      step=state.step + 1,
      generators=generators,
      discriminators=judges.replace(stats=_mean(stats, axis)),
      ema=average(
        state.ema,
        generators.params,
        state.step,
        images,
        rules.ema_halflife_images,
      ),
      pools=pools,
    )
    return new, _mean(metrics, axis)

  return step


def play(
  models: Models,
  needs: frozenset[str],
  params: PyTree,
  judges: Player,
  real: dict[str, Image],
  mask: dict[str, Image],
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


def _gradient(loss: Callable, params: PyTree, axis: str | None):
  (_, kept), slopes = jax.value_and_grad(loss, has_aux=True)(params)
  return _mean(slopes, axis), kept


def _mean(tree: PyTree, axis: str | None) -> PyTree:
  return lax.pmean(tree, axis) if axis else tree


def _devices(axis: str | None) -> int:
  return lax.axis_size(axis) if axis else 1


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


def _update(
  optimizer: optax.GradientTransformation, player: Player, slopes: PyTree
) -> Player:
  moves, moments = optimizer.update(slopes, player.optimizer, player.params)
  params = optax.apply_updates(player.params, moves)
  return player.replace(params=params, optimizer=moments)


def _watch(out: Outputs) -> Metrics:
  """Measure what the alarms look at, on the enhanced images."""
  low, high, mask = out.real['low'], out.fake['high'], out.mask['low']
  return {
    'watch/correlation': jnp.mean(image.correlation(low, high, mask)),
    'watch/deviation': jnp.mean(image.deviation(high, mask)),
  }
