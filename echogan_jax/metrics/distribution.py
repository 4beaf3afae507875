"""Distances between sets of pictures, taken between their features.

Every set is float64 [pictures, features], from one of `features`' extractors.
None of these numbers means anything without the extractor's name and hash and
the number of pictures: compare at equal counts only.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Shaped
from numpy.typing import ArrayLike
from scipy.spatial import distance
from scipy.special import rel_entr

Features = Float[np.ndarray, '_ features']


def standardise(
  reference: Features, *sets: Features
) -> tuple[Float[np.ndarray, '_ kept'], ...]:
  """Return the reference and the sets, in its units of deviation.

  For features of unlike units. Those that do not vary over the reference are
  dropped: no distance along them has a unit. Those that hardly do (how black
  a cavity is) would drown the others, so beyond about one deviation the scale
  is logarithmic: arsinh of the standard score.

  Raises:
    ValueError: no feature varies.
  """
  mean, deviation = reference.mean(0), reference.std(0)
  varies = deviation > 1e-9 * np.abs(reference).max(0)
  if not varies.any():
    raise ValueError('all pictures of the reference have the same features')
  return tuple(
    np.arcsinh((x - mean)[:, varies] / deviation[varies])
    for x in (reference, *sets)
  )


def frechet(x: Features, y: Features) -> float:
  """Return the squared Fréchet distance of the two sets as Gaussians.

  |mean difference|² + Tr(A + B - 2 (AB)^½) of covariances A and B over N - 1
  (Heusel et al. 2017); 'FID' only of InceptionV3 of 2015. Tr (AB)^½ is the
  nuclear norm of X Yᵀ, centred, so no matrix root is taken and singular
  covariances are no special case. Too few pictures raise it: say how many.

  Raises:
    ValueError: a set has fewer than two pictures.
  """
  _require(2, x, y)
  gap = x.mean(0) - y.mean(0)
  # R of X = QR has X's covariance and at most as many rows as features
  a, b = (
    np.linalg.qr(s - s.mean(0), mode='r') / np.sqrt(len(s) - 1) for s in (x, y)
  )
  shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
  found = gap @ gap + np.sum(a * a) + np.sum(b * b) - 2 * shared
  return max(float(found), 0.0)


def mmd(x: Features, y: Features) -> float:
  """Return the squared maximum mean discrepancy, negative by chance or not.

  Unbiased; with the kernel (x·y / features + 1)³ (Bińkowski et al. 2018).

  Raises:
    ValueError: a set has fewer than two pictures.
  """
  _require(2, x, y)
  xx, yy, xy = (
    (a @ b.T / x.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y))
  )
  within = ((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (xx, yy))
  return float(sum(within) - 2 * xy.mean())


def kernel_distance(
  x: Features,
  y: Features,
  *,
  subsets: int = 100,
  size: int = 1000,
  seed: int = 0,
) -> float:
  """Return the mean `mmd` of random subsets: 'KID' only of InceptionV3.

  Args:
    x: one set.
    y: the other.
    subsets: how many to draw; sets no larger than a subset need none.
    size: pictures of a subset, fewer where a set has fewer.
    seed: of the draw.

  Raises:
    ValueError: a set has fewer than two pictures.
  """
  size = min(size, len(x), len(y))
  if len(x) == len(y) == size:
    return mmd(x, y)
  draw = np.random.default_rng(seed).choice
  return float(
    np.mean(
      [
        mmd(*(s[draw(len(s), size, replace=False)] for s in (x, y)))
        for _ in range(subsets)
      ]
    )
  )


def inception_score(
  probabilities: Float[np.ndarray, '_ classes'], *, splits: int = 10
) -> tuple[float, float]:
  """Return mean and deviation of exp E KL(p(class | x) || p(class)).

  Of consecutive splits of equal size, what is over left out (Salimans et al.
  2016). Its classes are ImageNet's: uninformative for echocardiograms.

  Raises:
    ValueError: there are fewer pictures than splits.
  """
  _require(splits, probabilities)
  size = len(probabilities) // splits
  parts = probabilities[: size * splits].astype(np.float64)
  parts = parts.reshape(splits, size, -1)
  divergence = rel_entr(parts, parts.mean(1, keepdims=True)).sum(2)
  scores = np.exp(divergence.mean(1))
  return float(scores.mean()), float(scores.std())


def precision_recall(
  real: Features, made: Features, *, k: int = 3
) -> tuple[float, float]:
  """Return the share of `made` among `real`, and of `real` among `made`.

  A picture is among others if it is no farther from one of them than that
  one's k-th neighbour (Kynkäänniemi et al. 2019). Low recall: all results
  look alike.

  Raises:
    ValueError: a set has no more than `k` pictures.
  """
  _require(k + 1, real, made)
  across = distance.cdist(real, made, 'sqeuclidean')

  def radii(x: np.ndarray) -> np.ndarray:
    within = distance.cdist(x, x, 'sqeuclidean')
    return np.partition(within, k, axis=1)[:, k]  # the nearest is itself

  precision = (across <= radii(real)[:, None]).any(0).mean()
  recall = (across <= radii(made)).any(1).mean()
  return float(precision), float(recall)


def bootstrap(
  statistic: Callable[..., ArrayLike],
  *sets: Features,
  patients: Sequence[Shaped[np.ndarray, ' _']],
  times: int = 50,
  seed: int = 0,
) -> Float[np.ndarray, '...']:
  """Return a statistic's standard deviation over resampled patients.

  Patients are drawn with replacement in each set, with all their pictures:
  those of one patient are alike and count as one. The 95 % interval is
  value ± 1.96 deviations. A percentile interval would be off: a picture drawn
  twice makes a set narrower, which raises every distance.

  Args:
    statistic: of as many sets as are given, of any number of pictures.
    *sets: one or more sets.
    patients: whose each picture is, one array per set.
    times: resamples.
    seed: of the draw.

  Raises:
    ValueError: a set has fewer than two patients.
  """
  random = np.random.default_rng(seed)
  rows = [
    [np.flatnonzero(owner == p) for p in np.unique(owner)] for owner in patients
  ]
  if min(map(len, rows)) < 2:
    raise ValueError('a bootstrap over patients needs two or more in each set')

  def resample() -> list[np.ndarray]:
    picks = [random.integers(len(own), size=len(own)) for own in rows]
    return [
      x[np.concatenate([own[i] for i in pick])]
      for x, own, pick in zip(sets, rows, picks, strict=True)
    ]

  found = [statistic(*resample()) for _ in range(times)]
  return np.asarray(np.std(found, axis=0, ddof=1))


def _require(least: int, *sets: np.ndarray) -> None:
  count = min(map(len, sets))
  if count < least:
    raise ValueError(f'{count} pictures, and {least} or more are needed')
