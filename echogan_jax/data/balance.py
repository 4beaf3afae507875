"""Label-balanced sampling: no grade is more frequent in one domain.

Where it is, a network can tell the domains by the grade, and a generator
learns to draw what the other domain shows more often (Cohen, Luck, Honari
2018).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64, Integer

from echogan_jax.command import BadInput

_SWEEPS, _EXACT, _CLOSE = 2000, 1e-12, 1e-8


def weights(
  labels: Mapping[str, Integer[np.ndarray, '_ grades']], names: Sequence[str]
) -> dict[str, Float64[np.ndarray, ' _']]:
  """Return weights under which every grade is as frequent in each domain.

  Raking, also known as iterative proportional fitting (Deming and Stephan
  1940): the weights of a domain are scaled to the wanted frequencies of one
  grade after the other until all fit. Wanted is the mean of what the domains
  have. `Unknown` is a class like any other, so that a missing label cannot
  give the domain away either. A record with a class that is absent from the
  other domain gets weight 0.

  Args:
    labels: by domain, the classes of each record, one column for each name.
    names: of the grades, for errors.

  Returns:
    by domain, a weight for each record, of mean 1.

  Raises:
    BadInput: nothing is left, or no weights fit all the grades.
  """
  kept = _shared(labels, names)
  left = {domain: labels[domain][keep] for domain, keep in kept.items()}
  wanted = []
  for column in range(len(names)):
    each = [_frequencies(table[:, column]) for table in left.values()]
    wanted.append({k: np.mean([f[k] for f in each]) for k in each[0]})
  result = {}
  for domain, table in left.items():
    raked = np.zeros(len(kept[domain]))
    raked[kept[domain]] = _rake(table, wanted, names, domain)
    result[domain] = raked * (len(raked) / raked.sum())
  return result


def _frequencies(classes: np.ndarray) -> dict[int, float]:
  found, counts = np.unique(classes, return_counts=True)
  return dict(zip(found.tolist(), counts / len(classes), strict=True))


def _shared(
  labels: Mapping[str, np.ndarray], names: Sequence[str]
) -> dict[str, np.ndarray]:
  """Return which records have only classes that every domain has.

  To leave out a record for one grade may empty a class of another: repeat.
  """
  kept = {domain: np.ones(len(t), bool) for domain, t in labels.items()}
  before = -1
  while before != (before := sum(int(keep.sum()) for keep in kept.values())):
    for column, name in enumerate(names):
      seen = [set(labels[d][keep, column].tolist()) for d, keep in kept.items()]
      common = sorted(set.intersection(*seen))
      if not common:
        raise BadInput(
          f'config.data.balance: no class of {name} is left in both domains: '
          f'leave {name} out, or add data'
        )
      for domain, keep in kept.items():
        keep &= np.isin(labels[domain][:, column], common)
  return kept


def _rake(
  table: np.ndarray,
  wanted: Sequence[Mapping[int, float]],
  names: Sequence[str],
  domain: str,
) -> np.ndarray:
  """Return the weights of one domain's records, up to a factor."""
  # records with the same classes have the same weight: rake these few cells
  cells, cell, counts = np.unique(
    table, axis=0, return_inverse=True, return_counts=True
  )
  share, grades = counts / len(table), []
  for column, target in enumerate(wanted):
    classes, place = np.unique(cells[:, column], return_inverse=True)
    grades.append((place, np.array([target[k] for k in classes.tolist()])))
  with np.errstate(invalid='ignore', divide='ignore'):  # told below
    for _ in range(_SWEEPS):
      for place, target in grades:
        share = share * (target / np.bincount(place, share))[place]
      errors = [np.abs(np.bincount(p, share) - t).max() for p, t in grades]
      if max(errors) < _EXACT:
        break
  if not max(errors) < _CLOSE:
    raise BadInput(
      f'config.data.balance: {" and ".join(names)} go together in the {domain} '
      f'domain in a way that cannot be balanced: leave out '
      f'{names[int(np.argmax(errors))]}'
    )
  return (share / counts)[cell.reshape(-1)]


def cumulative(
  weights: Float64[np.ndarray, ' records'],
) -> Float64[np.ndarray, ' records']:
  """Return the running sum C of weights of mean 1, which ends at their number.

  Systematic resampling draws record i floor(C[i] + u) - floor(C[i-1] + u)
  times, for one u uniform on [0, 1): in the mean its weight, never off by 1
  or more, and as many in all as there are records.
  """
  total = np.cumsum(weights)
  # in this order the last is exact, and so is all that follows the last draw
  return total / total[-1] * len(weights)
