"""The seed's own recipe: EchoGANhance, after Brownlee's Keras CycleGAN.

  python -m echogan_jax.main --config=configs/seed.py \
    --workdir=runs/seed --config.data.dir=DATA

Where the seed's text and its code differ: the text calls the discriminator a
70x70 PatchGAN of five blocks, the network it prints has a fourth stride-2
layer and sees 142x142 pixels; the printed one is used here. The generator is
its ancestor's (not printed by the seed): blocks that concatenate, and a norm
before the tanh. Where ours differs from both: one step moves both generators,
then both discriminators are moved on that step's fakes (theirs: one network
after the other), and frames are grey.
"""

from ml_collections import ConfigDict

from configs import cyclegan


def get_config() -> ConfigDict:
  """Return the seed's networks, weights, schedule and sampling points."""
  config = cyclegan.get_config()
  config.model.update(generator='seed_resnet', discriminator='seed142')
  # each of two updates, on real and on fake images, is weighted by one half
  config.losses.adversarial.judge_weight = 0.5
  # Adam at 2e-4 throughout: the ancestor does not decay
  config.state.update(constant_steps=200_000, decay_steps=0)
  config.data.augment.zoom = 1.0
  config.train.update(
    num_steps=30_000,
    sample_at=(100, 200, 500, 1000, 5000, 10_000, 20_000, 30_000),
  )
  return config
