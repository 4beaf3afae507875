"""Terms on pairs and on edges: what paired data and gradients can say."""

import jax.numpy as jnp
from jaxtyping import Array

from echogan_jax import image
from echogan_jax.command import BadInput
from echogan_jax.losses.cycle import directions
from echogan_jax.shapes import Image, Mask, Outputs, Values


def paired(out: Outputs) -> Values:
  """Return the L1 distance of the enhanced image to its true counterpart.

  For paired data only, where `real['high']` shows what `real['low']` does.
  """
  return image.l1(out.fake['high'], out.real['high'])


def _slopes(x: Image) -> tuple[Array, Array]:
  return x[:, 1:] - x[:, :-1], x[:, :, 1:] - x[:, :, :-1]


def _both_inside(mask: Mask) -> tuple[Array, Array]:
  return mask[:, 1:] * mask[:, :-1], mask[:, :, 1:] * mask[:, :, :-1]


def _correlation(x: Image, y: Image, mask: Mask) -> Values:
  x, y = (z - image.masked_mean(z, mask)[:, None, None, None] for z in (x, y))
  # the floor under each variance keeps the slope of a flat image small
  deviations = [jnp.sqrt(image.masked_mean(z * z, mask) + 1e-6) for z in (x, y)]
  return image.masked_mean(x * y, mask) / (deviations[0] * deviations[1])


def _differential(out: Outputs) -> Values:
  pairs = zip(_slopes(out.fake['high']), _slopes(out.real['high']), strict=True)
  return sum(image.l1(made, true) for made, true in pairs)


def _inconsistency(out: Outputs) -> Values:
  total = 0.0
  for source, target in directions(out.fake):
    axes = zip(
      _slopes(out.real[source]),
      _slopes(out.fake[target]),
      _both_inside(out.mask[source]),
      strict=True,
    )
    total += 1.0 - sum(_correlation(*axis) for axis in axes) / 2
  return total


_FORMS = {'paired': _differential, 'correlation': _inconsistency}


def gradient(out: Outputs, *, form: str = 'paired') -> Values:
  """Return how badly the edges of a translation fit.

  Args:
    out: the generators' pass.
    form: `paired` is the differential loss for paired data, the L1 distance
      of the enhanced image's forward differences to the true image's, rows
      plus columns (Wang et al. 2019; the paper's weight is unverified).
      `correlation` needs no pairs: 1 - the normalised cross-correlation of
      the differences of source and translation inside the sector, mean of
      rows and columns, each direction (Hiasa et al. 2018, unverified against
      their code). A flat image correlates 0.

  Raises:
    BadInput: `form` is neither.
  """
  if form not in _FORMS:
    raise BadInput(f'losses.gradient.form={form}: choose {" or ".join(_FORMS)}')
  return _FORMS[form](out)
