"""The vector and the scores of the challenge DehazingEcho2025 (MICCAI)."""

from typing import NamedTuple

import numpy as np

# group weights 5:3:2 for picture, tissue and segmentation
_PICTURE, _TISSUE, _SEGMENTATION = 0.5, 0.3, 0.2


class Vector(NamedTuple):
  """What the challenge measures; read it before either score.

  The scores can be gamed: a gamma curve in the cavity and the input's septum
  pasted back won one team six points.

  Attributes:
    fid: to the clean set, InceptionV3; lower is better.
    cnr: of septum (A) and cavity (B), linear; higher is better.
    gcnr: of the same, 0 to 1; higher is better.
    ks_a: change of the septum, which should stay, 0 to 1; lower is better.
    ks_b: change of the cavity, where the haze lies, 0 to 1; higher is better.
    dice: of the left ventricle, 0 to 1; higher is better. None if not known.
    asd: distance of its outline in pixels of 224x224; lower is better. None if
      not known.
  """

  fid: float
  cnr: float
  gcnr: float
  ks_a: float
  ks_b: float
  dice: float | None = None
  asd: float | None = None


def score(vector: Vector) -> float:
  """Return the score that the challenge published, from 0 to 100.

  Every metric counts from a worst to a best value, beyond which it earns
  nothing. Of the two formulas in public this one (Semantic Diffusion PS)
  yields the ranking's numbers: 86.53 for the winner's published 86.55.
  Without a segmentation its 20 points are missed.

  Raises:
    ValueError: only one of Dice and ASD is given.
  """
  picture = (
    0.33 * _ramp(vector.fid, 150, 60)
    + 0.33 * _ramp(vector.cnr, 1.0, 1.5)
    + 0.34 * _ramp(vector.gcnr, 0.5, 0.8)
  )
  tissue = _ramp(vector.ks_a, 0.3, 0.1) + _ramp(vector.ks_b, 0.0, 0.5)
  total = _PICTURE * picture + _TISSUE * tissue / 2
  if _segmented(vector):
    likeness = _ramp(vector.dice, 0.85, 0.95) + _ramp(vector.asd, 2.0, 0.7)
    total += _SEGMENTATION * likeness / 2
  return float(100 * total)


def score_linear(vector: Vector) -> float:
  """Return the organisers' score `for reference only`, without bounds.

  The formula is in no paper: it was reconstructed from values of their code
  for eight vectors, which it yields to rounding. Without a segmentation its
  share is 0, which is more than a poor one earns.

  Raises:
    ValueError: only one of Dice and ASD is given.
  """
  picture = 0.33 * ((1 - vector.fid / 100) + vector.cnr + vector.gcnr)
  tissue = (1 - vector.ks_a) + vector.ks_b
  total = _PICTURE * picture + _TISSUE * tissue / 2
  if _segmented(vector):
    total += _SEGMENTATION * (vector.dice + (1 - vector.asd)) / 2
  return float(100 * total)


def _ramp(value: float, worst: float, best: float) -> float:
  return np.clip((value - worst) / (best - worst), 0, 1)


def _segmented(vector: Vector) -> bool:
  if (vector.dice is None) != (vector.asd is None):
    raise ValueError('Dice and ASD go together: give both or neither')
  return vector.dice is not None
