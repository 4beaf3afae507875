"""What a reader draws: likeness of outlines, and the ventricle's volume.

Labels are the phantom's, see `echogan_jax.shapes.TISSUES`.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8
from scipy import ndimage

from echogan_jax.data import anatomy

_STEP = 0.1  # pixels between samples along the ventricle's axis

Region = Bool[np.ndarray, 'height width']


def dice(found: Region, truth: Region) -> float:
  """Return the overlap 2 |A and B| / (|A| + |B|), 0 to 1.

  Raises:
    ValueError: both regions are empty.
  """
  total = found.sum() + truth.sum()
  if not total:
    raise ValueError('Dice of two empty regions')
  return float(2 * (found & truth).sum() / total)


def asd(
  found: Region,
  truth: Region,
  *,
  spacing: float = 1.0,
  outlines: bool = False,
) -> float:
  """Return the average surface distance, in units of `spacing`.

  Mean over the boundary pixels (the region without its erosion) of the
  distance to the other region; the mean of both ways. DehazingEcho2025 takes
  0 for a boundary that lies within the other region, so a region inside the
  other has about half of what its outline is away.

  Args:
    found: one region.
    truth: the other.
    spacing: length of a pixel's side.
    outlines: measure to the other's boundary instead, the usual definition.

  Raises:
    ValueError: a region is empty.
  """
  if not found.any() or not truth.any():
    raise ValueError('surface distance of an empty region')
  pair = found, truth
  edges = [region ^ ndimage.binary_erosion(region) for region in pair]
  targets = edges if outlines else pair
  ways = [
    ndimage.distance_transform_edt(~target)[edge].mean()
    for edge, target in zip(edges, targets[::-1], strict=True)
  ]
  return float(np.mean(ways) * spacing)


def septum(labels: UInt8[np.ndarray, 'height width']) -> Region:
  """Return the myocardium that the right ventricle is nearest to.

  Nearest of all that is neither left ventricle nor myocardium; nothing where
  no right ventricle is drawn.
  """
  heart = np.isin(labels, (anatomy.LEFT_VENTRICLE, anatomy.MYOCARDIUM))
  if not (labels == anatomy.RIGHT_VENTRICLE).any():
    return np.zeros_like(heart)
  row, column = ndimage.distance_transform_edt(
    heart, return_distances=False, return_indices=True
  )
  beyond = labels[row, column] == anatomy.RIGHT_VENTRICLE
  return beyond & (labels == anatomy.MYOCARDIUM)


def largest(mask: Region) -> Region:
  """Return the largest connected part of a region: sides join, corners not."""
  parts, count = ndimage.label(mask)
  if not count:
    return mask
  return parts == 1 + np.bincount(parts.ravel())[1:].argmax()


def volume(ventricle: Region, *, mm: float = 1.0) -> float:
  """Return the single-plane area-length volume in ml, 8 A² / (3 pi L).

  L is the chord along the region's principal axis through its centroid: from
  the apex to the middle of the base. Only the largest part is measured.

  Args:
    ventricle: the left ventricle's cavity in an apical view.
    mm: length of a pixel's side.

  Raises:
    ValueError: the region is empty.
  """
  ventricle = largest(ventricle)
  points = np.argwhere(ventricle)
  if not len(points):
    raise ValueError('volume of an empty ventricle')
  centre = points.mean(axis=0)
  around = points - centre
  axis = np.linalg.eigh(around.T @ around).eigenvectors[:, -1]
  reach = np.arange(-sum(ventricle.shape), sum(ventricle.shape), _STEP)
  line = centre[:, None] + axis[:, None] * reach
  chord = ndimage.map_coordinates(ventricle.astype(float), line, order=1)
  length = chord.sum() * _STEP
  return float(8 * len(points) ** 2 / (3 * np.pi * length) * mm**3 / 1000)


def ejection_fraction(volumes: Sequence[float]) -> float:
  """Return the share of the largest volume that leaves, in percent.

  From the largest and the smallest volume of a beat, so noise raises it.

  Raises:
    ValueError: fewer than two volumes, or none above 0.
  """
  if len(volumes) < 2 or max(volumes) <= 0:
    raise ValueError('an ejection fraction needs two volumes above 0')
  return float(100 * (1 - min(volumes) / max(volumes)))
