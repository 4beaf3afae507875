"""Frequency terms of UltraGAN (Escobar et al. 2020), on Laplacian pyramids."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from echogan_jax import image
from echogan_jax.command import BadInput
from echogan_jax.losses.cycle import directions
from echogan_jax.shapes import Outputs, Values

Map = Float[Array, 'batch _ _ channels']

_BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def _filter(side: int) -> np.ndarray:
  """Return the filter along one axis as a matrix; the border mirrors."""
  padded = np.pad(np.eye(side), ((2, 2), (0, 0)), 'reflect')
  shifted = [w * padded[i : i + side] for i, w in enumerate(_BINOMIAL)]
  return np.sum(shifted, axis=0, dtype=np.float32)


def _apply(rows: np.ndarray, columns: np.ndarray, x: Map) -> Map:
  # matrices compile and run many times faster than filters of one channel
  return jnp.einsum('ih,jw,bhwc->bijc', rows, columns, x, precision='highest')


def _down(x: Map) -> Map:
  return _apply(*(_filter(n)[::2] for n in x.shape[1:3]), x)


def _up(x: Map) -> Map:
  # zeros between the pixels, filtered, at twice the strength per axis
  return _apply(*(2.0 * _filter(2 * n)[:, ::2] for n in x.shape[1:3]), x)


def pyramid(x: Map, levels: int) -> tuple[tuple[Map, ...], tuple[Map, ...]]:
  """Split into frequency bands (Burt and Adelson 1983).

  Args:
    x: both sides multiples of 2 ** levels and at least twice that.
    levels: number of bands, from the finest on, each of half the size.

  Returns:
    Per level, what the 5x5 binomial filter loses (`laplacian`) and what it
    keeps (`gaussian`); the two add up to the level's image.

  Raises:
    BadInput: the sides do not halve that often.
  """
  step, sides = 2**levels, x.shape[1:3]
  if levels < 1 or any(n % step or n < 2 * step for n in sides):
    raise BadInput(
      f'losses.laplacian.levels={levels}: takes 1 or more, and sides that are '
      f'multiples of {step} from {2 * step} pixels, not {sides[0]}x{sides[1]}; '
      'change data.size or the levels (also of losses.gaussian)'
    )
  lost, kept = [], []
  for _ in range(levels):
    smaller = _down(x)
    kept.append(_up(smaller))
    lost.append(x - kept[-1])
    x = smaller
  return tuple(lost), tuple(kept)


def _gap(x: tuple[Map, ...], y: tuple[Map, ...]) -> Values:
  return sum(image.l1(a, b) for a, b in zip(x, y, strict=True))


def laplacian(out: Outputs, *, levels: int = 3) -> Values:
  """Return how much detail each round trip loses.

  Sum over the levels of the L1 distance of the high-frequency bands of the
  cycled and of the real image.

  Args:
    out: the generators' pass.
    levels: of the pyramid.

  Raises:
    BadInput: the image does not halve that often.
  """
  return sum(
    _gap(pyramid(out.cycled[d], levels)[0], pyramid(out.real[d], levels)[0])
    for d in out.cycled
  )


def gaussian(out: Outputs, *, levels: int = 3) -> Values:
  """Return how far a translation is from its way back at low frequencies.

  Sum over the levels of the L1 distance of the low-frequency bands of the
  fake and of its source's reconstruction.

  Args:
    out: the generators' pass.
    levels: of the pyramid.

  Raises:
    BadInput: the image does not halve that often.
  """
  total = 0.0
  for source, target in directions(out.fake):
    fake, back = out.fake[target], out.cycled[source]
    total += _gap(pyramid(fake, levels)[1], pyramid(back, levels)[1])
  return total
