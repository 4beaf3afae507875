"""Enhance a clip as it is played: constant memory, however long it is."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from echogan_jax.data import persistence, sector, text
from echogan_jax.data.clip import Clip, Film, Frame, luma
from echogan_jax.data.reject import Rejected
from echogan_jax.training.enhancer import BATCH, Enhancer

Crop = UInt8[np.ndarray, 'size size']


class Options(NamedTuple):
  """How a clip is enhanced.

  Attributes:
    strength: from 0, the input, to 1, the full change.
    persistence: average over time where nothing moves.
    keep_outside: leave what is outside the sector, burned-in names included.
    allow_text: go on where text lies inside the sector.
  """

  strength: float = 1.0
  persistence: bool = True
  keep_outside: bool = False
  allow_text: bool = False


class Shot(NamedTuple):
  """One frame on its way.

  Attributes:
    source: as it may leave: grey and black outside the sector, or with
      `keep_outside` as it came.
    made: the same, enhanced inside the sector.
    before: what the network saw.
    after: what it made of that.
  """

  source: Frame
  made: Frame
  before: Crop
  after: Crop


class Treatment(NamedTuple):
  """A clip that is being enhanced.

  Attributes:
    sector: what is enhanced of each frame.
    blanked: whether nothing in the pixels names anyone: the outside is
      cleared, and text was looked for inside and not found.
    shots: every frame in turn, once.
  """

  sector: sector.Sector
  blanked: bool
  shots: Iterator[Shot]


def enhance(film: Film, model: Enhancer, options: Options) -> Treatment:
  """Find the sector, look for text, and enhance each frame as it is asked for.

  Raises:
    BadInput: there is no sector.
    Rejected: `text_in_sector`.
  """
  fan = sector.find(film.clip)
  blanked = _nameless(film.clip, fan.mask(), options)
  return Treatment(fan, blanked, _shots(film, fan, model, options))


def _nameless(
  clip: Clip, inside: Bool[np.ndarray, 'height width'], options: Options
) -> bool:
  """Return whether it is known that the pixels name nobody."""
  if options.keep_outside or options.allow_text or not text.available():
    return False
  black = np.zeros((), np.uint8)
  if text.search(np.where(inside, clip.grey, black), inside):
    detail = 'text inside the sector may name someone: --allow_text goes on'
    raise Rejected('text_in_sector', detail)
  return True


def _shots(
  film: Film, fan: sector.Sector, model: Enhancer, options: Options
) -> Iterator[Shot]:
  inside, black = fan.mask(), np.uint8(0)
  # one iterator runs ahead by what persistence waits for, no more
  first, ahead = itertools.tee(_whole(film, fan, model))
  full = (shot.made for shot in ahead)
  if options.persistence:
    spaces = np.diff(film.times)
    interval = float(np.median(spaces)) if spaces.size else 0.0
    full = persistence.smooth(full, fan.box[2], interval=interval)
  for shot, made in zip(first, full, strict=True):
    grey = luma(shot.source[None])[0]
    kept = options.keep_outside
    source = shot.source if kept else np.where(inside, grey, black)
    change = options.strength * (made.astype(np.float32) - grey)
    level = np.rint(grey + change)[inside].astype(np.uint8)
    result = source.copy()
    result[inside] = level[:, None] if result.ndim == 3 else level
    yield Shot(source, result, shot.before, shot.after)


def _whole(film: Film, fan: sector.Sector, model: Enhancer) -> Iterator[Shot]:
  """Yield the frames as they came, and in grey at full strength."""
  small = sector.crop_mask(fan, model.size)
  frames = film.play()
  while batch := list(itertools.islice(frames, BATCH)):
    grey = luma(np.stack(batch))
    before = sector.crop(grey, fan, model.size)
    after = model.translate(before, small)
    made = sector.paste(before, after, fan, grey)
    yield from map(Shot, batch, made, before, after)
