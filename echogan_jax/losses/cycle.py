"""Terms that tie a translation to its source (Zhu et al. 2017)."""

from echogan_jax import image
from echogan_jax.shapes import DOMAINS, Outputs, Values


def cycle(out: Outputs) -> Values:
  """Return the L1 distance of each round trip to its start (Eq. 2)."""
  return sum(image.l1(out.cycled[d], out.real[d]) for d in DOMAINS)


def identity(out: Outputs) -> Values:
  """Return how far a generator moves images of its target (§5.2, L1)."""
  return sum(image.l1(out.same[d], out.real[d]) for d in DOMAINS)
