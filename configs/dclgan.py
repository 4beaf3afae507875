"""DCLGAN (Han et al. 2021): CUT in both directions, an encoder for each.

  python -m echogan_jax.main --config=configs/dclgan.py \
    --workdir=runs/dclgan --config.data.dir=DATA

As the authors' code: a hinge, half of the sum of both adversarial terms,
PatchNCE on four maps (not the pixels), half an L1 identity, no cycle. Networks
and order of the players are CUT's (the order unverified).
"""

from ml_collections import ConfigDict

from configs import cut


def get_config() -> ConfigDict:
  """Return DCLGAN."""
  config = cut.get_config()
  config.model.directions = 'both'
  config.model.patches.update(
    taps=('down_0', 'down_1', 'block_0', 'block_4'), dual=True, identity=False
  )
  config.losses.adversarial.update(weight=0.5, objective='hinge')
  config.losses.patchnce.weight = 1.0  # half of the sum of two, times two
  config.losses.identity.weight = 0.5
  return config
