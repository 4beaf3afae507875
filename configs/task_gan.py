"""Task-GAN for unpaired data (after Ouyang et al. 2019, MLMIR).

  python -m echogan_jax.main --config=configs/task_gan.py \
    --workdir=runs/task_gan --config.data.dir=DATA

A task network, trained on real images of both domains, judges the enhanced
image for its own study's grades, and by the distance of its features. Set
losses.task.anatomy where chambers are drawn (ingest --annotations): it then
segments as well. The paper is paired and its weights are not published; those
here are ours.
"""

from ml_collections import ConfigDict

from configs import cyclegan
from echogan_jax.shapes import GRADES


def get_config() -> ConfigDict:
  """Return CycleGAN with a task network as second critic."""
  config = cyclegan.get_config()
  config.losses.task.weight = 1.0
  config.losses.task_features.weight = 1.0
  config.data.balance = GRADES
  return config
