"""The tables of a curated data set: manifest, rejections, audit."""

import collections
import csv
import hashlib
import io
import json
import pathlib
from collections.abc import Iterable, Sequence

from echogan_jax import __version__
from echogan_jax.command import BadInput
from echogan_jax.data import curate, labels, select
from echogan_jax.data.curate import Record, Settings
from echogan_jax.shapes import DOMAINS

Row = dict[str, str]


def read(data: pathlib.Path) -> list[Row]:
  """Return the rows of a data set's manifest.

  Raises:
    BadInput: the folder is not what `ingest` writes.
  """
  text = _bytes(data).decode('utf-8')
  return list(csv.DictReader(io.StringIO(text, newline='')))


def fingerprint(data: pathlib.Path) -> str:
  """Return the SHA-256 of the manifest, which stands for the data set.

  Raises:
    BadInput: the folder is not what `ingest` writes.
  """
  return hashlib.sha256(_bytes(data)).hexdigest()


def _bytes(data: pathlib.Path) -> bytes:
  try:
    return (data / 'manifest.csv').read_bytes()
  except (FileNotFoundError, NotADirectoryError) as error:
    what = 'has no manifest.csv' if data.exists() else 'does not exist'
    raise BadInput(
      f'data folder {data} {what}: run `python -m echogan_jax.ingest '
      f'--output {data}` first'
    ) from error


def write(data: pathlib.Path, records: Iterable[Record]) -> None:
  """Write the manifest, then remove the frames that it does not name."""
  rows = [row for record in records for row in record.rows]
  columns = dict.fromkeys((*curate.COLUMNS, *rows[0]))
  curate.write(data / 'manifest.csv', _table(list(columns), rows))
  named = {data / str(row['path']) for row in rows}
  for path in sorted((data / 'frames').rglob('*'), reverse=True):
    if path.is_dir():
      if not any(path.iterdir()):
        path.rmdir()
    elif path not in named:
      path.unlink()


def write_rejected(data: pathlib.Path, records: Iterable[Record]) -> None:
  """Write which files were rejected, and why."""
  rows = [
    {'source': r.source, 'reason': r.reason, 'detail': r.detail}
    for r in records
    if r.reason
  ]
  table = _table(['source', 'reason', 'detail'], rows)
  curate.write(data / 'rejected.csv', table)


def _table(columns: Sequence[str], rows: Iterable[dict]) -> bytes:
  text = io.StringIO(newline='')
  table = csv.DictWriter(text, columns, lineterminator='\n')
  table.writeheader()
  table.writerows(rows)
  # a file name need not be valid text
  return text.getvalue().encode('utf-8', 'backslashreplace')


def write_audit(settings: Settings, records: Sequence[Record]) -> None:
  """Write what went in, what came out and what was removed, naming no one."""
  used = [record for record in records if record.rows]
  rows = [row for record in used for row in record.rows]
  frames = collections.Counter((row['split'], row['domain']) for row in rows)
  reasons = collections.Counter(r.reason for r in records if r.reason)
  tags = collections.Counter(tag for record in used for tag in record.dropped)
  audit = {
    'version': __version__,
    'settings': settings.public(),
    'columns_carried': labels.extra(
      labels.read(settings.labels), curate.COLUMNS
    ),
    'files': {
      'seen': len(records),
      'used': len(used),
      'rejected': len(records) - len(used),
      'by_reason': dict(sorted(reasons.items())),
    },
    'patients': len({row['patient'] for row in rows}),
    'studies': len({row['study'] for row in rows}),
    'frames': {
      part: {domain: frames[part, domain] for domain in DOMAINS}
      for part in select.SPLITS
    },
    'tags_dropped': dict(sorted(tags.items())),
    'text': {
      'clips_with_marks_outside_the_sector': sum(r.blackened for r in used),
      'outside_the_sector': 'removed',
      'inside_the_sector': 'not searched for',
    },
  }
  text = json.dumps(audit, indent=2) + '\n'
  curate.write(settings.data / 'audit.json', text.encode())
