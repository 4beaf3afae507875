"""The shipped configs, shrunk: real in structure, small in every size."""

import importlib

_steps = {}


def _compiled_once():
  """Let runs of the same networks in this process share one compiled step."""
  from echogan_jax.training import loop

  if loop._game.__module__ == __name__:
    return
  original = loop._game

  def game(config):
    made = original(config)
    parts = [config.model, config.losses, config.state, config.parallel]
    parts += [config.train.alarms, config.data.batch_size, config.data.size]
    key = '\n'.join(map(str, parts))
    return made._replace(run=_steps.setdefault(key, made.run))

  game.__module__ = __name__
  loop._game = game


def shrink(config, data, **train):
  """Make a config trainable in seconds, without changing what it is."""
  config.data.update(dir=str(data), size=32, shuffle_buffer=100)
  model = config.model
  model.resnet.update(features=2, blocks=1)
  for unet in (model.unet, model.resunet, model.casnet, model.unet_gan):
    unet.update(features=2, downs=3)
  model.casnet.blocks = 2
  model.seed_resnet.update(features=2, blocks=1)
  model.patch70.features = model.seed142.features = 2
  model.task.update(features=2, downs=2)
  taps = tuple(tap for tap in model.patches.taps if tap != 'block_4')
  model.patches.update(taps=taps, count=8, features=4)
  config.state.pool_size = min(3, config.state.pool_size)
  config.train.update(
    {'num_steps': 2, 'log_every': 1, 'samples': 1, 'sample_at': (1,)} | train
  )
  config.checkpoint.every = 2
  config.eval.update(every=0, frames=2, perceptual=1)
  config.before = config.after = ()
  return config


def config(data, name='cyclegan', **train):
  _compiled_once()
  module = importlib.import_module(f'configs.{name}')
  return shrink(module.get_config(), data, **train)
