"""What a run is at one step: arrays only, exactly what a checkpoint holds."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Int, Key, PyTree

from echogan_jax.models import Models
from echogan_jax.shapes import DOMAINS, GENERATORS
from echogan_jax.training import pool, rng


class Player(struct.PyTreeNode):
  """One side of the game: both generators, or both discriminators.

  Each field is keyed by network: `enhance`, `degrade`; `low`, `high`.
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
  pools: dict[str, pool.Pool]  # earlier fakes, keyed by domain


class Rules(NamedTuple):
  """How a state moves, from `config.state`; never part of the state."""

  generators: optax.GradientTransformation
  discriminators: optax.GradientTransformation
  ema_halflife_images: float
  pool_size: int


def schedule(
  start: float, constant_steps: int, decay_steps: int
) -> optax.Schedule:
  """Return a rate that is constant, then falls linearly to zero.

  Zhu et al. 2017, §4: 100 epochs and 100 epochs; here in steps and without
  the reference code's steps per epoch.
  """

  def rate(count: Int[Array, '']) -> Array:
    decayed = jnp.maximum(count - constant_steps, 0)
    return start * jnp.maximum(1.0 - decayed * (1.0 / max(decay_steps, 1)), 0.0)

  return rate


def rules(
  *,
  learning_rate: float,
  beta1: float,
  beta2: float,
  constant_steps: int,
  decay_steps: int,
  ema_halflife_images: float,
  pool_size: int,
) -> Rules:
  """Build the optimizers from the keywords in `config.state`."""
  rate = schedule(learning_rate, constant_steps, decay_steps)
  adam = optax.adam(rate, b1=beta1, b2=beta2, eps=1e-8)
  return Rules(adam, adam, ema_halflife_images, pool_size)


def create(
  models: Models,
  rules: Rules,
  *,
  key: Key[Array, ''],
  size: int,
) -> TrainState:
  """Draw the initial state; every network from a stream of its own name."""
  blank = jnp.zeros((1, size, size, 1))

  def player(network: Any, names: tuple[str, ...], optimizer: Any) -> Player:
    made = {
      name: network.init(rng.stream(key, f'init/{name}'), blank)
      for name in names
    }
    params = {name: made[name]['params'] for name in names}
    stats = {name: made[name].get('stats', {}) for name in names}
    return Player(params, stats, optimizer.init(params))

  generators = player(models.generator, tuple(GENERATORS), rules.generators)
  discriminators = player(models.discriminator, DOMAINS, rules.discriminators)
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    generators=generators,
    discriminators=discriminators,
    ema=jax.tree.map(jnp.copy, generators.params),
    pools={domain: pool.create(rules.pool_size, size) for domain in DOMAINS},
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
