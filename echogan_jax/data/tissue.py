"""What the heart and its surroundings are made of, at end diastole.

`draw` rasterises labels and echogenicity once; every frame looks them up at
the place where its material was.
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Float, Real, UInt8
from scipy import ndimage

from echogan_jax.data import anatomy, motion

STEP = 0.4  # mm between points of the raster
_LEFT, _WIDTH, _HEIGHT = -130.0, 260.0, 215.0
_BLOOD, _FIBRE, _PERICARDIUM = -38.0, -4.0, 17.0  # dB
_RIM = 0.5  # mm
_SQUARE = 2.6  # exponent of the atria's outline, 2 for an ellipse
_CENTRE = 8.0  # mm from the display's top up to a usual sector's centre


@dataclasses.dataclass(frozen=True)
class Tissue:
  """The patient at end diastole, on a raster of display coordinates.

  Attributes:
    label: the phantom's mask values.
    amplitude: echo amplitude, 1 for average myocardium.
    hinges: display points where the mitral and tricuspid leaflets hang.
  """

  label: UInt8[np.ndarray, 'rows columns']
  amplitude: Float[np.ndarray, 'rows columns']
  hinges: Float[np.ndarray, '4 2']

  def labels_at(
    self, points: Real[np.ndarray, '*grid 2']
  ) -> UInt8[np.ndarray, '*grid']:
    """Return the labels nearest to material `points`."""
    row, column = _place(points, self.label.shape)
    nearest = np.rint(row).astype(int), np.rint(column).astype(int)
    return self.label[nearest]

  def amplitude_at(
    self, points: Real[np.ndarray, '*grid 2']
  ) -> Float[np.ndarray, '*grid']:
    """Return the echo amplitude at material `points`, bilinear."""
    places = np.stack(_place(points, self.label.shape))
    return ndimage.map_coordinates(self.amplitude, places, order=1)


def _place(
  points: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
  row = np.clip(points[..., 1] / STEP, 0, shape[0] - 1)
  column = np.clip((points[..., 0] - _LEFT) / STEP, 0, shape[1] - 1)
  return row, column


def smooth_noise(
  rng: np.random.Generator, shape: tuple[int, ...], scale: float
) -> Float[np.ndarray, '*shape']:
  """Return unit-variance Gaussian noise that varies over `scale` samples."""
  coarse = [max(4, math.ceil(2 * n / scale)) for n in shape]
  noise = rng.standard_normal(coarse, dtype=np.float32)
  zoom = [n / c for n, c in zip(shape, coarse, strict=True)]
  noise = ndimage.zoom(noise, zoom, order=3, mode='nearest', grid_mode=True)
  return noise / noise.std()


def _far(region: np.ndarray) -> np.ndarray:
  return ndimage.distance_transform_edt(~region) * STEP


def _regions(
  heart: anatomy.Heart, u: np.ndarray, v: np.ndarray
) -> UInt8[np.ndarray, 'rows columns']:
  inner, outer = motion.shells(heart, u, v, motion.beat(heart, 0))
  above = v < heart.base
  shell = (outer < 1) & (v < heart.base + 2)
  span = heart.rv_mm + 0.29 * heart.outer
  right = np.hypot(
    (u + 0.5 * heart.outer) / span,
    (v - 0.9 * heart.base) / (0.68 * heart.base),
  )
  wall = heart.septum + 0.06 * (v - heart.base)  # between the atria
  label = np.zeros(u.shape, np.uint8)
  half, deep = heart.right_atrium
  atrium = _superellipse(u - wall + 1.5 + half, v - heart.tricuspid, half, deep)
  free = ~shell & (u < wall - 1.5)
  label[atrium & free & (v > heart.tricuspid)] = anatomy.RIGHT_ATRIUM
  half, deep = heart.left_atrium
  atrium = _superellipse(u - wall - 1.5 - half, v - heart.base, half, deep)
  label[atrium & ~above & (u > wall + 1.5)] = anatomy.LEFT_ATRIUM
  label[(right < 1) & ~shell & (v < heart.tricuspid) & (u < 0)] = (
    anatomy.RIGHT_VENTRICLE
  )
  label[shell & above] = anatomy.MYOCARDIUM
  label[(inner < 1) & above] = anatomy.LEFT_VENTRICLE
  return label


def _superellipse(
  u: np.ndarray, v: np.ndarray, half: float, deep: float
) -> np.ndarray:
  middle, reach = 0.42 * deep, 0.58 * deep
  across, along = np.abs(u / half), np.abs((v - middle) / reach)
  return across**_SQUARE + along**_SQUARE < 1


def _facing(depth: np.ndarray, points: np.ndarray) -> np.ndarray:
  """Return |cos| of the angle between the beam and the gradient of depth."""
  down, side = np.gradient(ndimage.gaussian_filter(depth, 3))
  x, y = points[..., 0], points[..., 1] + _CENTRE
  scale = np.hypot(down, side) * np.hypot(x, y) + 1e-6
  return np.abs(x * side + y * down) / scale


def draw(heart: anatomy.Heart, rng: np.random.Generator) -> Tissue:
  """Return the patient's tissue at end diastole.

  Args:
    heart: the drawn sizes.
    rng: for the slow variation of echogenicity and the ragged borders.
  """
  x = _LEFT + STEP * np.arange(round(_WIDTH / STEP), dtype=np.float32)
  y = STEP * np.arange(round(_HEIGHT / STEP), dtype=np.float32)
  points = np.stack(np.meshgrid(x, y), axis=-1)
  u, v = motion.to_heart(heart, points)
  label = _regions(heart, u, v)
  level = _level(heart, rng, label, points)
  ragged = np.stack(
    [smooth_noise(rng, label.shape, 9 / STEP) for _ in range(2)]
  )
  grid = np.indices(label.shape, np.float32) + ragged * (0.6 / STEP)
  level = ndimage.map_coordinates(level, grid, order=1, mode='nearest')
  edge = anatomy.BASE * heart.radius
  near = (label == anatomy.RIGHT_VENTRICLE) & (v > heart.tricuspid - 2)
  right = u[near].min()
  hinges = motion.to_display(
    heart,
    np.array([-edge, edge, -edge - heart.wall_mm, right]),
    np.array([heart.base] * 2 + [heart.tricuspid] * 2),
  )
  return Tissue(label, 10 ** (level / 20), hinges)


def _level(
  heart: anatomy.Heart,
  rng: np.random.Generator,
  label: np.ndarray,
  points: np.ndarray,
) -> Float[np.ndarray, 'rows columns']:
  """Return echogenicity in dB, mean over speckle."""
  u, v = motion.to_heart(heart, points)
  slow = [smooth_noise(rng, label.shape, scale / STEP) for scale in (14, 30)]
  right = _far(label == anatomy.RIGHT_VENTRICLE) < heart.rv_wall_mm
  atria = (label == anatomy.LEFT_ATRIUM) | (label == anatomy.RIGHT_ATRIUM)
  whole = (label > 0) | right | (_far(atria) < 2.5)
  whole = _far(~(_far(whole) < 8)) > 8  # closing fills crux and grooves
  wall = (label == anatomy.MYOCARDIUM) | (right & whole)
  # fibres along the beam scatter less: the side walls fade
  _, shell = motion.shells(heart, u, v, motion.beat(heart, 0))
  muscle = 1.5 * slow[0] + 2 * slow[1] - 5 * (1 - _facing(shell, points) ** 2)
  fossa = np.exp(-(((v - heart.base - 22) / 9) ** 2)) * (np.abs(u) < 40)
  level = np.where(wall, muscle, _FIBRE + 3 * slow[0] - 8 * fossa)
  # the beam's width brings a wall's echo half a width into the cavity
  blood = (label > 0) & (label != anatomy.MYOCARDIUM)
  level = np.where(_far(blood) < _RIM, _BLOOD, level)
  level = _inclusions(heart, level, u, v, muscle)
  edge = ndimage.gaussian_filter(blood.astype(np.float32), 1.2 / STEP)
  rim = np.exp(-(((edge - 0.25) / 0.2) ** 2)) * ~blood
  level += 7 * rim * _facing(edge, points) ** 4
  return _surround(heart, level, whole, points, slow)


def _surround(
  heart: anatomy.Heart,
  level: np.ndarray,
  whole: np.ndarray,
  points: np.ndarray,
  slow: list[np.ndarray],
) -> Float[np.ndarray, 'rows columns']:
  """Add lung, mediastinum, pericardium and fluid around the heart."""
  u, v = motion.to_heart(heart, points)
  out = _far(whole)
  facing = _facing(out - _far(~whole), points)
  behind = np.clip((v - heart.roof) / 6, 0, 1) * np.clip(1 - abs(u) / 60, 0, 1)
  lung = -13 - 0.14 * out + 3 * slow[0] + 5 * slow[1] + 9 * behind
  level = np.where(whole, level, lung)
  # behind the atria the pericardium is thin and holds little fluid
  thin = np.clip((v - heart.base) / 12, 0, 1)
  around = np.arctan2(u + heart.radius, 0.7 * heart.base - v)
  share = 0.65 + 0.3 * np.cos(around - 1.5) + 0.05 * slow[1] - 0.4 * thin
  fluid = heart.effusion_mm * np.clip(share, 0.1, 1)
  level = np.where((out > 0) & (out < fluid), _BLOOD, level)
  bright = _PERICARDIUM * (0.45 + 0.55 * facing**4) + 4 * slow[0] - 11 * thin
  sac = np.maximum(level, bright - 8 * (out - fluid - 1) ** 2)
  return np.where(whole, level, sac)


def _inclusions(
  heart: anatomy.Heart,
  level: np.ndarray,
  u: np.ndarray,
  v: np.ndarray,
  muscle: np.ndarray,
) -> Float[np.ndarray, 'rows columns']:
  """Add the papillary muscle, the moderator band and any thrombus."""
  half, middle = heart.thrombus_mm / 2, 0.5 * heart.base
  lean = u + heart.outer + 6 + 0.7 * (v - middle)
  apical = heart.apical_wall + 0.7 * half
  for across, along, wide, long, fainter in (
    (u - 0.86 * heart.radius, v - middle, 2.5, 8, 6),
    (lean, v - middle, 1.6, 14, 9),
    (u - 0.15 * heart.radius, v - apical, 1.2 * half, half, 3),
  ):
    if wide:
      inside = np.hypot(across / wide, along / long) < 1
      inside &= level < _BLOOD + 1
      level = np.where(inside, muscle - fainter, level)
  return level
