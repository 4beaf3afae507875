"""What takes many pictures at once: perceptual distances, and those of sets."""

import pathlib
from collections.abc import Sequence

import numpy as np
import tqdm

from echogan_jax.command import BadInput
from echogan_jax.evaluation import case as cases
from echogan_jax.evaluation import sets
from echogan_jax.evaluation.case import Case, Source, stacked
from echogan_jax.evaluation.frame import Sheet
from echogan_jax.evaluation.summary import Measured
from echogan_jax.metrics import artifacts, features, lpips
from echogan_jax.models import vgg

_NO_INCEPTION = 'needs InceptionV3 of 2015: pass --inception FILE'

Kept = list[tuple[int, Case]]  # number of the frame, and all of it


def extractors(inception: str | None, extra: Sheet) -> list[features.Extractor]:
  """Return what describes pictures here; note why another does not."""
  found = [features.radiomics_extractor()]
  try:
    found.append(features.vgg16())
  except BadInput as error:
    _lacks(extra, sets.NAMES['vgg16'], str(error))
  if inception:
    found.append(features.inception(pathlib.Path(inception)))
  else:
    _lacks(extra, (*sets.NAMES['inception'], 'is'), _NO_INCEPTION)
  return found


def _lacks(extra: Sheet, names: Sequence[str], reason: str) -> None:
  extra.reasons.update(dict.fromkeys(filter(None, names), reason))


def perceptual(kept: Kept, measured: list[Measured], extra: Sheet) -> None:
  """Add LPIPS to the sheets of the kept frames that have a truth."""
  known = [(n, case) for n, case in kept if case.target is not None]
  if not known:
    return
  try:
    params = vgg.read(vgg.find())
  except BadInput as error:
    extra.reasons['lpips'] = str(error)
    return
  target, inside = stacked([case for _, case in known], 'target', 'inside')
  for what in ('input', 'enhanced'):
    (frames,) = stacked([case for _, case in known], what)
    values = lpips.lpips(frames, target, inside, params=params)
    for (number, _), value in zip(known, values, strict=True):
      measured[number].sheet.note(f'lpips/{what}', value)


def distances(
  source: Source,
  good: sets.Good,
  low: Sequence[Case],
  extractors: Sequence[features.Extractor],
  into: tuple[Sheet, dict],
) -> int:
  """Add what sets differ by, and grids in good ones; return their size."""
  extra, intervals = into
  try:
    count = sets.count(good, len(low), len(low))
  except ValueError as error:
    for extractor in extractors:
      _lacks(extra, sets.NAMES[extractor.name], str(error))
    return 0
  low = [low[n] for n in cases.spread([case.row for case in low], count)]
  reference = [good.reference[n] for n in cases.spread(good.reference, count)]
  for extractor in tqdm.tqdm(extractors, 'distances', unit='set'):
    try:
      values, spread = sets.measure(source, good, low, extractor)
    except ValueError as error:
      _lacks(extra, sets.NAMES[extractor.name], str(error))
      continue
    for name, value in values.items():
      extra.note(name, value)
    intervals.update(spread)
  high = cases.read(source, reference)
  for name in ('checkerboard_db', 'high_frequency_db'):
    metric = getattr(artifacts, name)
    levels = [metric(case.input, case.inside) for case in high]
    extra.note(f'{name}/high', float(np.mean(levels)))
  return count
