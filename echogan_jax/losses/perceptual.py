"""Terms on hidden features, after MedGAN and Cycle-MedGAN.

Armanious et al. 2020 (paired) and 2019 (a round trip against its start, as
here). All layers weigh alike; the papers' constants are unverified.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from echogan_jax import image
from echogan_jax.command import BadInput
from echogan_jax.shapes import Outputs, Values

Features = tuple[Float[Array, 'batch _ _ _'], ...]
_Pair = tuple[Features, Features]


def wide(x: Array) -> Array:
  """Return the array in float32 at least, for sums of bfloat16 features."""
  return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def distance(x: Features, y: Features) -> Values:
  """Return the mean absolute difference of each layer, summed over layers."""
  return sum(
    image.mean(jnp.abs(wide(a) - wide(b))) for a, b in zip(x, y, strict=True)
  )


def gram(x: Float[Array, 'batch h w d']) -> Float[Array, 'batch d d']:
  """Return FᵀF / (h w d), which features occur together, not where."""
  x = wide(x).reshape(len(x), -1, x.shape[-1])
  return jnp.einsum('bpi,bpj->bij', x, x) / (x.shape[1] * x.shape[2])


def _round_trips(out: Outputs, term: str, source: str) -> list[_Pair]:
  """Pair the features of each cycled image with those of the real one."""
  if source == 'judge':
    return [
      (out.judged_cycled[d].features, out.judged_real[d].features)
      for d in out.judged_cycled
    ]
  if source == 'vgg16':
    return [(out.seen_cycled[d], out.seen_real[d]) for d in out.seen_cycled]
  raise BadInput(f'losses.{term}.source={source}: choose judge or vgg16')


def perceptual(out: Outputs, *, source: str = 'judge') -> Values:
  """Return how far a round trip moves an image as a network sees it.

  Sum over layers of ‖F_i(cycled) - F_i(real)‖₁ / (h w d), each direction.

  Args:
    out: the generators' pass.
    source: whose features: `judge`, the domain's discriminator, or `vgg16`.

  Raises:
    BadInput: `source` is neither.
  """
  pairs = _round_trips(out, 'perceptual', source)
  return sum(distance(cycled, real) for cycled, real in pairs)


def style(out: Outputs, *, source: str = 'judge') -> Values:
  """Return how far a round trip changes an image's texture.

  Sum over layers of ‖gram(cycled) - gram(real)‖² / (4 d²), each direction
  (Gatys et al. 2016, in MedGAN's scaling).

  Args:
    out: the generators' pass.
    source: as for `perceptual`.

  Raises:
    BadInput: `source` is neither.
  """
  total = 0.0
  for cycled, real in _round_trips(out, 'style', source):
    for a, b in zip(cycled, real, strict=True):
      # 1/d² is in the mean over the d x d entries
      total += image.mean((gram(a) - gram(b)) ** 2) / 4
  return total
