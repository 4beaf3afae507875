"""FastCUT (Park et al. 2020): CUT without the second pass, ten times the NCE.

  python -m echogan_jax.main --config=configs/fastcut.py \
    --workdir=runs/fastcut --config.data.dir=DATA

Flip equivariance mirrors the generator's input in half of the steps and the
result back: the discriminator, unlike the original's, never sees a mirrored
heart.
"""

from ml_collections import ConfigDict

from configs import cut


def get_config() -> ConfigDict:
  """Return FastCUT."""
  config = cut.get_config()
  config.model.patches.update(identity=False, flip=True)
  config.losses.patchnce.weight = 10.0
  config.state.update(constant_steps=150_000, decay_steps=50_000)
  config.train.num_steps = 200_000
  return config
