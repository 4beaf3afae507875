"""Distances between sets of pictures: enhanced, input, and two of good ones."""

import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from echogan_jax.data import manifest
from echogan_jax.evaluation import case as cases
from echogan_jax.evaluation.case import Case, Source, stacked
from echogan_jax.metrics import distribution
from echogan_jax.metrics.features import Extractor

# what each extractor's distances are called: FID is InceptionV3's alone
NAMES = {
  'inception': ('fid', 'kid', 'precision', 'recall'),
  'vgg16': ('fd_vgg16', 'kd_vgg16', 'precision_vgg16', 'recall_vgg16'),
  'radiomics': ('fd_radiomics', '', '', ''),
}
_SPLIT = 10  # frames at least in a split of the inception score
_LEAST = 8  # frames and 2 patients in each set


class Good(NamedTuple):
  """High-quality rows in two halves without a common patient."""

  reference: list[manifest.Row]
  floor: list[manifest.Row]


def halves(rows: Sequence[manifest.Row]) -> Good:
  """Deal high-quality patients out to two halves, by a hash of their names."""
  patients = {row['patient'] for row in rows}
  order = sorted(patients, key=lambda name: zlib.crc32(name.encode()))
  first = set(order[::2])
  return Good(
    [row for row in rows if row['patient'] in first],
    [row for row in rows if row['patient'] not in first],
  )


def count(good: Good, low: int, most: int) -> int:
  """Return how many frames each set has: as many as the smallest.

  Raises:
    ValueError: there are too few frames or patients to compare.
  """
  found = min(len(good.reference), len(good.floor), low, most)
  patients = {row['patient'] for row in good.floor}
  if found < _LEAST or len(patients) < 2:
    raise ValueError(
      f'too few: each set needs {_LEAST} frames of 2 patients, good ones twice'
    )
  return found


def measure(
  source: Source, good: Good, low: Sequence[Case], extractor: Extractor
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
  """Return the distances by one extractor and their 95 % intervals.

  Every set has as many frames as `low`; all are compared with the reference
  half of the good ones: `floor`, the other half, is what perfection would
  have, `input` what doing nothing has.
  """
  sets = {'enhanced': _features(low, 'enhanced', extractor)}
  sets['input'] = _features(low, 'input', extractor)
  patients = dict.fromkeys(sets, [case.row['patient'] for case in low])
  for name, rows in good._asdict().items():
    chosen = [rows[n] for n in cases.spread(rows, len(low))]
    frames = cases.read(source, chosen)
    sets[name] = _features(frames, 'input', extractor)
    patients[name] = [row['patient'] for row in chosen]
  reference, known = sets.pop('reference'), patients.pop('reference')
  values, intervals = {}, {}
  for what, made in sets.items():
    pair = reference, made
    if extractor.name == 'radiomics':
      pair = distribution.standardise(*pair)
    for name, metric in _metrics(extractor.name).items():
      key = f'{name}/{what}'
      values[key] = metric(*pair)
      who = np.array(known), np.array(patients[what])
      spread = float(distribution.bootstrap(metric, *pair, patients=who))
      intervals[key] = _interval(values[key], 1.96 * spread, metric)
  if extractor.probabilities:
    splits = min(10, max(1, len(low) // _SPLIT))
    for what in ('input', 'enhanced'):
      chances = extractor.probabilities(sets[what])
      score = distribution.inception_score(chances, splits=splits)
      values[f'is/{what}'] = score[0]
  return values, intervals


def _interval(
  value: float, reach: float, metric: Callable
) -> tuple[float, float]:
  """Return value ± reach as far as the metric can go."""
  least = -np.inf if metric is distribution.mmd else 0.0
  most = 1.0 if metric in (_precision, _recall) else np.inf
  return max(value - reach, least), min(value + reach, most)


def _features(
  low: Sequence[Case], what: str, extractor: Extractor
) -> np.ndarray:
  return extractor.extract(*stacked(low, what, 'inside'))


def _metrics(name: str) -> dict[str, Callable[..., float]]:
  # over all pictures at once: what KID estimates from subsets
  every = (distribution.frechet, distribution.mmd, _precision, _recall)
  return {
    key: metric for key, metric in zip(NAMES[name], every, strict=True) if key
  }


def _precision(real: np.ndarray, made: np.ndarray) -> float:
  return distribution.precision_recall(real, made)[0]


def _recall(real: np.ndarray, made: np.ndarray) -> float:
  return distribution.precision_recall(real, made)[1]
