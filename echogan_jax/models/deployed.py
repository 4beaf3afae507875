"""What a trained generator does to frames, here and in every exported file."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, PyTree, UInt8

from echogan_jax import image

Frames = UInt8[Array, 'batch height width 1']
Inside = Bool[Array, 'batch height width 1']
Values = Float32[Array, 'batch height width 1']


def apply(
  generator: nn.Module, params: PyTree, frames: Frames, inside: Inside
) -> tuple[Frames, Values]:
  """Return (enhanced, values).

  Args:
    generator: that enhances.
    params: its weights.
    frames: grey levels.
    inside: the sector, which alone may change.

  Returns:
    the values' grey levels inside the sector and the input's own outside;
    and the values, the network's own, in [-1, 1].
  """
  values = generator.apply({'params': params}, image.to_float(frames))
  return jnp.where(inside, image.to_uint8(values), frames), values
