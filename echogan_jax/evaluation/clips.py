"""What shows only over a beat: flicker, areas, the ejection fraction."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from echogan_jax.data import annotation, manifest, persistence
from echogan_jax.data.sector import Sector
from echogan_jax.evaluation import truth
from echogan_jax.evaluation.case import Case, Source, Translate, turns
from echogan_jax.evaluation.frame import LV, Sheet
from echogan_jax.evaluation.judge import Judge, ejection
from echogan_jax.metrics import segmentation, temporal

NO_CLIPS = 'no whole clips: pass --truth with what phantom wrote'


class Played(NamedTuple):
  """A whole clip, what was made of it, and what was measured.

  Attributes:
    row: of one of its frames in the manifest.
    truth: the clip.
    enhanced: its frames, enhanced.
    sheet: metrics of the clip.
    areas: of the ventricle in cm², frame by frame, true and as drawn.
  """

  row: manifest.Row
  truth: truth.Truth
  enhanced: np.ndarray
  sheet: Sheet
  areas: dict[str, list[float]]


def measure(
  source: Source,
  rows: Sequence[manifest.Row],
  translate: Translate,
  reader: Judge | None,
  *,
  count: int,
) -> Iterator[Played]:
  """Yield up to `count` clips of the rows' patients, one of each first.

  They are what `enhance` delivers: averaged over time where nothing moves.
  """
  done = 0
  for row in _first_of_clips(rows):
    if done == count:
      return
    path = annotation.of(source.truth, row['source_sha256'])
    place = Sector.from_json(row['sector'])
    whole = path and truth.read(path, place, source.size)
    if not whole:
      continue
    done += 1
    inside = np.broadcast_to(whole.inside, whole.input.shape)
    drawn = translate(whole.input, inside)
    played = persistence.smooth(drawn, source.size, interval=whole.frame_time)
    enhanced = np.stack(list(played))
    sheet = Sheet({}, {})
    seen = {
      'input': whole.input,
      'enhanced': enhanced,
      'target': whole.target,
    }
    for what, frames in seen.items():
      sheet.add(
        f'flicker/{what}',
        temporal.flicker,
        *(frames, whole.displacement, whole.inside),
      )
    areas = {}
    if reader:
      areas = _beat(
        sheet, whole, {w: (f, inside) for w, f in seen.items()}, reader
      )
    yield Played(row, whole, enhanced, sheet, areas)


def _first_of_clips(rows: Sequence[manifest.Row]) -> list[manifest.Row]:
  """Return a row of each clip, clips of new patients before further ones."""
  clips = {row['source_sha256']: row for row in reversed(rows)}
  first = list(reversed(clips.values()))
  order = zip(turns([row['patient'] for row in first]), first, strict=True)
  return [row for _, row in sorted(order, key=lambda one: one[0])]


def _beat(
  sheet: Sheet,
  whole: truth.Truth,
  seen: dict[str, tuple[np.ndarray, np.ndarray]],
  reader: Judge,
) -> dict[str, list[float]]:
  """Compare the drawn ventricle with the true one over the clip."""
  true = whole.labels == LV
  area, unit = true.sum((1, 2)), whole.mm**2 / 100
  areas = {'truth': (area * unit).tolist()}
  sheet.add('ef/truth', ejection, true)
  for what, pair in seen.items():
    found = np.stack(
      [segmentation.largest(t == LV) for t in reader.read(*pair)[0]]
    )
    sheet.add(f'ef/{what}', ejection, found)
    both = [sheet.values.get(f'ef/{w}') for w in (what, 'truth')]
    if None not in both:
      sheet.note(f'ef_error/{what}', abs(both[0] - both[1]))
    drawn = found.sum((1, 2))
    areas[what] = (drawn * unit).tolist()
    if area.all():
      excess = 100 * (drawn - area) / area
      sheet.note(f'lv_area_bias/{what}', excess.mean())
  return areas


def flicker_between(before: Case | None, after: Case) -> float | None:
  """Return what the change flickers by between two neighbours of a clip."""
  if before is None or before.row['clip'] != after.row['clip']:
    return None
  if int(after.row['frame']) != int(before.row['frame']) + 1:
    return None
  pairs = [
    np.stack([getattr(case, what) for case in (before, after)])
    for what in ('input', 'enhanced')
  ]
  return temporal.flicker_added(*pairs, after.inside)
