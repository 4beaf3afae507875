"""Terms on what is said and drawn of a study: grades and anatomy.

Two ways to keep a translation anatomically true to its source. The seed's:
heads on the discriminator, after AC-GAN (Odena et al. 2017). Task-GAN's
(Ouyang et al. 2019): a task network reads the translation. No official code
of the latter is public, so formulas follow the papers and are unverified.
"""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Integer

from echogan_jax import image
from echogan_jax.losses.cycle import directions
from echogan_jax.losses.perceptual import distance
from echogan_jax.shapes import (
  GRADES,
  UNDRAWN,
  Outputs,
  Reading,
  Trial,
  Values,
)

Grades = Integer[Array, 'batch 5']  # in the order of GRADES, -1 unknown
Anatomy = Integer[Array, 'batch height width 1']  # tissues, or UNDRAWN


def cumulative(logits: dict[str, Array], grades: Grades) -> Values:
  """Return the cross-entropy of ordinal grades, mean over the known ones.

  The logit k of a head says whether the grade is above k (cumulative logits,
  McCullagh 1980). Grades above a head's highest level count as that level:
  a severe finding under a binary head is a finding.

  Args:
    logits: per name of GRADES, [batch, levels - 1]; an absent name is not
      asked for.
    grades: the truth; unknown ones do not count.

  Returns:
    One value per example; 0 where no grade is known.
  """
  total = known = jnp.zeros(len(grades))
  for name, above in logits.items():
    grade = grades[:, GRADES.index(name), None]
    truth = (grade > jnp.arange(above.shape[1])).astype(jnp.float32)
    entropy = optax.sigmoid_binary_cross_entropy(above, truth)
    there = (grade[:, 0] >= 0).astype(jnp.float32)
    total += there * image.mean(entropy)
    known += there
  return total / jnp.maximum(known, 1.0)


def grades(out: Outputs) -> Values:
  """Return how far the judged grades of each fake are from its source's."""
  return sum(
    cumulative(out.judged[target].grades, out.grades[source])
    for source, target in directions(out.judged)
  )


def grades_judge(trial: Trial) -> Values:
  """Return what a discriminator's heads pay, on real images only."""
  return cumulative(trial.real.grades, trial.grades)


def _drawn_entropy(
  logits: Float[Array, 'batch height width tissues'], anatomy: Anatomy
) -> Values:
  drawn = anatomy != UNDRAWN
  tissue = jnp.where(drawn, anatomy, 0)[..., 0]
  entropy = optax.softmax_cross_entropy_with_integer_labels(logits, tissue)
  return image.masked_mean(entropy[..., None], drawn.astype(jnp.float32))


def task_own(
  reading: Reading, grades: Grades, anatomy: Anatomy | None = None
) -> Values:
  """Return the task network's error: grades plus anatomy per drawn pixel.

  It is trained on real images of both qualities with this, so that quality
  does not fool it.

  Args:
    reading: of the images.
    grades: their truth.
    anatomy: their drawings; without them only the grades count.
  """
  total = cumulative(reading.grades, grades)
  if anatomy is not None:
    total += _drawn_entropy(reading.anatomy, anatomy)
  return total


def task(out: Outputs, *, anatomy: bool = False) -> Values:
  """Return the task network's error on each fake, by its source's truth.

  Args:
    out: the generators' pass.
    anatomy: whether what is drawn counts beside the grades.
  """
  drawn = out.anatomy if anatomy else {}
  return sum(
    task_own(out.read[target], out.grades[source], drawn.get(source))
    for source, target in directions(out.read)
  )


def task_features(out: Outputs) -> Values:
  """Return how far each fake is from its source as the task network sees it.

  Sum over layers of ‖φ_l(fake) - φ_l(source)‖₁ / N_l (Ouyang et al. 2019,
  Med Phys, task-specific perceptual loss); needs no label.
  """
  return sum(
    distance(out.read[target].features, out.read_real[source].features)
    for source, target in directions(out.read)
  )
