"""Least-squares adversarial terms (Mao et al. 2017), as CycleGAN uses them."""

from echogan_jax import image
from echogan_jax.shapes import Outputs, Values, Verdict


def _distance(verdict: Verdict, label: float) -> Values:
  maps = [image.mean((logits - label) ** 2) for logits in verdict.logits]
  return sum(maps) / len(maps)


def lsgan(out: Outputs) -> Values:
  """Return the generators' side: each fake should be judged 1.

  Zhu et al. 2017, Eq. 1 with squares; both directions, no factor of 0.5.
  """
  return sum(_distance(verdict, 1.0) for verdict in out.judged.values())


def lsgan_judge(real: Verdict, fake: Verdict) -> Values:
  """Return one discriminator's side, halved to slow it down (ibid., §4)."""
  return 0.5 * (_distance(real, 1.0) + _distance(fake, 0.0))
