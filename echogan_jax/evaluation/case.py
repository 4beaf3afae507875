"""The frames that are measured: input, result, and what is known of both."""

import collections
import itertools
import pathlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from echogan_jax.command import BadInput
from echogan_jax.data import annotation, limits, manifest
from echogan_jax.data.reject import Rejected
from echogan_jax.data.sector import Sector, crop_mask, resize
from echogan_jax.data.select import SPLITS
from echogan_jax.evaluation import truth
from echogan_jax.shapes import UNDRAWN

BATCH = 8  # frames translated at once

Frame = UInt8[np.ndarray, 'size size']
Frames = UInt8[np.ndarray, 'batch size size']
Masks = Bool[np.ndarray, 'batch size size']
Translate = Callable[[Frames, Masks], Frames]


class Case(NamedTuple):
  """One frame before and after.

  Attributes:
    row: of the manifest.
    input: the frame as it is given to the network.
    enhanced: what came out; None where nothing was asked to.
    inside: the sector.
    target: its paired truth, None where there is none.
    labels: the tissues drawn in it, None where there are none.
    findings: what the patient has, by name; empty where nobody knows.
    mm: side of a pixel, None where unknown.
  """

  row: manifest.Row
  input: Frame
  enhanced: Frame | None
  inside: Bool[np.ndarray, 'size size']
  target: Frame | None = None
  labels: Frame | None = None
  findings: dict[str, bool] = {}
  mm: float | None = None

  @property
  def seen(self) -> dict[str, Frame]:
    """The pictures there are, by what they are."""
    found = {what: getattr(self, what) for what in WHATS}
    return {what: frame for what, frame in found.items() if frame is not None}


WHATS = ('input', 'enhanced', 'target')


class Source(NamedTuple):
  """Where cases come from.

  Attributes:
    data: what `ingest` wrote.
    split: one of its splits, or `all`.
    size: side of the frames.
    truth: folder of annotations by the clips' hashes; without, what lies
      beside the frames counts.
  """

  data: pathlib.Path
  split: str
  size: int
  truth: pathlib.Path | None = None


def source(
  data: pathlib.Path, split: str, size: int, path: str | None = None
) -> Source:
  """Return the source of a data set's split, with `phantom`'s truth or not.

  Raises:
    BadInput: there is no low-quality frame, or the truth is of none of them.
  """
  found = Source(data, split, size, path and annotation.folder(path, '--truth'))
  low = rows(found, 'low')
  if not low:
    raise BadInput(f'{data}: no low-quality frames in the {split} split')
  folder = found.truth
  if folder and not any(annotation.of(folder, r['source_sha256']) for r in low):
    raise BadInput(
      f'--truth={path}: holds no truth of these frames; give the folder that '
      'phantom wrote for the same studies'
    )
  return found


def rows(source: Source, domain: str) -> list[manifest.Row]:
  """Return the rows of a domain of the split."""
  splits = SPLITS if source.split == 'all' else (source.split,)
  every = manifest.rows(source.data)
  return [r for r in every if r['domain'] == domain and r['split'] in splits]


def spread(rows: Sequence[manifest.Row], count: int) -> list[int]:
  """Return which rows to take of many: evenly over patients, always the same.

  Every patient gives one before any gives two.
  """
  # by a hash, else the first frames of all clips would be of one phase
  by_hash = sorted(
    (zlib.crc32(r['path'].encode()), n) for n, r in enumerate(rows)
  )
  numbers = [number for _, number in by_hash]
  patients = [rows[number]['patient'] for number in numbers]
  order = sorted(zip(turns(patients), patients, numbers, strict=True))
  return sorted(number for *_, number in order[:count])


def turns(patients: Sequence[str]) -> list[int]:
  """Return how often each patient was there before."""
  seen: collections.Counter[str] = collections.Counter()
  found = []
  for patient in patients:
    found.append(seen[patient])
    seen[patient] += 1
  return found


def cases(
  source: Source,
  rows: Sequence[manifest.Row],
  translate: Translate | None = None,
) -> Iterator[list[Case]]:
  """Yield cases of rows in their order, up to `BATCH` at a time.

  Args:
    source: where they are.
    rows: which.
    translate: what makes `enhanced`.
  """
  found = itertools.chain.from_iterable(
    _of_clip(source, list(group))
    for _, group in itertools.groupby(rows, lambda r: r['source_sha256'])
  )
  while batch := list(itertools.islice(found, BATCH)):
    made = [None] * len(batch)
    if translate:
      made = translate(*stacked(batch, 'input', 'inside'))
    yield [
      case._replace(enhanced=frame)
      for case, frame in zip(batch, made, strict=True)
    ]


def read(source: Source, rows: Sequence[manifest.Row]) -> list[Case]:
  """Return the cases of rows, not enhanced, all at once."""
  return [case for batch in cases(source, rows) for case in batch]


def stacked(cases: Sequence[Case], *names: str) -> list[np.ndarray]:
  """Return arrays of cases, each in a batch."""
  return [np.stack([getattr(case, name) for case in cases]) for name in names]


def _of_clip(source: Source, rows: list[manifest.Row]) -> Iterator[Case]:
  first = rows[0]
  place, size = Sector.from_json(first['sector']), source.size
  inside = crop_mask(place, size)
  path = annotation.of(source.truth, first['source_sha256'])
  findings = {}
  if path:
    numbers = [int(row['frame']) for row in rows]
    drawn = annotation.read(path, numbers, place, size)
    findings = truth.findings(path)
  else:
    drawn = {
      kind: [_beside(source, row, kind) for row in rows]
      for kind in annotation.KINDS
    }
  mm = first['mm_per_pixel_x'] and (
    float(first['mm_per_pixel_x']) * int(first['width']) / size
  )
  for number, row in enumerate(rows):
    frame = _picture(source.data, row['path'])
    yield Case(
      row=row,
      input=resize(frame[None], size)[0],
      enhanced=None,
      inside=inside,
      target=drawn['target'][number],
      labels=drawn['anatomy'][number],
      findings=findings,
      mm=mm or None,
    )


def _picture(data: pathlib.Path, name: str) -> Frame:
  """Return a square grey picture of a data set."""
  path = limits.within(data, name)
  try:
    with limits.picture(path, 'PNG') as file:
      if file.mode != 'L' or file.width != file.height:
        raise ValueError(f'{file.width}x{file.height}, mode {file.mode}')
      return np.asarray(file)
  except (OSError, SyntaxError, ValueError, Rejected) as error:
    raise BadInput(
      f'{path} is no frame of a data set ({error}): ingest again'
    ) from error


def _beside(source: Source, row: manifest.Row, kind: str) -> Frame | None:
  """Return an annotation that `ingest` wrote under the frame's own name."""
  name = annotation.beside(row['path'], kind)
  if not (source.data / name).exists():
    return None
  picture = _picture(source.data, name)
  if kind == 'target':
    return resize(picture[None], source.size)[0]
  if (picture == UNDRAWN).all():
    return None
  shape = (source.size, source.size)
  return np.asarray(Image.fromarray(picture).resize(shape, Image.NEAREST))
