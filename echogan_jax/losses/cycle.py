"""Terms that tie a translation to its source (Zhu et al. 2017)."""

from collections.abc import Container

from echogan_jax import image
from echogan_jax.shapes import GENERATORS, Outputs, Values


def directions(present: Container[str]) -> list[tuple[str, str]]:
  """Return (source, target) of each translation whose target is present.

  Args:
    present: domains, such as the keys of `Outputs.fake`; a one-sided system
      has only `high`.
  """
  return [pair for pair in GENERATORS.values() if pair[1] in present]


def cycle(out: Outputs) -> Values:
  """Return the L1 distance of each round trip to its start (Eq. 2)."""
  return sum(image.l1(out.cycled[d], out.real[d]) for d in out.cycled)


def identity(out: Outputs) -> Values:
  """Return how far a generator moves images of its target (§5.2, L1)."""
  return sum(image.l1(out.same[d], out.real[d]) for d in out.same)
