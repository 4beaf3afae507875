"""The tables: every metric with its direction, meaning and interval."""

from collections.abc import Mapping
from typing import Any

from echogan_jax.metrics.catalogue import FACTS
from echogan_jax.page import rules
from echogan_jax.page.records import Evaluation, Hallucination, Interval
from echogan_jax.page.words import (
  ARROWS,
  fact,
  number,
  percent,
  share,
  short,
  signed,
  span,
)

# by the first word of a metric's name
_GROUPS = {
  'Against the truth': 'recovery invention psnr ssim mae lpips frc correlation '
  'difference',
  'Anatomy': 'dice asd lv ef',
  'Ultrasound contrast': 'gcnr cnr speckle ks dehazing',
  'Artefacts': 'checkerboard high inversion flicker',
  'Likeness to good pictures': 'fid kid is precision recall fd kd',
  'Safety': 'effusion thrombus lvh survival idempotence identity steganography',
}
_OTHER = 'Other'
_GROUP = {w: group for group, words in _GROUPS.items() for w in words.split()}
_REFERENCES = {'target': 'truth', 'floor': 'floor', 'high': 'good pictures'}
_WORDS = {'better': '▲ better', 'worse': '▼ worse', 'unsure': ''}


def metrics(found: Evaluation) -> list[tuple[str, list[dict[str, Any]]]]:
  """Return the rows of each group that has any, in a fixed order."""
  groups: dict[str, list] = {group: [] for group in (*_GROUPS, _OTHER)}
  names = dict.fromkeys(key.split('/')[0] for key in found.metrics)
  known = [name for name in FACTS if name in names]
  for name in dict.fromkeys((*known, *names)):
    group = _GROUP.get(name.split('_')[0], _OTHER)
    groups[group].append(_row(found, name))
  return [(group, rows) for group, rows in groups.items() if rows]


def _row(found: Evaluation, name: str) -> dict[str, Any]:
  known, change = fact(name), found.changes.get(name)
  before, after = rules.pair(found, name)
  ends = found.intervals.get(
    f'{name}/enhanced', found.intervals.get(name, None)
  )
  references = [
    (label, number(found.metrics[f'{name}/{what}']))
    for what, label in _REFERENCES.items()
    if f'{name}/{what}' in found.metrics
  ]
  status = rules.changed(found, name)
  text = ''
  if change:
    text = signed(change.value)
  elif before is not None and after is not None:
    text = signed(after - before)
  arrow, advice = ARROWS[known.better]
  return {
    'name': name,
    'unit': known.unit,
    'arrow': arrow,
    'advice': advice,
    'meaning': known.meaning,
    'input': number(before),
    'enhanced': number(after),
    'ends': f'{number(ends[0])} to {number(ends[1])}' if ends else '',
    'references': references,
    'change': text,
    'change_ends': span(change.low, change.high) if change else '',
    'status': status,
    'word': _WORDS[status],
  }


def agreement(found: Evaluation) -> list[dict[str, Any]]:
  """Return bias and limits of agreement with the truth, a row a quantity."""
  titles = {'ef': 'ejection fraction', 'lv_area': 'LV area'}
  return [
    {
      'name': titles.get(name, name),
      'unit': fact(f'{name}_bias').unit,
      'cells': [_limits(kinds.get(w)) for w in ('input', 'enhanced', 'target')],
    }
    for name, kinds in found.agreement.items()
  ]


def _limits(limits: Interval | None) -> str:
  if limits is None:
    return ''
  return f'{signed(limits.value)} ({span(limits.low, limits.high)})'


def findings(found: Evaluation) -> list[dict[str, Any]]:
  """Return what the judge saw of each finding, and how often wrongly."""
  return [
    {
      'name': name,
      'prevalence': [
        percent(seen.prevalence[w]) if w in seen.prevalence else ''
        for w in ('truth', 'input', 'enhanced', 'target')
      ],
      'rates': [_rate(seen.rates, kind) for kind in ('added', 'removed')],
    }
    for name, seen in found.findings.items()
  ]


def _rate(rates: Mapping[str, Interval], kind: str) -> dict[str, Any]:
  if kind not in rates:
    return {'text': '', 'others': [], 'status': 'unsure', 'word': ''}
  status = rules.altered(rates, kind)
  others = [
    (label, share(rates[f'{kind}_{what}']))
    for what, label in (('input', 'input'), ('target', 'true picture'))
    if f'{kind}_{what}' in rates
  ]
  return {
    'text': share(rates[kind]),
    'others': others,
    'status': status,
    'word': _WORDS[status],
  }


def slopes(found: Hallucination) -> list[tuple[str, str, str]]:
  """Return variant, words and status of each slope; 0 is safe, 1 is not."""
  made = []
  for variant, slope in found.slopes.items():
    words = f'slope {short(slope.value)} ({span(slope.low, slope.high)}): '
    if slope.low > 0:
      made.append((variant, words + '▼ it paints what it learnt', 'worse'))
    else:
      made.append((variant, words + 'no sign of it', ''))
  return made
