"""CUT (Park et al. 2020): one direction, patches against patches.

  python -m echogan_jax.main --config=configs/cut.py \
    --workdir=runs/cut --config.data.dir=DATA

Half of CycleGAN's networks. Places are drawn inside the sector only: the
black beside it is the same everywhere and would be a false negative.
"""

from ml_collections import ConfigDict

from configs import cyclegan


def get_config() -> ConfigDict:
  """Return CUT with its antialiased networks."""
  config = cyclegan.get_config()
  config.model.update(directions='enhance', init='xavier')
  config.model.resnet.update(up='blur', down='blur', down_bias=True)
  config.model.patch70.down = 'blur'
  config.losses.cycle.weight = 0.0
  config.losses.identity.weight = 0.0
  config.losses.patchnce.weight = 1.0
  config.state.update(
    order='judges_first',
    pool_size=0,
    constant_steps=200_000,
    decay_steps=200_000,
  )
  config.train.num_steps = 400_000
  return config
