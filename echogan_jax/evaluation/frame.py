"""Every metric of single frames that a case allows."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from echogan_jax.evaluation import judge
from echogan_jax.evaluation.case import Case, stacked
from echogan_jax.metrics import (
  artifacts,
  change,
  contrast,
  fidelity,
  resolution,
  segmentation,
)
from echogan_jax.shapes import DRAWN

LV, MYOCARDIUM = DRAWN['lv'], DRAWN['myocardium']
JUDGED = {name: DRAWN[name] for name in ('lv', 'myocardium', 'la')}

_DEHAZING = 224  # pixels to a side where DehazingEcho2025 measures
NO_TRUTH = 'no paired truth: pass --truth'
_NO_LABELS = 'no tissues are drawn: pass --truth, or ingest --annotations'
_NO_FINDINGS = 'nobody says what the patients have: pass --truth'

# (frames, truths, insides) -> one value a frame
_FIDELITY: dict[str, Callable[..., np.ndarray]] = {
  'psnr': fidelity.psnr,
  'ssim': fidelity.ssim,
  'mae': fidelity.mae,
}
# (frame, inside) -> one value
_ARTIFACTS: dict[str, Callable[..., float]] = {
  'checkerboard_db': artifacts.checkerboard_db,
  'high_frequency_db': artifacts.high_frequency_db,
}
# (input, enhanced, inside) -> one value
_CHANGE: dict[str, Callable[..., float]] = {
  'correlation': change.correlation,
  'difference': change.difference,
  'inversion': artifacts.inversion,
}
# (input, enhanced, target, region) -> one value
_TOWARDS: dict[str, Callable[..., float]] = {
  'recovery': change.recovery,
  'invention': change.invention,
}
# (pixels of the myocardium, of the cavity) -> one value
_CONTRAST: dict[str, Callable[..., float]] = {
  'gcnr': contrast.gcnr,
  'cnr': contrast.cnr,
  'cnr_db': contrast.cnr_db,
}
_DRAWN_ONLY = ('cnr_septum', 'gcnr_septum', 'speckle_snr', 'asd_lv_224')
_DRAWN_ONLY += ('ks_septum', 'ks_cavity')


class Sheet(NamedTuple):
  """What was measured of one frame or clip, and why other things were not."""

  values: dict[str, float]
  reasons: dict[str, str]

  def add(self, name: str, metric: Callable, *arguments: object) -> None:
    """Write down a metric, or why it is not defined here."""
    try:
      value = float(metric(*arguments))
    except ValueError as error:
      self.reasons[name] = ' '.join(str(error).split())
      return
    self.note(name, value)

  def note(self, name: str, value: float) -> None:
    """Write down a value unless it is infinite."""
    if np.isfinite(value):
      self.values[name] = float(value)
    elif np.isnan(value):
      self.reasons[name] = 'not defined here'
    else:
      self.reasons[name] = 'infinite: the pictures are equal'


def measure(
  cases: Sequence[Case], reader: judge.Judge | None = None
) -> list[Sheet]:
  """Return a sheet for each of some cases, which are measured together."""
  sheets = [Sheet({}, {}) for _ in cases]
  for sheet, case in zip(sheets, cases, strict=True):
    _alone(sheet, case)
    if case.target is not None:
      _towards(sheet, case)
    if case.labels is not None:
      _tissues(sheet, case)
    _reasons(sheet, case)
  _fidelity(sheets, cases)
  if reader:
    _judged(sheets, cases, reader)
  return sheets


def _alone(sheet: Sheet, case: Case) -> None:
  for name, metric in _ARTIFACTS.items():
    for what, frame in case.seen.items():
      sheet.add(f'{name}/{what}', metric, frame, case.inside)
  for name, metric in _CHANGE.items():
    sheet.add(name, metric, case.input, case.enhanced, case.inside)


def _towards(sheet: Sheet, case: Case) -> None:
  turned = artifacts.inversion, case.input, case.target, case.inside
  sheet.add('inversion/target', *turned)
  trio = case.input, case.enhanced, case.target
  regions = {'': case.inside}
  if case.labels is not None:
    regions |= {f'_{n}': case.labels == t for n, t in DRAWN.items()}
  for name, metric in _TOWARDS.items():
    for suffix, region in regions.items():
      region = region & case.inside
      if region.any():
        sheet.add(f'{name}{suffix}', metric, *trio, region)


def _tissues(sheet: Sheet, case: Case) -> None:
  wall, cavity = (
    case.inside & (case.labels == tissue) for tissue in (MYOCARDIUM, LV)
  )
  septum = segmentation.septum(case.labels) & case.inside
  for what, frame in case.seen.items():
    for name, metric in _CONTRAST.items():
      sheet.add(f'{name}/{what}', metric, frame[wall], frame[cavity])
    for name in ('cnr', 'gcnr'):  # DehazingEcho's region A is the septum
      pair = frame[septum], frame[cavity]
      sheet.add(f'{name}_septum/{what}', _CONTRAST[name], *pair)
    sheet.add(f'speckle_snr/{what}', contrast.speckle_snr, frame[wall])
  for name, region in (('ks_septum', septum), ('ks_cavity', cavity)):
    pair = case.input[region], case.enhanced[region]
    sheet.add(name, contrast.ks, *pair)
    if case.target is not None:
      goal = case.target[region]
      sheet.add(f'{name}/target', contrast.ks, case.input[region], goal)


def _reasons(sheet: Sheet, case: Case) -> None:
  if case.target is None:
    for name in (*_FIDELITY, *_TOWARDS, 'frc', 'lpips'):
      sheet.reasons[name] = NO_TRUTH
  if case.labels is None:
    for name in (*_CONTRAST, *_DRAWN_ONLY):
      sheet.reasons[name] = _NO_LABELS
    for name in JUDGED:
      for kind in ('dice', 'asd'):
        sheet.reasons[f'{kind}_{name}'] = _NO_LABELS
  if not case.findings:
    sheet.reasons['findings'] = _NO_FINDINGS


def _fidelity(sheets: Sequence[Sheet], cases: Sequence[Case]) -> None:
  """Compare with the truth, all frames that have one at once."""
  found = [n for n, case in enumerate(cases) if case.target is not None]
  if not found:
    return
  target, inside = stacked([cases[n] for n in found], 'target', 'inside')
  for what in ('input', 'enhanced'):
    (frames,) = stacked([cases[n] for n in found], what)
    for name, metric in _FIDELITY.items():
      for n, value in zip(found, metric(frames, target, inside), strict=True):
        sheets[n].note(f'{name}/{what}', value)
    for n, *trio in zip(found, frames, target, inside, strict=True):
      sheets[n].add(f'frc/{what}', _frc, *trio)


def _frc(frame: np.ndarray, truth: np.ndarray, inside: np.ndarray) -> float:
  return resolution.frc(frame[None], truth[None], inside[None])[0]


def _judged(
  sheets: Sequence[Sheet], cases: Sequence[Case], reader: judge.Judge
) -> None:
  """Let the judge draw and look for findings, where the truth is known."""
  for what in ('input', 'enhanced', 'target'):
    known = [
      n
      for n, case in enumerate(cases)
      if what in case.seen and (case.labels is not None or case.findings)
    ]
    if not known:
      continue
    drawn = reader.read(*stacked([cases[n] for n in known], what, 'inside'))
    for n, tissues, chances in zip(known, *drawn, strict=True):
      if cases[n].labels is not None:
        _overlaps(sheets[n], cases[n], tissues, what)
      for name, chance in zip(reader.findings, chances, strict=True):
        sheets[n].note(f'p_{name}/{what}', chance)


def _overlaps(sheet: Sheet, case: Case, tissues: np.ndarray, what: str) -> None:
  for name, tissue in JUDGED.items():
    truth: Bool[np.ndarray, 'size size'] = case.labels == tissue
    if not truth.any():
      continue
    found = tissues == tissue
    sheet.add(f'dice_{name}/{what}', segmentation.dice, found, truth)
    asd = segmentation.asd
    if name == 'lv':
      scaled = functools.partial(asd, spacing=_DEHAZING / len(found))
      sheet.add(f'asd_lv_224/{what}', scaled, found, truth)
    if case.mm is None:
      sheet.reasons[f'asd_{name}'] = 'the size of a pixel is not known'
      continue
    scaled = functools.partial(asd, spacing=case.mm, outlines=True)
    sheet.add(f'asd_{name}/{what}', scaled, found, truth)
