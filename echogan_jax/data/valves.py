"""The mitral and tricuspid valves: leaflets that turn on their hinges."""

import math

import numpy as np
from jaxtyping import Float, Real

from echogan_jax.data import anatomy, motion

_SHARE = 0.6  # of the annulus, that the septal (anterior) leaflet spans
_CLOSED, _OPENS = math.radians(8), math.radians(64)
_HALF = 0.7  # thickness of a leaflet, mm


def amplitude(
  heart: anatomy.Heart,
  hinges: Float[np.ndarray, '4 2'],
  points: Real[np.ndarray, '*grid 2'],
  phase: float,
) -> Float[np.ndarray, '*grid']:
  """Return the echo amplitude of the leaflets, 0 away from them.

  Args:
    heart: the patient.
    hinges: as in `tissue.Tissue`, at end diastole.
    points: display coordinates at `phase`.
    phase: of the cycle.
  """
  u, v = motion.to_heart(heart, points, phase)
  now = motion.follow(heart, hinges, phase)
  hung = np.stack(motion.to_heart(heart, now, phase), axis=-1)
  turn = _CLOSED + _OPENS * motion.opening(phase)
  sine, cosine = math.sin(turn), math.cos(turn)
  level = 10 ** ((3 + 6 * cosine) / 20)  # closed leaflets face the beam
  total = np.zeros(u.shape, np.float32)
  for septal, free in (hung[:2], hung[2:]):
    span = math.dist(septal, free)
    side = math.copysign(1, free[0] - septal[0])
    for hinge, direction, length in (
      (septal, side, _SHARE * span),
      (free, -side, (1.04 - _SHARE) * span),
    ):
      out, down = direction * (u - hinge[0]), v - hinge[1]
      along, off = out * cosine - down * sine, out * sine + down * cosine
      off = off - 0.3 * along * (length - along) / length
      leaflet = np.exp(-((off / _HALF) ** 2))
      leaflet *= (along > -1) & (along < length)
      total = np.maximum(total, level * leaflet)
  return total
