"""The shipped configs, shrunk: real in structure, small in every size."""

import importlib


def shrink(config, data, **train):
  """Make a config trainable in seconds, without changing what it is."""
  config.data.update(dir=str(data), size=32, shuffle_buffer=100)
  config.model.resnet.update(features=2, blocks=1)
  config.model.unet.update(features=2, downs=3)
  config.model.patch70.features = 2
  config.model.seed142.features = 2
  config.state.pool_size = 3
  config.train.update(
    {'num_steps': 2, 'log_every': 1, 'samples': 1, 'sample_at': (1,)} | train
  )
  config.checkpoint.every = 2
  config.eval.pictures = 2
  config.before = config.after = ()
  return config


def config(data, name='cyclegan', **train):
  module = importlib.import_module(f'configs.{name}')
  return shrink(module.get_config(), data, **train)
