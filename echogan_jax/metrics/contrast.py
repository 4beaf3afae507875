"""How well two tissues can be told apart."""

import numpy as np
from jaxtyping import Num

_BINS = 256


def gcnr(
  first: Num[np.ndarray, ' pixels'], second: Num[np.ndarray, ' others']
) -> float:
  """Return the generalised contrast-to-noise ratio, from 0 to 1.

  One minus the overlap of the two histograms (Rodriguez-Molares et al. 2020,
  Eq. 9), 256 shared bins over the pooled range. No monotone change of grey
  levels moves it, so contrast stretching cannot fake it.

  Raises:
    ValueError: a region is empty.
  """
  if not first.size or not second.size:
    raise ValueError('gCNR of an empty region')
  pooled = (
    min(first.min(), second.min()),
    max(first.max(), second.max()),
  )
  shares = [
    np.histogram(region, _BINS, pooled)[0] / region.size
    for region in (first, second)
  ]
  return float(1.0 - np.minimum(*shares).sum())
