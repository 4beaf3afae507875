"""The seed's idea against hallucination: discriminators that know the heart.

  python -m echogan_jax.main --config=configs/multitask.py \
    --workdir=runs/multitask --config.data.dir=DATA

Heads for LA and RA enlargement, LV and RV size and LVH are trained on real
images (Odena et al. 2017); a translation must keep its study's grades. Grades
are made equally frequent in both domains, or they would tell which is which.
Needs labels.csv to hold grades; blanks are left out of every loss.
"""

from ml_collections import ConfigDict

from configs import cyclegan
from echogan_jax.shapes import GRADES


def get_config() -> ConfigDict:
  """Return CycleGAN with grade heads."""
  config = cyclegan.get_config()
  config.model.heads = True
  config.losses.grades.weight = 1.0
  config.data.balance = GRADES
  return config
