"""What `evaluate` left in a workdir, read and checked."""

import csv
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from echogan_jax.command import BadInput
from echogan_jax.data import limits

Rows = list[dict[str, str]]

_DAMAGE = (ArithmeticError, AttributeError, KeyError, TypeError, ValueError)
_DAMAGE += (RecursionError, csv.Error)


class Interval(NamedTuple):
  """A number, the ends of its 95 % interval, and of how many it is."""

  value: float
  low: float
  high: float
  count: int = 0

  @property
  def certain(self) -> bool:
    """Whether zero lies outside."""
    return self.low > 0 or self.high < 0


class Finding(NamedTuple):
  """What an independent judge saw of a finding.

  Attributes:
    prevalence: share of patients that have it by `truth`, or in whom the
      judge sees it: `input`, `enhanced`, `target`.
    rates: `added` of those without it, `removed` of those with it;
      `added_target` and `removed_target` are the judge's own mistakes.
  """

  prevalence: dict[str, float]
  rates: dict[str, Interval]


class Evaluation(NamedTuple):
  """One split's `metrics.json` and its tables; what is missing is empty."""

  folder: pathlib.Path
  about: dict[str, Any]  # split, step, images, method and other single words
  metrics: dict[str, float]
  changes: dict[str, Interval]  # enhanced - input, paired by patient
  intervals: dict[str, tuple[float, float]]
  agreement: dict[str, dict[str, Interval]]  # bias and limits of agreement
  findings: dict[str, Finding]
  extractors: dict[str, dict[str, Any]]
  skipped: dict[str, str]
  pictures: list[dict[str, Any]]
  clips: list[dict[str, Any]]
  per_image: Rows
  per_clip: Rows


class Hallucination(NamedTuple):
  """What is seen after training on a share of good pictures with a finding."""

  finding: str
  points: list[tuple[str, float, float]]  # variant, share, prevalence seen
  slopes: dict[str, Interval]
  truth: float | None


def evaluation(path: pathlib.Path) -> Evaluation:
  """Read an evaluation.

  Args:
    path: of `metrics.json`; the other files lie beside it.

  Raises:
    BadInput: what is there does not have the form that `evaluate` gives it.
  """
  found = _json(path)
  try:
    return _evaluation(found, path.parent)
  except _DAMAGE as error:
    raise BadInput(f'{path} is damaged: evaluate again') from error


def hallucination(path: pathlib.Path) -> Hallucination:
  """Read the sweep over the share of good pictures that show a finding.

  Raises:
    BadInput: the file does not have its form.
  """
  found = _json(path)
  try:
    return Hallucination(
      str(found['finding']),
      [
        (str(p['variant']), float(p['share']), float(p['prevalence']))
        for p in found['points']
      ],
      {k: _interval(v, 'mean') for k, v in found.get('slopes', {}).items()},
      float(found['truth']) if 'truth' in found else None,
    )
  except _DAMAGE as error:
    raise BadInput(f'{path} is damaged: run the sweep again') from error


def paired(
  rows: Sequence[Mapping[str, str]], name: str, others: Sequence[str]
) -> Float[np.ndarray, 'patients others']:
  """Average columns over each patient's rows.

  Args:
    rows: of `per_image.csv` or `per_clip.csv`.
    name: of the metric.
    others: the pictures it was taken of, say `input` and `enhanced`.

  Returns:
    float64, of the patients that have them all; a row that lacks one is left
    out.
  """
  patients: dict[str, list[list[float]]] = {}
  for row in rows:
    values = [_float(row.get(f'{name}/{other}')) for other in others]
    if all(map(math.isfinite, values)):
      patients.setdefault(row.get('patient') or '', []).append(values)
  means = [np.mean(values, axis=0) for values in patients.values()]
  return np.reshape(np.array(means, np.float64), (-1, len(others)))


def _evaluation(found: Mapping[str, Any], folder: pathlib.Path) -> Evaluation:
  def part(name: str) -> dict[str, Any]:
    return dict(found.get(name, {}).items())

  return Evaluation(
    folder,
    {k: v for k, v in found.items() if isinstance(v, str | int | float)},
    _numbers(found['metrics']),
    {k: _interval(v, 'mean') for k, v in part('changes').items()},
    {
      k: (float(low), float(high))
      for k, (low, high) in part('intervals').items()
    },
    {
      name: {k: _interval(v, 'bias') for k, v in kinds.items()}
      for name, kinds in part('agreement').items()
    },
    {
      name: Finding(
        _numbers(seen.get('prevalence', {})),
        {
          k: _interval(v, 'value') for k, v in seen.items() if k != 'prevalence'
        },
      )
      for name, seen in part('findings').items()
    },
    {k: dict(v.items()) for k, v in part('extractors').items()},
    {k: str(v) for k, v in part('skipped').items()},
    [_listed(p) for p in found.get('pictures', [])],
    [_listed(p) for p in found.get('clips', [])],
    _rows(folder / 'per_image.csv'),
    _rows(folder / 'per_clip.csv'),
  )


def _listed(found: Mapping[str, Any]) -> dict[str, Any]:
  columns = {
    name: [str(column) for column in found.get(name, [])]
    for name in ('columns', 'map_columns')
  }
  numbers = {
    'values': _numbers(found.get('values', {})),
    'lv_area_cm2': {
      what: [float(area) for area in areas]
      for what, areas in found.get('lv_area_cm2', {}).items()
    },
  }
  return {**found, **columns, 'file': str(found['file']), **numbers}


def _interval(found: Mapping[str, Any], value: str) -> Interval:
  count = found.get('count', found.get('patients', 0))
  ends = float(found['low']), float(found['high'])
  return Interval(float(found[value]), *ends, int(count))


def _numbers(found: Mapping[str, Any]) -> dict[str, float]:
  numbers = {name: float(value) for name, value in found.items()}
  return {k: v for k, v in numbers.items() if math.isfinite(v)}


def _float(text: str | None) -> float:
  try:
    return float(text or 'nan')
  except (TypeError, ValueError):  # a word, or more cells than columns
    return math.nan


def _rows(path: pathlib.Path) -> Rows:
  if not path.exists():
    return []
  limits.regular(path, limits.TABLE)
  with path.open(newline='', encoding='utf-8') as file:
    return list(csv.DictReader(file))


def writable(found: Any) -> Any:
  """Return what JSON held without the half characters that it can spell."""
  return json.loads(
    json.dumps(found, ensure_ascii=False).encode(errors='replace')
  )


def _json(path: pathlib.Path) -> Any:
  limits.regular(path, limits.TABLE)
  try:
    return writable(json.loads(path.read_text(encoding='utf-8')))
  except (ValueError, RecursionError) as error:
    raise BadInput(f'{path} is damaged: evaluate again') from error
