"""Texture without a network: what radiologists' texture analysis looks at.

In the style of the Image Biomarker Standardisation Initiative, with its names,
but neither it nor pyradiomics to the number: bins are fixed, and every
quantity is of one slice and of the sector alone.
"""

import itertools

import numpy as np
from jaxtyping import Bool, Float64, UInt8

_LEVELS = 16  # grey levels of a co-occurrence, each 16 of the picture's
_DISTANCES = (1, 2, 4)  # pixels
_DIRECTIONS = ((0, 1), (1, 1), (1, 0), (1, -1))
_BANDS = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)  # cycles per pixel
_LEAST = 64  # pixels of a spectrum: one bin or more in the lowest band
_ROUNDING = 1 / 12  # variance of rounding to a grey level

_FIRST_ORDER = (
  *('mean', 'deviation', 'skewness', 'kurtosis', 'entropy', 'uniformity'),
  *('percentile_10', 'percentile_50', 'percentile_90'),
)
_TEXTURE = ('contrast', 'correlation', 'energy', 'homogeneity', 'entropy')
NAMES = (
  *_FIRST_ORDER,
  *(f'{name}_{d}' for d, name in itertools.product(_DISTANCES, _TEXTURE)),
  *('gradient_mean', 'gradient_deviation'),
  *(f'power_db_{round(1 / low)}' for low in _BANDS[:-1]),
)


def radiomics(
  frames: UInt8[np.ndarray, 'batch height width'],
  inside: Bool[np.ndarray, 'batch height width'],
) -> Float64[np.ndarray, 'batch features']:
  """Measure texture inside the sector, in the order of NAMES.

  First-order statistics of grey levels; co-occurrence of 16 levels (Haralick
  et al. 1973) 1, 2 and 4 pixels apart, the mean of four directions, pairs with
  both pixels inside only; gradient magnitude; power in five octaves of
  spatial frequency. Entropies are in bits, kurtosis is 0 for a normal law.

  Raises:
    ValueError: a sector is too small to have pairs in every direction.
  """
  found = [
    np.concatenate([f(frame, sector) for f in _PARTS])
    for frame, sector in zip(frames, inside, strict=True)
  ]
  return np.reshape(found, (len(frames), len(NAMES)))


def _first_order(frame: np.ndarray, sector: np.ndarray) -> np.ndarray:
  levels = frame[sector].astype(np.float64)
  if not levels.size:
    raise ValueError('texture of an empty sector')
  mean, deviation = levels.mean(), levels.std()
  score = (levels - mean) / (deviation or 1.0)
  kurtosis = np.mean(score**4) - 3 if deviation else 0.0
  share = np.bincount(frame[sector], minlength=256) / levels.size
  return np.array(
    [
      *(mean, deviation, np.mean(score**3), kurtosis),
      *(_entropy(share), np.sum(share**2)),
      *np.percentile(levels, (10, 50, 90)),
    ]
  )


def _co_occurrence(frame: np.ndarray, sector: np.ndarray) -> np.ndarray:
  """Count how often two levels are neighbours, for each offset."""
  level = frame.astype(np.intp) * _LEVELS // 256
  counts = []
  for far, (down, right) in itertools.product(_DISTANCES, _DIRECTIONS):
    first, second = _shifted(far * down), _shifted(far * right)
    here, there = zip(first, second, strict=True)
    both = sector[here] & sector[there]
    pairs = (level[here] * _LEVELS + level[there])[both]
    counts.append(np.bincount(pairs, minlength=_LEVELS**2))
  return np.reshape(counts, (-1, _LEVELS, _LEVELS))


def _shifted(step: int) -> tuple[slice, slice]:
  """Return where pixels and those `step` farther lie along an axis."""
  if step < 0:
    return slice(-step, None), slice(None, step)
  return slice(None, -step or None), slice(step, None)


def _texture(frame: np.ndarray, sector: np.ndarray) -> np.ndarray:
  counts = _co_occurrence(frame, sector)
  counts = counts + counts.transpose(0, 2, 1)
  total = counts.sum((1, 2), keepdims=True)
  if not total.all():
    raise ValueError(
      f'texture needs pixels {_DISTANCES[-1]} apart in all directions'
    )
  share = counts / total
  level = np.arange(_LEVELS)
  apart = (level[:, None] - level) ** 2
  # symmetric, so both pixels of a pair have one mean and one variance
  marginal = share.sum(2)
  mean = marginal @ level
  variance = marginal @ level**2 - mean**2
  product = share.reshape(len(share), -1) @ np.outer(level, level).ravel()
  flat = variance < 1e-9
  found = (
    np.sum(share * apart, (1, 2)),
    np.where(flat, 1.0, (product - mean**2) / np.where(flat, 1.0, variance)),
    np.sqrt(np.sum(share**2, (1, 2))),
    np.sum(share / (1 + apart), (1, 2)),
    _entropy(share.reshape(len(share), -1)),
  )
  directions = (len(_DISTANCES), len(_DIRECTIONS))
  return np.stack([f.reshape(directions).mean(1) for f in found], 1).ravel()


def _gradient(frame: np.ndarray, sector: np.ndarray) -> np.ndarray:
  level = frame.astype(np.float64)
  down = (level[2:, 1:-1] - level[:-2, 1:-1]) / 2
  right = (level[1:-1, 2:] - level[1:-1, :-2]) / 2
  whole = sector[1:-1, 2:] & sector[1:-1, :-2]
  whole &= sector[2:, 1:-1] & sector[:-2, 1:-1]
  if not whole.any():
    raise ValueError('a gradient needs neighbours on all sides')
  steepness = np.hypot(down, right)[whole]
  return np.array([steepness.mean(), steepness.std()])


def _bands(frame: np.ndarray, sector: np.ndarray) -> np.ndarray:
  """Return the mean power of each band in dB over that of rounding."""
  rows, columns = (np.flatnonzero(sector.any(axis)) for axis in (1, 0))
  box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
  sector = sector[box]
  window = np.outer(*(np.hanning(n + 2)[1:-1] for n in sector.shape)) * sector
  level = frame[box] - np.sum(frame[box] * window) / window.sum()
  shape = [max(_LEAST, n) for n in sector.shape]
  power = np.abs(np.fft.fft2(level * window, shape)) ** 2
  power /= _ROUNDING * np.sum(window**2)
  rows, columns = map(np.fft.fftfreq, shape)
  radius = np.hypot(rows[:, None], columns)
  band = np.digitize(radius, _BANDS)
  wanted = range(1, len(_BANDS))
  return 10 * np.log10([power[band == i].mean() + 1 for i in wanted])


def _entropy(share: np.ndarray) -> np.ndarray | float:
  return -np.sum(share * np.log2(np.where(share > 0, share, 1.0)), -1)


_PARTS = (_first_order, _texture, _gradient, _bands)
