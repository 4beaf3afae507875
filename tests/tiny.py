"""The shipped configs, shrunk: real in structure, small in every size."""

import importlib


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
  module = importlib.import_module(f'configs.{name}')
  return shrink(module.get_config(), data, **train)
