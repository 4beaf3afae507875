"""The verdict: an evaluation in plain sentences, harm before help."""

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from echogan_jax.page import rules
from echogan_jax.page.records import Evaluation, paired
from echogan_jax.page.words import fact, percent, share, short, signed, span

# what must not get worse, whatever else gets better
GUARDS = {
  'outline': 'outlines of the chambers',
  'ef': 'ejection fraction',
  'findings': 'findings added or hidden',
  'inversion': 'dark turned bright',
}
_GUARDED = {
  'dice': 'outline',
  'asd': 'outline',
  'lv': 'outline',
  'ef': 'ef',
  'inversion': 'inversion',
}
_TITLES = {
  'psnr': 'Nearness to the truth (PSNR)',
  'dice_lv': 'Outline of the left ventricle (Dice)',
  'dice_myocardium': 'Outline of its wall (Dice)',
  'dice_la': 'Outline of the left atrium (Dice)',
  'gcnr': 'Contrast of cavity against wall (gCNR)',
  'ef_bias': 'Ejection fraction, error',
  'lv_area_bias': 'Area of the left ventricle, error',
}


class Line(NamedTuple):
  """One sentence, and what it guards, if anything (of `GUARDS`)."""

  status: rules.Status
  text: str
  guard: str = ''


class Verdict(NamedTuple):
  """What the page says first."""

  tone: Literal['harm', 'help', 'mixed', 'unsure']
  headline: str
  better: list[str]
  worse: list[str]
  unsure: list[str]
  unchecked: list[str]


def verdict(found: Evaluation) -> Verdict:
  """Weigh an evaluation: one harm to what guards the patient decides."""
  told = _told(found)
  lines = [
    *_recovery(found),
    *(_change(found, name) for name in told),
    *_ejection(found),
    *_findings(found),
    *_inversion(found),
  ]
  better, worse, unsure = (
    [line.text for line in lines if line.status == status]
    for status in ('better', 'worse', 'unsure')
  )
  others = [
    f'{name} {signed(change.value)}'
    for name, change in found.changes.items()
    if not (name in told or _guard(name))
    and rules.changed(found, name) == 'better'
  ]
  if others:
    better.append(f'Also better: {", ".join(others)}.')
  checked = {line.guard for line in lines}
  unchecked = [words for key, words in GUARDS.items() if key not in checked]
  harms = dict.fromkeys(
    GUARDS[line.guard]
    for line in lines
    if line.guard and line.status == 'worse'
  )
  tone = _tone(list(harms), better, worse, unchecked)
  return Verdict(*tone, better, worse, unsure, unchecked)


def _tone(
  harms: list[str], better: list[str], worse: list[str], unchecked: list[str]
) -> tuple[str, str]:
  if harms:
    return 'harm', f'It harms: {", ".join(harms)}.'
  if worse and better:
    return 'mixed', 'Some things got better, others worse.'
  if worse:
    return 'mixed', 'Something got worse, and nothing certainly better.'
  if not better:
    return 'unsure', 'Nothing is certain: neither help nor harm was shown.'
  if unchecked:
    return 'unsure', 'It helps; but some harms were not looked for.'
  return 'help', 'It helps, and no harm was shown.'


def _told(found: Evaluation) -> list[str]:
  """Name the metrics that get a sentence of their own, the chief ones first."""
  chief = ('dice_lv', 'gcnr')
  if 'recovery' not in found.metrics:
    chief = ('psnr', *chief)
  names = [name for name in chief if None not in rules.pair(found, name)]
  names += [
    name
    for name in found.changes
    if _guard(name) or rules.changed(found, name) == 'worse'
  ]
  if 'ef' in found.agreement:
    names = [name for name in names if name != 'ef_bias']
  return list(dict.fromkeys(names))


def _guard(name: str) -> str:
  return _GUARDED.get(name.split('_')[0], '')


def _change(found: Evaluation, name: str) -> Line:
  known, change = fact(name), found.changes.get(name)
  text = _TITLES.get(name, ', '.join(filter(None, (name, known.meaning))))
  before, after = rules.pair(found, name)
  if before is not None and after is not None:
    text += f': {short(before)} → {short(after)} {known.unit}'.rstrip()
  if change:
    ends = span(change.low, change.high)
    text += f' (change {signed(change.value)}, {ends})'
  text += _patients(found, name)
  return Line(rules.changed(found, name), f'{text}.', _guard(name))


def _patients(found: Evaluation, name: str) -> str:
  both = paired(found.per_image, name, ('input', 'enhanced'))
  better = fact(name).better
  if not len(both) or not better:
    return ''
  before, after = np.abs(both.T) if better == 'zero' else both.T
  gain = after - before if better == 'higher' else before - after
  text = f', better in {np.sum(gain > 0)} of {len(both)} patients'
  if gain.min() < 0:
    text += f' (in the worst {signed((after - before)[gain.argmin()])})'
  return text


def _recovery(found: Evaluation) -> Iterator[Line]:
  recovered = found.metrics.get('recovery')
  invented = found.metrics.get('invention')
  if recovered is None or invented is None:
    return
  text = f'Undoes {percent(recovered)} of the degradation'
  status = 'unsure'
  if ends := found.intervals.get('recovery'):
    text += f' ({100 * ends[0]:.0f} to {100 * ends[1]:.0f})'
    limits = found.intervals.get('invention', (invented, invented))
    status = rules.undone(ends, limits)
  left = math.hypot(1 - recovered, invented)
  text += (
    f' and invents {percent(invented)} of its size: together '
    f'{percent(abs(1 - left))} {"less" if left < 1 else "more"} error than '
    'the input has'
  )
  yield Line(status, f'{text}.')


def _ejection(found: Evaluation) -> Iterator[Line]:
  kinds = found.agreement.get('ef', {})
  if not {'input', 'enhanced'} <= set(kinds):
    return
  before, after = kinds['input'], kinds['enhanced']
  text = (
    f'Ejection fraction: read {signed(before.value)} points off → '
    f'{signed(after.value)} (single clips {span(before.low, before.high)} → '
    f'{span(after.low, after.high)})'
  )
  status = rules.agreed(before, after)
  if 'ef_error' in found.changes and not rules.wider(before, after):
    # patient by patient is sharper than two biases
    status = rules.changed(found, 'ef_error')
  yield Line(status, f'{text}.', 'ef')


def _findings(found: Evaluation) -> Iterator[Line]:
  phrases = {
    'added': ('added: in', 'patients without it'),
    'removed': ('hidden: in', 'patients who have it'),
  }
  for name, seen in found.findings.items():
    for kind, (verb, who) in phrases.items():
      if kind not in seen.rates:
        continue
      text = f'{name.capitalize()} {verb} {share(seen.rates[kind], who)}'
      others = [
        f'{share(seen.rates[f"{kind}_{what}"])} {where}'
        for what, where in (
          ('input', 'on the input'),
          ('target', 'on the true pictures'),
        )
        if f'{kind}_{what}' in seen.rates
      ]
      if others:
        text += f'; the judge errs so in {" and ".join(others)}'
      yield Line(rules.altered(seen.rates, kind), f'{text}.', 'findings')


def _inversion(found: Evaluation) -> Iterator[Line]:
  value = rules.pair(found, 'inversion')[1]
  if value is None or 'inversion' in found.changes:
    return
  text = f'Dark and bright swapped in {100 * value:.1f} % of the picture'
  ends = found.intervals.get('inversion')
  if ends:
    text += f' ({100 * ends[0]:.1f} to {100 * ends[1]:.1f} %)'
  truth = found.metrics.get('inversion/target', 0.0)
  yield Line(rules.inverted(ends, truth), f'{text}.', 'inversion')
