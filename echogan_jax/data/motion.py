"""How the heart beats: where the material at each point was at end diastole.

The endocardium and the epicardium of the left ventricle scale so that the
drawn volumes come out and the wall keeps its own; everything else follows
them and fades to rest outside the heart.
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Float, Real
from scipy.interpolate import PchipInterpolator

from echogan_jax.data import anatomy

# share of the stroke volume that has left, over one cycle from the R wave
_EJECTED = PchipInterpolator(
  [0, 0.05, 0.2, 0.35, 0.43, 0.52, 0.62, 0.8, 0.93, 1],
  [0, 0.03, 0.65, 1, 1, 0.6, 0.27, 0.22, 0.01, 0],
)
_OPENED = PchipInterpolator(
  [0, 0.03, 0.43, 0.5, 0.56, 0.66, 0.78, 0.86, 0.97, 1],
  [0.1, 0, 0, 0.9, 1, 0.5, 0.4, 0.85, 0.25, 0.1],
)
_TAPSE = 1.3  # excursion of the right ventricle's base over the mitral's


@dataclasses.dataclass(frozen=True)
class Beat:
  """The left ventricle at one phase: half widths, base, cavity length."""

  radius: float
  outer: float
  base: float
  length: float


def opening(phase: float) -> float:
  """Return how far the valves to the ventricles are open, 0 to 1."""
  return float(_OPENED(phase % 1))


def beat(heart: anatomy.Heart, phase: float) -> Beat:
  """Return the left ventricle's shape at a phase of the cycle.

  Args:
    heart: the patient.
    phase: 0 is end diastole, 1 the next.
  """
  ejected = float(_EJECTED(phase % 1))
  base = heart.base - heart.mapse_mm * ejected
  length = base - heart.apical_wall
  full = heart.radius**2 * heart.length
  cavity = full * (1 - heart.ef * ejected)
  wall = heart.outer**2 * heart.base - full
  outer = math.sqrt((wall + cavity) / base)
  return Beat(math.sqrt(cavity / length), outer, base, length)


def _bend(heart: anatomy.Heart, v: np.ndarray) -> np.ndarray:
  return heart.bend_mm * np.sin(v * (math.pi / heart.base))


def _swing(heart: anatomy.Heart, phase: float) -> np.ndarray:
  offset = math.sin(2 * math.pi * phase)
  return np.asarray(heart.swing_mm, np.float32) * offset


def to_heart(
  heart: anatomy.Heart, points: np.ndarray, phase: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
  """Return heart coordinates (u, v) of display points [..., 2]."""
  x, y = np.moveaxis(points - _swing(heart, phase), -1, 0)
  x, y = x - heart.apex_mm[0], y - heart.apex_mm[1]
  sine, cosine = math.sin(heart.tilt), math.cos(heart.tilt)
  u, v = x * cosine - y * sine, x * sine + y * cosine
  return u - _bend(heart, v), v


def to_display(
  heart: anatomy.Heart, u: np.ndarray, v: np.ndarray, phase: float = 0.0
) -> np.ndarray:
  """Return display points [..., 2] of heart coordinates."""
  u = u + _bend(heart, v)
  sine, cosine = math.sin(heart.tilt), math.cos(heart.tilt)
  x = u * cosine + v * sine + heart.apex_mm[0]
  y = v * cosine - u * sine + heart.apex_mm[1]
  return np.stack([x, y], axis=-1) + _swing(heart, phase)


def shells(
  heart: anatomy.Heart, u: np.ndarray, v: np.ndarray, now: Beat
) -> tuple[np.ndarray, np.ndarray]:
  """Return elliptic radii that are 1 on the endocardium and epicardium."""
  share = anatomy.WIDEST
  inner = np.hypot(
    u / now.radius,
    (v - heart.apical_wall - share * now.length) / (share * now.length),
  )
  outer = np.hypot(u / now.outer, (v - share * now.base) / (share * now.base))
  return inner, outer


def _ramp(value: np.ndarray) -> np.ndarray:
  value = np.clip(value, 0, 1)
  return value * value * (3 - 2 * value)


def material(
  heart: anatomy.Heart, points: Real[np.ndarray, '*grid 2'], phase: float
) -> Float[np.ndarray, '*grid 2']:
  """Return where the material at `points` lay at end diastole.

  Args:
    heart: the patient.
    points: display coordinates at `phase`.
    phase: of the cycle.
  """
  u, v = to_heart(heart, points, phase)
  now = beat(heart, phase)
  inner, outer = shells(heart, u, v, now)
  depth = np.maximum(inner - 1, 0)
  depth = depth / (depth + np.maximum(1 - outer, 0) + 1e-6)
  thinner, slimmer = heart.radius / now.radius - 1, heart.outer / now.outer - 1
  reach = np.clip(u, -now.outer, now.outer)
  across = (1 - depth) * u * thinner + depth * reach * slimmer
  longer = heart.base - now.base
  cavity = longer * (v - heart.apical_wall) / now.length
  along = (1 - depth) * cavity + depth * longer * v / now.base
  along = np.where(
    v < now.base,
    np.clip(along, 0, None),
    longer * np.clip((heart.roof - v) / (heart.roof - now.base), 0, 1),
  )
  # the right ventricle's free wall comes inwards and its base goes further
  right = _ramp(-(u + now.outer) / heart.rv_mm)
  squeeze = 0.5 * longer * np.exp(-(((v / now.base - 0.7) / 0.4) ** 2))
  across = (across - right * squeeze) * (1 - _ramp((v - now.base) / 20))
  along = along * (1 + (_TAPSE - 1) * right)
  rest = np.maximum(u - now.outer, 0) + np.maximum(
    -u - now.outer - heart.rv_mm, 0
  )
  held = np.exp(-((rest / 25) ** 2)) * _ramp(1 + v / 15)
  return to_display(heart, u + held * across, v + held * along)


def follow(
  heart: anatomy.Heart, points: Real[np.ndarray, '*grid 2'], phase: float
) -> Float[np.ndarray, '*grid 2']:
  """Return where material that lay at `points` at end diastole is now."""
  found = points
  for _ in range(12):
    found = found + points - material(heart, found, phase)
  return found
