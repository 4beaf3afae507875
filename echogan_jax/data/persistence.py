"""Persistence: frames averaged over time where nothing moves.

Scanners have it under this name. Here it keeps what a network draws from frame
to frame, and the noise that it left, from flickering. The weights are those
of a bilateral filter (Tomasi and Manduchi 1998) along time: of two frames k
apart, exp(-k²/2s² - d²/2t²), d the difference of their local means, so that
noise is averaged and a wall or a valve that moves is not smeared. The heart
moves in milliseconds, not in frames: what lies further apart counts less.
"""

import collections
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8
from scipy import ndimage

# Chosen on phantoms of 24 frames a beat: see the README
_FRAMES = 1.0  # s, but
_PERIOD = 40.0  # milliseconds at most
_RADIUS = 3  # frames to either side
_TAU = 6.0  # grey levels between local means
_WINDOWS = 14  # of the local means to a side of the sector

Grey = UInt8[np.ndarray, 'height width']
Level = Float32[np.ndarray, 'height width']


class _Moment(NamedTuple):
  """A frame that still waits for later ones."""

  frame: Grey
  mean: Level
  total: Level
  weight: Level


def smooth(
  frames: Iterable[Grey], side: int, *, interval: float
) -> Iterator[Grey]:
  """Yield as many frames, three behind those that come in.

  Args:
    frames: one clip.
    side: of the sector's square in pixels of the frames: the local means are
      over a fourteenth of it.
    interval: from frame to frame in milliseconds.
  """
  waiting: collections.deque[_Moment] = collections.deque()
  window = max(side // _WINDOWS, 3)
  sigma = min(_FRAMES, _PERIOD / max(interval, 1e-3))
  for frame in frames:
    level = frame.astype(np.float32)
    mean = ndimage.uniform_filter(level, window)
    new = _Moment(frame, mean, level, np.ones_like(level))
    for apart, old in enumerate(reversed(waiting), 1):
      far = np.float32(apart / sigma) ** 2
      share = np.exp(-(far + ((mean - old.mean) / _TAU) ** 2) / 2)
      _add(new, share, old.frame)
      _add(old, share, frame)
    waiting.append(new)
    if len(waiting) > _RADIUS:
      yield _settled(waiting.popleft())
  yield from map(_settled, waiting)


def _add(to: _Moment, share: Level, frame: Grey) -> None:
  np.add(to.total, share * frame, out=to.total)
  np.add(to.weight, share, out=to.weight)


def _settled(moment: _Moment) -> Grey:
  return np.rint(moment.total / moment.weight).astype(np.uint8)
