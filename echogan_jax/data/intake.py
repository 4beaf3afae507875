"""Take a folder in: every clip of it through curation, and the account of it.

A clip that an earlier run has used is not opened again while its files, the
settings and its label stay what they were.
"""

import functools
import json
import pathlib
import sqlite3
import sys
from collections.abc import Callable, Collection, Iterator

from tqdm import tqdm

from echogan_jax import __version__
from echogan_jax.command import BadInput
from echogan_jax.data import (
  account,
  annotation,
  curate,
  files,
  identity,
  layouts,
  ledger,
  naming,
  select,
  workers,
)
from echogan_jax.data.item import Item
from echogan_jax.data.record import Record, Settings
from echogan_jax.data.reject import Rejected

_SELDOM = {'mininterval': 0.1 if sys.stderr.isatty() else 10}
_Work = tuple[int, str, Item]  # place, token, clip


def beside(data: pathlib.Path) -> pathlib.Path:
  """Return where the ledger of a data set lies."""
  return data.with_name(data.name + '.ledger')


def take(
  settings: Settings,
  skip: Collection[pathlib.Path],
  *,
  count: int,
  seconds: float,
) -> dict[str, object]:
  """Curate every clip and write the data set's tables.

  Args:
    settings: of this run.
    skip: files and folders of the source to pass over.
    count: of processes; with 1 everything is done in this one.
    seconds: how long one clip may take in a process of its own.

  Returns:
    what audit.json holds.

  Raises:
    BadInput: nothing in the source can be used.
  """
  find = functools.partial(layouts.items, settings.format, settings.source)
  total = sum(1 for _ in find(skip))
  if not total:
    raise BadInput(f'--input {settings.source} holds no files')
  try:
    book = ledger.open(beside(settings.data), settings.key)
    with tqdm(total=total, desc='reading', unit='clip', **_SELDOM) as bar:
      _curate(find(skip), settings, book, bar.update, count, seconds)
    ledger.settle(book, allow_similar=settings.allow_repeats)
    audit = account.audit(settings, book)
    _check(audit, settings, book)
    account.write(settings, book, audit)
    return audit
  except sqlite3.Error as error:
    where = beside(settings.data)
    raise BadInput(f'{where} cannot be written: {error}') from error


def _curate(
  items: Iterator[Item],
  settings: Settings,
  book: sqlite3.Connection,
  done: Callable[[], object],
  count: int,
  seconds: float,
) -> None:
  """Enter every clip in the ledger; only new ones are opened."""

  def new() -> Iterator[_Work]:
    for place, item in enumerate(items):
      token = _token(item, settings)
      record = ledger.find(book, token)
      if record and _stands(record, item, settings):
        ledger.enter(book, place, naming.shown(item.files[0]), token, record)
        done()
      else:
        yield place, token, item

  work = functools.partial(_process, settings=settings)
  found = workers.each(work, new(), count=count, seconds=seconds)
  for (place, token, item), record in found:
    if isinstance(record, workers.Failed):
      record = Record(
        reason='crashed', detail=record.why, files=len(item.files)
      )
    ledger.enter(book, place, naming.shown(item.files[0]), token, record)
    done()


def _process(work: _Work, settings: Settings) -> Record:
  return curate.process(work[2], settings)


def _token(item: Item, settings: Settings) -> str:
  """Return what changes when anything does that a clip's frames depend on."""
  seen = files.state(settings.source, (*item.files, *item.beside))
  public = settings.public() | {'labels_sha256': ''}
  asked = json.dumps([str(item), seen, public, __version__])
  return identity.pseudonym(settings.key, 'work', asked)


def _stands(record: Record, item: Item, settings: Settings) -> bool:
  """Whether an earlier run's frames are there and still where they belong."""
  if record.written != files.state(settings.data, record.written):
    return False  # lost, or another run's, who was stopped
  if record.annotated != annotation.state(settings.annotations, record.rows):
    return False
  row = record.rows[0]
  said = naming.label(record.called, settings).get('quality') or item.quality
  limits = (settings.low_max, settings.high_min)
  try:
    domain = select.domain(said, float(row['quality_score']), *limits)
  except Rejected:
    return False
  return domain == row['domain']


def _check(audit: dict, settings: Settings, book: sqlite3.Connection) -> None:
  """Raise BadInput unless something is of use.

  What an earlier run wrote stays as it is.
  """
  found = audit['files']
  if not found['used']:
    by_number = sorted(found['by_reason'].items(), key=lambda r: -r[1])
    reasons = ', '.join(f'{n} {reason}' for reason, n in by_number)
    if not (settings.data / 'manifest.csv').exists():
      account.write_rejected(settings, book)
      reasons += f'; see {settings.data / "rejected.csv"}'
    raise BadInput(f'no usable clip in {settings.source}: {reasons}')
  if settings.annotations and not any(audit.get('annotations', {}).values()):
    raise BadInput('--annotations: no file is named for a clip that is used')
