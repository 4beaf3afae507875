"""What a config is built into; config stops here."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from echogan_jax import losses, models
from echogan_jax.data import pipeline
from echogan_jax.training import (
  alarm,
  combination,
  parallel,
  rng,
  state,
  step,
)


class Built(NamedTuple):
  """All that training calls, and no state.

  Attributes:
    models: the networks.
    step: the pure step.
    run: it, compiled: (state, batches, key) -> (state, metrics).
    create: () -> state.
    batches: (start_step=, share=) -> iterator of batches.
    alarms: when to stop.
  """

  models: models.Models
  step: step.Step
  run: Callable
  create: Callable
  batches: Callable
  alarms: alarm.Alarms


def build(config: ConfigDict) -> Built:
  """Build networks, objective, step and input of a config.

  Raises:
    BadInput: its parts do not fit together.
  """
  made = models.create(config.model.to_dict())
  made = made._replace(remat=config.parallel.remat)
  combination.check(config.to_dict(), made)
  objective = losses.build(config.losses.to_dict())
  models.check_size(made, config.data.size, objective.needs)
  alarms = alarm.create(
    config.train.alarms.to_dict(), config.losses.adversarial.objective
  )
  resting = alarms.collapse == 'skip' and np.isfinite(alarms.judge)
  rules = state.rules(**config.state)._replace(
    skip_nonfinite=alarms.nonfinite == 'skip',
    rest_below=alarms.judge if resting else None,
    rest_after=alarms.after,
  )
  data = config.data.to_dict()
  extras = objective.needs & {'grades', 'anatomy'}
  extras |= {'anatomy'} if made.conditioned else set()
  pure = step.make(made, objective, rules)
  return Built(
    models=made,
    step=pure,
    run=parallel.compile(
      pure, mode=config.parallel.mode, batch_size=data['batch_size']
    ),
    create=functools.partial(
      state.create,
      made,
      rules,
      key=rng.stream(rng.root(config.seed), 'init'),
      size=data['size'],
      needs=objective.needs,
    ),
    batches=functools.partial(
      pipeline.batches, **data, extras=extras, seed=config.seed
    ),
    alarms=alarms,
  )
