"""From sheets to what is reported: means, paired differences, intervals."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from echogan_jax.data import manifest
from echogan_jax.evaluation.case import WHATS
from echogan_jax.evaluation.clips import NO_CLIPS, Played
from echogan_jax.evaluation.frame import Sheet
from echogan_jax.metrics import agreement, dehazing

CHANCE = 'p_'  # before the name of a finding: the judge's probability
_HALF = 0.5


class Measured(NamedTuple):
  """One frame's row, what its patient has, and its sheet."""

  row: manifest.Row
  findings: Mapping[str, bool]
  sheet: Sheet


def summarise(
  measured: Sequence[Measured],
  clips: Sequence[Played],
  extra: Sheet,
  intervals: Mapping[str, tuple[float, float]],
) -> dict[str, dict]:
  """Return what metrics.json holds of the measurement itself.

  Args:
    measured: every frame.
    clips: whole clips.
    extra: what was measured once for all: distances of sets, probes.
    intervals: of those.

  Returns:
    `metrics` (over frames or clips, then over patients), `counts` (frames or
    clips that have one), `changes` (enhanced less input,
    paired by patient), `intervals` (95 %, by patient), `agreement`,
    `findings` and `skipped`.
  """
  found: dict[str, dict] = {
    'metrics': {},
    'counts': {},
    'changes': {},
    'intervals': {},
    'agreement': {},
    'findings': {},
  }
  groups = (
    ([(m.row['patient'], m.sheet) for m in measured], ()),
    ([(c.row['patient'], c.sheet) for c in clips], ('ef',)),
  )
  reasons = dict(extra.reasons)
  for sheets, apart in groups:
    _average(found, sheets, apart)
    for _, sheet in sheets:
      reasons |= sheet.reasons
  _agree(found, clips)
  _look(found, measured, reasons)
  found['metrics'] |= extra.values
  found['intervals'] |= {k: list(v) for k, v in intervals.items()}
  _score(found['metrics'], reasons)
  reasons.setdefault('flicker_added', 'the data hold no neighbouring frames')
  if len(clips) == 1:
    reasons.setdefault('ef_bias', 'a bias needs two clips')
  if not clips:
    for name in ('flicker', 'ef_bias', 'lv_area_bias'):
      reasons.setdefault(name, NO_CLIPS)
  there = {name.partition('/')[0] for name in found['metrics']}
  there |= {'findings'} if found['findings'] else set()
  there |= set(found['metrics'])
  found['metrics'] = dict(sorted(found['metrics'].items()))
  found['skipped'] = {
    name: reason
    for name, reason in sorted(reasons.items())
    if name not in there
  }
  return found


def _average(
  found: dict[str, dict],
  sheets: Sequence[tuple[str, Sheet]],
  apart: Sequence[str],
) -> None:
  """Add means, and what the patients' differences and spread say."""
  names = {name for _, sheet in sheets for name in sheet.values}
  for name in sorted(names):
    metric, _, what = name.partition('/')
    if metric in apart or metric.startswith(CHANCE):
      continue
    own = [(p, s.values[name]) for p, s in sheets if name in s.values]
    found['counts'][name] = len(own)
    each: dict[str, list[float]] = {}
    for patient, value in own:
      each.setdefault(patient, []).append(value)
    found['metrics'][name] = float(np.mean([np.mean(v) for v in each.values()]))
    if not what and len({patient for patient, _ in own}) > 1:
      patients, values = zip(*own, strict=True)
      spread = agreement.interval(values, patients)
      found['intervals'][name] = [spread.low, spread.high]
    before = f'{metric}/input'
    if what == 'enhanced' and before in names:
      pairs = [
        (p, s.values[before], s.values[name])
        for p, s in sheets
        if before in s.values and name in s.values
      ]
      if len({patient for patient, *_ in pairs}) > 1:
        patients, start, end = zip(*pairs, strict=True)
        change = agreement.paired(start, end, patients)
        found['changes'][metric] = change._asdict()


def _agree(found: dict[str, dict], clips: Sequence[Played]) -> None:
  """Add bias and limits of agreement of the ejection fraction and the area."""
  for what in WHATS:
    values = [clip.sheet.values for clip in clips]
    pairs = [
      (v[f'ef/{what}'], v['ef/truth'])
      for v in values
      if f'ef/{what}' in v and 'ef/truth' in v
    ]
    areas = [
      v[f'lv_area_bias/{what}'] for v in values if f'lv_area_bias/{what}' in v
    ]
    for name, some in (('ef', pairs), ('lv_area', [(a, 0.0) for a in areas])):
      if len(some) > 1:
        limits = agreement.bland_altman(*zip(*some, strict=True))
        found['agreement'].setdefault(name, {})[what] = limits._asdict()
        found['metrics'][f'{name}_bias/{what}'] = limits.bias
  for name in ('ef_bias', 'lv_area_bias'):
    if f'{name}/enhanced' in found['metrics']:
      found['metrics'][name] = found['metrics'].pop(f'{name}/enhanced')


def _look(
  found: dict[str, dict],
  measured: Sequence[Measured],
  reasons: dict[str, str],
) -> None:
  """Add how often the judge sees findings, by patient, and wrongly so."""
  measured = [m for m in measured if m.findings]
  for name in sorted({n for m in measured for n in m.findings}):
    seen = {what: _seen(measured, f'{CHANCE}{name}/{what}') for what in WHATS}
    truth = {m.row['patient']: m.findings[name] for m in measured}
    if not seen['enhanced']:
      continue
    entry: dict[str, dict] = {'prevalence': {}}
    entry['prevalence']['truth'] = float(np.mean(list(truth.values())))
    for what, verdicts in seen.items():
      if not verdicts:
        continue
      entry['prevalence'][what] = float(np.mean(list(verdicts.values())))
      suffix = '' if what == 'enhanced' else f'_{what}'
      for kind, having in (('added', False), ('removed', True)):
        those = [p for p in verdicts if truth[p] == having]
        if not those:
          who = 'has' if having else 'is without'
          reasons[f'{name}_{kind}'] = f'no patient {who} the finding'
          continue
        wrong = [verdicts[p] != having for p in those]
        rate = agreement.rate(wrong, those)
        entry[f'{kind}{suffix}'] = rate._asdict()
        if what == 'enhanced':
          found['metrics'][f'{name}_{kind}'] = rate.value
          found['intervals'][f'{name}_{kind}'] = [rate.low, rate.high]
    found['findings'][name] = entry


def _seen(measured: Sequence[Measured], name: str) -> dict[str, bool]:
  """Return for each patient whether a finding is seen in the mean frame."""
  chances: dict[str, list[float]] = {}
  for one in measured:
    if name in one.sheet.values:
      chances.setdefault(one.row['patient'], []).append(one.sheet.values[name])
  return {p: bool(np.mean(some) > _HALF) for p, some in chances.items()}


def _score(metrics: dict[str, float], reasons: dict[str, str]) -> None:
  """Add the scores of DehazingEcho2025, where all that they take is there."""
  for what in ('enhanced', 'input'):
    suffix = '' if what == 'enhanced' else '/input'
    names = [f'{n}/{what}' for n in ('fid', 'cnr_septum', 'gcnr_septum')]
    kept = ['ks_septum', 'ks_cavity']
    segments = [f'{n}/{what}' for n in ('dice_lv', 'asd_lv_224')]
    lacking = [n for n in (*names, *kept, *segments) if n not in metrics]
    if lacking:
      text = f'the score takes {", ".join(n.split("/")[0] for n in lacking)}'
      for name in ('dehazing_score', 'dehazing_score_linear'):
        reasons[f'{name}{suffix}'] = text
      continue
    # doing nothing changes neither region
    ks = [metrics[n] if what == 'enhanced' else 0.0 for n in kept]
    vector = dehazing.Vector(
      *(metrics[n] for n in names), *ks, *(metrics[n] for n in segments)
    )
    metrics[f'dehazing_score{suffix}'] = dehazing.score(vector)
    metrics[f'dehazing_score_linear{suffix}'] = dehazing.score_linear(vector)
