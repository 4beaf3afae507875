"""CutMix for a discriminator that judges every pixel (U-Net GAN).

Schönfeld et al. 2020, §3.2 and §3.3. A mixed image is real where `mix` is 1
and fake where it is 0; the per-pixel head should find the seam.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from echogan_jax import image
from echogan_jax.command import BadInput
from echogan_jax.shapes import Trial, Values, Verdict

Draws = Float[Array, 'batch 4']


def draw(key: Key[Array, ''], batch: int, height: int, width: int) -> Draws:
  """Draw what `boxes` needs, for each example on its own.

  Returns:
    The share of the image outside the box, Beta(1, 1), that is uniform in
    [0, 1); the box's central row, a whole number below `height`; its central
    column; and a uniform number that turns real and fake round above 0.5.
  """
  share, centre, turn = jax.random.split(key, 3)
  sides = jnp.array([height, width])
  centres = jax.random.randint(centre, (batch, 2), 0, sides)
  return jnp.concatenate(
    [
      jax.random.uniform(share, (batch, 1)),
      centres.astype(jnp.float32),
      jax.random.uniform(turn, (batch, 1)),
    ],
    axis=1,
  )


def _between(
  centre: Float[Array, ' batch'], share: Float[Array, ' batch'], side: int
) -> Float[Array, 'batch {side}']:
  # whole pixels as the original counts them: an odd box loses its last one
  half = jnp.floor(side * jnp.sqrt(1.0 - share)) // 2
  places = jnp.arange(side)
  after = places >= (centre - half)[:, None]
  return (after & (places < (centre + half)[:, None])).astype(jnp.float32)


def boxes(
  draws: Draws, height: int, width: int
) -> Float[Array, 'batch {height} {width} 1']:
  """Return masks: 0 in a box and 1 around it, or the other way round.

  The sides of the box are sqrt(1 - share) of the image's, cut at its border.

  Args:
    draws: as `draw` returns them.
    height: rows of the mask.
    width: columns of the mask.
  """
  share, row, column, turn = jnp.split(draws, 4, axis=1)
  rows = _between(row[:, 0], share[:, 0], height)
  columns = _between(column[:, 0], share[:, 0], width)
  box = rows[:, :, None] * columns[:, None, :]
  turned = (turn > 0.5)[:, :, None]
  return jnp.where(turned, box, 1.0 - box)[..., None]


def _heads(verdict: Verdict, trial: Trial) -> tuple[Array, Array]:
  shapes = [logits.shape[1:3] for logits in verdict.logits]
  if shapes != [trial.real_mask.shape[1:3], (1, 1)]:
    raise BadInput(
      'losses.cutmix: needs a discriminator that judges each pixel and the '
      'whole image; choose the U-Net discriminator or set the weight to 0'
    )
  return verdict.logits


def cutmix(
  trial: Trial,
  *,
  augmentation: bool = True,
  consistency: float = 1.0,
  strength: Float[Array, ''] | float = 1.0,
) -> Values:
  """Return what the discriminator pays on the mixed images.

  Augmentation: each pixel should be judged by where it came from, the whole
  image as fake (BCE). Consistency: the map of the mixture should be the
  mixture of the maps (squares of logits, gradient through both sides). Only
  pixels inside the real image's sector count.

  Args:
    trial: with `mixed` and `mix`; verdicts are (per-pixel map, one logit).
    augmentation: whether to add that part.
    consistency: weight of that part.
    strength: warm-up in [0, 1]; scales all but the per-pixel part of the
      augmentation, as the original does.

  Raises:
    BadInput: the discriminator has not these two heads.
  """
  pixels, whole = _heads(trial.mixed, trial)
  real, fake = (_heads(v, trial)[0] for v in (trial.real, trial.fake))
  target = trial.mix * real + (1.0 - trial.mix) * fake
  gap = image.masked_mean((pixels - target) ** 2, trial.real_mask)
  total = strength * consistency * gap
  if augmentation:
    # cross-entropy of logits x with labels m: softplus(x) - m x
    origin = jax.nn.softplus(pixels) - trial.mix * pixels
    total += image.masked_mean(origin, trial.real_mask)
    total += strength * image.mean(jax.nn.softplus(whole))
  return total
