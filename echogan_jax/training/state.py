"""What a run is at one step: arrays only, exactly what a checkpoint holds."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Int, Key, PyTree

from echogan_jax.command import BadInput
from echogan_jax.models import Models, vgg
from echogan_jax.training import pool, rng


class Player(struct.PyTreeNode):
  """One side of the game: the generators, the discriminators, or a helper.

  Each field of the first two is keyed by network: `enhance`, `degrade`;
  `low`, `high`. One-sided systems have only `enhance` and `high`.
  """

  params: PyTree
  stats: PyTree  # spectral-norm vectors; empty without spectral norm
  optimizer: PyTree


class TrainState(struct.PyTreeNode):
  """Everything that changes during training; on disk, host arrays."""

  step: Any  # int; JAX fills leaves with what it likes, so no shape is said
  generators: Player
  discriminators: Player
  ema: PyTree  # exponential moving average of the generators' params
  pools: Any  # Pool of earlier fakes, keyed by domain; or none
  # Players that some losses need: projector, task; and VGG16 as it came, 59 MB
  # of each checkpoint, so that a run goes on without the package it came from
  helpers: Any


class Shown(NamedTuple):
  """What a pool holds: all that a discriminator is shown of a fake."""

  view: Any  # float [batch, height, width, channels]
  mask: Any  # float [batch, height, width, 1]


class Rules(NamedTuple):
  """How a state moves, from `config.state`; never part of the state."""

  optimizers: dict[str, optax.GradientTransformation]  # by player
  judges_first: bool
  ema_halflife_images: float
  pool_size: int
  # of `config.train.alarms`, where they say skip
  skip_nonfinite: bool = False
  rest_below: float | None = None  # the loss at which a discriminator has won
  rest_after: int = 0  # steps


def schedule(
  start: float, constant_steps: int, decay_steps: int, steps_per_epoch: int = 0
) -> optax.Schedule:
  """Return a rate that is constant, then falls linearly to zero.

  Zhu et al. 2017, §4: 100 epochs and 100 epochs.

  Args:
    start: the constant rate.
    constant_steps: how long it is constant.
    decay_steps: how long it falls.
    steps_per_epoch: 0 to fall at every step; else at the end of each epoch
      and, as the reference code, to 1 / (epochs of decay + 1) in the last.
  """

  def rate(count: Int[Array, '']) -> Array:
    decayed = jnp.maximum(count - constant_steps, 0)
    share = decayed * (1.0 / max(decay_steps, 1))
    if steps_per_epoch:
      epochs = count // steps_per_epoch + 1 - constant_steps // steps_per_epoch
      share = jnp.maximum(epochs, 0) / (decay_steps // steps_per_epoch + 1)
    return start * jnp.maximum(1.0 - share, 0.0)

  return rate


def rules(
  *,
  learning_rate: float,
  judge_rate: float,
  task_learning_rate: float,
  beta1: float,
  beta2: float,
  epsilon: float,
  constant_steps: int,
  decay_steps: int,
  steps_per_epoch: int,
  order: str,
  ema_halflife_images: float,
  pool_size: int,
) -> Rules:
  """Build the optimizers from the keywords in `config.state`.

  Raises:
    BadInput: `order` is unknown.
  """
  if order not in ('together', 'judges_first'):
    raise BadInput(f'state.order={order}: choose together or judges_first')

  def adam(start: float) -> optax.GradientTransformation:
    rate = schedule(start, constant_steps, decay_steps, steps_per_epoch)
    return optax.adam(rate, b1=beta1, b2=beta2, eps=epsilon)

  optimizers = {
    'generators': adam(learning_rate),
    'projector': adam(learning_rate),
    'discriminators': adam(learning_rate * judge_rate),
    # learns a task that does not change: no decay, no reason for beta1 = 0.5
    'task': optax.adam(task_learning_rate),
  }
  return Rules(
    optimizers, order == 'judges_first', ema_halflife_images, pool_size
  )


def create(
  models: Models,
  rules: Rules,
  *,
  key: Key[Array, ''],
  size: int,
  needs: frozenset[str] = frozenset(),
) -> TrainState:
  """Draw the initial state; every network from a stream of its own name.

  Args:
    models: the networks.
    rules: how they move.
    key: the run's `init` stream.
    size: side of the images.
    needs: of the objective; decides which helpers there are.

  Raises:
    BadInput: the weights of VGG16 are needed and not installed.
  """
  blank = jnp.zeros((1, size, size, 1))
  view = jnp.zeros((1, size, size, models.view_channels))

  def variables(name: str, network: Any, example: PyTree) -> dict[str, Any]:
    made = network.init(rng.stream(key, f'init/{name}'), example)
    params = models.redraw(made['params'], rng.stream(key, f'redraw/{name}'))
    return {'params': params, 'stats': made.get('stats', {})}

  def player(role: str, networks: dict[str, dict[str, Any]]) -> Player:
    params = {name: made['params'] for name, made in networks.items()}
    stats = {name: made['stats'] for name, made in networks.items()}
    return Player(params, stats, rules.optimizers[role].init(params))

  made = {
    name: variables(name, models.generator, blank) for name in models.names
  }
  generators = player('generators', made)
  judges = {
    domain: variables(domain, models.discriminator, view)
    for domain in models.targets
  }
  helpers = {}
  if 'patches' in needs:
    samples = models.blank_patches(blank)
    drawn = {
      name: variables(f'projector/{name}', models.projector, samples)
      for name in models.names
    }
    helpers['projector'] = player('projector', drawn)
  if 'read' in needs:
    drawn = variables('task', models.task, blank)
    helpers['task'] = player('task', {'task': drawn})
  if 'seen' in needs:
    helpers['vgg16'] = Player(vgg.load(), {}, {})
  item = Shown(view[0], blank[0])
  pools = {d: pool.create(rules.pool_size, item) for d in models.targets}
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    generators=generators,
    discriminators=player('discriminators', judges),
    ema=jax.tree.map(jnp.copy, generators.params),
    pools=pools if rules.pool_size else {},
    helpers=helpers,
  )


def average(
  ema: PyTree,
  params: PyTree,
  step: Int[Array, ''] | int,
  batch: int,
  halflife: float,
) -> PyTree:
  """Move the average towards the parameters.

  The half-life is in images, so it does not depend on the batch, and grows
  with the run to a twentieth of the images seen (Karras et al. 2022, App. F),
  so that the first steps are forgotten.
  """
  seen = (step + 1) * batch
  halflife = jnp.minimum(halflife, seen / 20.0)
  keep = 0.5 ** (batch / jnp.maximum(halflife, 1e-8))
  return jax.tree.map(lambda a, p: a + (1.0 - keep) * (p - a), ema, params)
