"""Hidden maps of a network, by name, computed no further than asked."""

from collections.abc import Iterator

from echogan_jax.command import BadInput
from echogan_jax.models.layers import Map

Names = tuple[str, ...]
Maps = Iterator[tuple[str, Map]]  # a network, map by named map


def follow(maps: Maps, taps: Names, depths: Names) -> Map | tuple[Map, ...]:
  """Run a network that yields its named maps, only as far as asked.

  Args:
    maps: the network, lazily: hidden maps and at last its output.
    taps: names of the maps to return, in the order to return them.
    depths: the names there are; BadInput if a tap is not among them.

  Returns:
    The output where there are no taps, else the maps.
  """
  for tap in taps:
    if tap not in depths:
      raise BadInput(f'no tap {tap}: choose among {", ".join(depths)}')
  found = {}
  for name, y in maps:
    if name in taps:
      found[name] = y
      if len(found) == len(set(taps)):
        return tuple(found[tap] for tap in taps)
  return y
