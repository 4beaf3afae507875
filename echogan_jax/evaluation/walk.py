"""The walk over a split: every frame once, then sets, clips and probes."""

import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import tqdm

from echogan_jax.evaluation import case as cases
from echogan_jax.evaluation import (
  clips,
  compare,
  expectation,
  frame,
  probes,
  sets,
  summary,
)
from echogan_jax.evaluation import judge as judges
from echogan_jax.evaluation.case import Source
from echogan_jax.evaluation.clips import Played
from echogan_jax.evaluation.frame import Sheet
from echogan_jax.evaluation.pictures import Gallery, Shown
from echogan_jax.evaluation.summary import Measured
from echogan_jax.training.enhancer import Enhancer


class Limits(NamedTuple):
  """How much is looked at; 0 leaves a part out.

  Attributes:
    frames: low-quality frames, evenly over patients; None for all.
    perceptual: frames in each set that networks compare.
    clips: whole clips.
    probes: frames that the network is asked about again.
    pictures: cases to look at.
  """

  frames: int | None = None
  perceptual: int = 80
  clips: int = 12
  probes: int = 16
  pictures: int = 9


_ALL = Limits()


class Found(NamedTuple):
  """All that a walk found.

  Attributes:
    summary: what metrics.json says of it.
    measured: every frame.
    clips: whole clips.
    shown: cases to look at.
    expected: how much is changed.
  """

  summary: dict[str, object]
  measured: list[Measured]
  clips: list[Played]
  shown: list[Shown]
  expected: expectation.Expectation | None


def walk(
  model: Enhancer,
  source: Source,
  *,
  limits: Limits = _ALL,
  judge: str | None = None,
  inception: str | None = None,
) -> Found:
  """Measure an enhancer on a split of a data set.

  Args:
    model: what enhances.
    source: the data.
    limits: how much of it.
    judge: file of another judge than the one that comes with the package.
    inception: file of InceptionV3's weights, for FID.

  Raises:
    BadInput: a file is damaged or does not fit.
  """
  rows = cases.rows(source, 'low')
  if limits.frames is not None:
    rows = [rows[n] for n in cases.spread(rows, limits.frames)]
  known = {row['patient'] for row in rows}  # no patient beside himself
  high = [r for r in cases.rows(source, 'high') if r['patient'] not in known]
  good = sets.halves(high)
  reader = judges.load(judge and pathlib.Path(judge))
  extra, intervals = Sheet({}, {}), {}
  extractors = compare.extractors(inception, extra)
  measured, kept, shown = _frames(model, source, rows, limits, reader)
  compared = [kept[n] for n in _few(kept, limits.perceptual)]
  compare.perceptual(compared, measured, extra)
  some = [case for _, case in compared]
  count = compare.distances(source, good, some, extractors, (extra, intervals))
  played = _clips(source, rows, model, reader, limits)
  if limits.probes:
    some = [kept[n][1] for n in _few(kept, limits.probes)]
    chosen = [
      good.reference[n] for n in cases.spread(good.reference, limits.probes)
    ]
    probed = probes.measure(model, some, cases.read(source, chosen))
    extra.reasons.update(probed.reasons)
    for name, value in probed.values.items():
      extra.note(name, value)
  found = {
    'images': len(rows),
    'studies': len({row['study'] for row in rows}),
    'patients': len({row['patient'] for row in rows}),
    'judge_sha256': reader.sha256,
    'extractors': {
      e.name: {'sha256': e.sha256, 'images': count} for e in extractors
    },
    **summary.summarise(measured, played, extra, intervals),
  }
  expected = None
  if kept:
    expected = expectation.calibrate(model, [case for _, case in kept])
  return Found(found, measured, played, shown, expected)


def _frames(
  model: Enhancer,
  source: Source,
  rows: Sequence[dict],
  limits: Limits,
  reader: judges.Judge,
) -> tuple[list[Measured], compare.Kept, list[Shown]]:
  """Measure every frame; keep some for what needs many at once."""
  chosen = set(cases.spread(rows, max(limits.perceptual, limits.probes)))
  gallery = Gallery(len(rows), limits.pictures)
  measured, kept, before = [], [], None
  with _bar(len(rows), 'evaluate', 'frame') as bar:
    for batch in cases.cases(source, rows, model.translate):
      for case, sheet in zip(batch, frame.measure(batch, reader), strict=True):
        flicker = clips.flicker_between(before, case)
        if flicker is not None:
          sheet.note('flicker_added', flicker)
        before = case
        if len(measured) in chosen:
          kept.append((len(measured), case))
        gallery.offer(case, sheet)
        measured.append(Measured(case.row, case.findings, sheet))
        bar.update()
  return measured, kept, gallery.shown()


def _few(kept: compare.Kept, count: int) -> list[int]:
  return cases.spread([case.row for _, case in kept], count)


def _bar(total: int, name: str, unit: str) -> tqdm.tqdm:
  slow = 1.0 if sys.stderr.isatty() else 15.0
  return tqdm.tqdm(total=total, desc=name, unit=unit, mininterval=slow)


def _clips(
  source: Source,
  rows: Sequence[dict],
  model: Enhancer,
  reader: judges.Judge,
  limits: Limits,
) -> list[Played]:
  if source.truth is None or not limits.clips:
    return []
  found: Iterator[Played] = clips.measure(
    source, rows, model.translate, reader, count=limits.clips
  )
  return list(tqdm.tqdm(found, 'clips', total=limits.clips, unit='clip'))
