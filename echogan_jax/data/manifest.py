"""The tables of a curated data set: what is in it, what is not, and why."""

import collections
import csv
import hashlib
import io
import json
import pathlib
from collections.abc import Collection, Iterable, Sequence

from echogan_jax import __version__
from echogan_jax.command import BadInput
from echogan_jax.data import annotation, curate, labels, select
from echogan_jax.data.curate import Record, Settings
from echogan_jax.shapes import DOMAINS, GRADES

Row = dict[str, str]


def read(data: pathlib.Path) -> list[Row]:
  """Return the rows of a data set's manifest.

  Raises:
    BadInput: the folder is not what `ingest` writes.
  """
  text = _bytes(data).decode('utf-8')
  return list(csv.DictReader(io.StringIO(text, newline='')))


def check_graded(data: pathlib.Path, split: str) -> None:
  """Raise BadInput unless some study of a split is graded."""
  rows = [row for row in read(data) if row['split'] == split]
  if not any(row[name] for row in rows for name in GRADES):
    raise BadInput(
      f'{data} has no grades in its {split} split, which a loss needs: add '
      f'columns of {", ".join(GRADES)} to labels.csv and ingest again'
    )


def fingerprint(data: pathlib.Path) -> str:
  """Return the hash that stands for a data set, annotations included.

  It is the SHA-256 of the manifest, followed by the table of annotations
  where there is one.

  Raises:
    BadInput: the folder is not what `ingest` writes.
  """
  digest, more = hashlib.sha256(_bytes(data)), data / 'annotations.csv'
  if more.exists():
    digest.update(more.read_bytes())
  return digest.hexdigest()


def _bytes(data: pathlib.Path) -> bytes:
  try:
    return (data / 'manifest.csv').read_bytes()
  except (FileNotFoundError, NotADirectoryError) as error:
    what = 'has no manifest.csv' if data.exists() else 'does not exist'
    raise BadInput(
      f'data folder {data} {what}: run `python -m echogan_jax.ingest '
      f'--output {data}` first'
    ) from error


def without_repeats(records: Iterable[Record]) -> list[Record]:
  """Return the records with repeated clips rejected, the first one stays.

  A repeat has the bytes of an earlier file, or its instance UID under another
  patient, which could put one heart on both sides of the split.
  """
  clips, owners, kept = set(), {}, []
  for record in records:
    if record.rows:
      clip, patient = record.rows[0]['clip'], record.rows[0]['patient']
      owner = owners.setdefault(record.instance, patient)
      if clip in clips or owner != patient:
        why = {'reason': 'duplicate', 'detail': 'the clip of an earlier file'}
        record = Record(source=record.source, **why)
      clips.add(clip)
    kept.append(record)
  return kept


def write(data: pathlib.Path, records: Iterable[Record]) -> None:
  """Write the manifest, then remove the pictures that nothing names.

  Annotations have a table of their own, `annotations.csv`, if there are any:
  the manifest is the same with and without.
  """
  records = list(records)
  rows = [row for record in records for row in record.rows]
  columns = dict.fromkeys((*curate.COLUMNS, *rows[0]))
  curate.write(data / 'manifest.csv', _table(list(columns), rows))
  digests = {k: v for r in records for k, v in r.annotations.items()}
  drawn = [{'path': k, 'sha256': digests[k]} for k in sorted(digests)]
  if drawn:
    table = _table(['path', 'sha256'], drawn)
    curate.write(data / 'annotations.csv', table)
  else:
    (data / 'annotations.csv').unlink(missing_ok=True)
  _remove_others(data, {str(row['path']) for row in [*rows, *drawn]})


def _remove_others(data: pathlib.Path, named: Collection[str]) -> None:
  folders = [kind.folder for kind in annotation.KINDS.values()]
  for top in (data / name for name in ('frames', *folders)):
    for path in (*sorted(top.rglob('*'), reverse=True), top):
      if path.is_dir():
        if not any(path.iterdir()):
          path.rmdir()
      elif path.relative_to(data).as_posix() not in named:
        path.unlink(missing_ok=True)


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
  if settings.annotations:
    written = [path for record in used for path in record.annotations]
    audit['annotations'] = {
      kind: sum(path.startswith(f'{folder}/') for path in written)
      for kind, (_, folder, _) in annotation.KINDS.items()
    }
  text = json.dumps(audit, indent=2) + '\n'
  curate.write(settings.data / 'audit.json', text.encode())
