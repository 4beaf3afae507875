"""The manifest of a curated data set, for who reads it."""

import contextlib
import csv
import hashlib
import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

from echogan_jax.command import BadInput
from echogan_jax.data import limits
from echogan_jax.data.files import replacing
from echogan_jax.shapes import GRADES

Row = dict[str, str]

_NEEDED = ('path', 'split', 'domain', 'patient', 'study', 'frame', 'width')
_NEEDED += ('sector', 'source_sha256')


def rows(data: pathlib.Path) -> Iterator[Row]:
  """Yield the rows of a data set's manifest, one in memory at a time.

  Raises:
    BadInput: the folder is not what `ingest` writes; told at the first row
      that is not.
  """
  try:
    file = (data / 'manifest.csv').open(encoding='utf-8', newline='')
  except (FileNotFoundError, NotADirectoryError) as error:
    raise _missing(data) from error
  try:
    with file:
      for row in csv.DictReader(file):
        _check(row)
        yield row
  except (csv.Error, ValueError) as error:
    raise BadInput(f'{data}/manifest.csv is damaged: {error}') from error


def _check(row: Row) -> None:
  """Raise ValueError unless a row has what every reader relies on."""
  gone = [name for name in _NEEDED if row.get(name) is None]
  if gone:
    raise ValueError(f'no {" and ".join(gone)} in a row')
  for name in ('width', 'frame'):
    most = limits.SIDE if name == 'width' else limits.FRAMES
    if not (row[name].isdecimal() and int(row[name][:9]) <= most):
      raise ValueError(f'{name} {row[name][:20]!r} is no number up to {most}')


def read(data: pathlib.Path) -> list[Row]:
  """Return all of `rows`: for data sets that are known to be small."""
  return list(rows(data))


def check_graded(data: pathlib.Path, split: str) -> None:
  """Raise BadInput unless some study of a split is graded."""
  mine = (row for row in rows(data) if row['split'] == split)
  if not any(row[name] for row in mine for name in GRADES):
    raise BadInput(
      f'{data} has no grades in its {split} split, which a loss needs: add '
      f'columns of {", ".join(GRADES)} to labels.csv and ingest again'
    )


class Stamp(NamedTuple):
  """What changes when a data set's tables are written.

  Attributes:
    sizes: of each table in bytes.
    time: when the last of them was written, in ns since 1970.
  """

  sizes: tuple[int, ...]
  time: int


def stamp(data: pathlib.Path) -> Stamp:
  """Return the stamp of a data set.

  Raises:
    BadInput: the folder is not what `ingest` writes.
  """
  found = [path.stat() for path in _tables(data)]
  times = [status.st_mtime_ns for status in found]
  return Stamp(tuple(status.st_size for status in found), max(times))


def fingerprint(data: pathlib.Path) -> str:
  """Return the hash that stands for a data set, annotations included.

  It is the SHA-256 of the manifest, followed by the table of annotations
  where there is one. What `remember` wrote is trusted while the stamp is the
  same: nobody waits for 10 GB to be hashed at every start.

  Raises:
    BadInput: the folder is not what `ingest` writes.
  """
  there, (digest, noted) = stamp(data), _remembered(data)
  if noted == there:
    return digest
  result = hashlib.sha256()
  for path in _tables(data):
    with path.open('rb') as file:
      hashlib.file_digest(file, lambda: result)
  if result.hexdigest() == digest:  # the same tables were written again
    with contextlib.suppress(OSError):
      remember(data, digest, there)
  return result.hexdigest()


def built(data: pathlib.Path) -> str:
  """Return which fingerprint TFDS's files were built from, '' for none."""
  return _remembered(data)[0]


def remember(data: pathlib.Path, digest: str, at: Stamp) -> None:
  """Write that TFDS's files are those of a fingerprint.

  Sizes are in the file; the time is the file's own, so that equal data sets
  are equal in every byte.

  Args:
    data: what `ingest` wrote.
    digest: the fingerprint.
    at: the stamp that the data set had before it was taken.
  """
  with replacing(_mark(data)) as part:
    lines = (digest, ' '.join(map(str, at.sizes)))
    part.write_text('\n'.join(lines) + '\n', encoding='utf-8')
  os.utime(_mark(data), ns=(at.time, at.time))


def _remembered(data: pathlib.Path) -> tuple[str, Stamp | None]:
  mark = _mark(data)
  try:
    digest, *sizes = mark.read_text(encoding='utf-8').split()
    time = mark.stat().st_mtime_ns
    return digest, Stamp(tuple(map(int, sizes)), time)
  except (OSError, ValueError):  # none, or it is damaged
    return '', None


def _mark(data: pathlib.Path) -> pathlib.Path:
  return data / 'tfds' / 'manifest.sha256'


def _tables(data: pathlib.Path) -> list[pathlib.Path]:
  first, more = data / 'manifest.csv', data / 'annotations.csv'
  if not first.exists():
    raise _missing(data)
  return [first, more] if more.exists() else [first]


def _missing(data: pathlib.Path) -> BadInput:
  what = 'has no manifest.csv' if data.exists() else 'does not exist'
  return BadInput(
    f'data folder {data} {what}: run `python -m echogan_jax.ingest '
    f'--output {data}` first'
  )
