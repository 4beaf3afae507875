"""labels.csv: what a person said of each study."""

import csv
import functools
import io
import pathlib
from collections.abc import Iterable, Mapping

from echogan_jax.command import BadInput
from echogan_jax.data import identity, limits
from echogan_jax.shapes import GRADES

QUALITIES = ('low', 'high', 'exclude')

Labels = dict[str, dict[str, str]]


def read(path: pathlib.Path) -> Labels:
  """Return the rows of a labels file by study, checked, blanks as ''.

  Raises:
    BadInput: it is missing or has a wrong column, value or repeated study.
  """
  try:
    return _rows(path)
  except csv.Error as error:
    raise BadInput(f'{path} cannot be read as a table: {error}') from error


def _rows(path: pathlib.Path) -> Labels:
  table = csv.DictReader(io.StringIO(_text(path), newline=''))
  head = [name.strip() for name in table.fieldnames or ()]
  if len(head) == 1 and ';' in head[0]:
    raise BadInput(f'{path} is separated by semicolons: save it with commas')
  table.fieldnames = head
  missing = {'study', 'quality'} - set(head)
  if missing:
    raise BadInput(f'{path} lacks the column {" and ".join(sorted(missing))}')
  found = {}
  for row in table:
    where = f'{path} line {table.line_num}'
    row = {name: (row[name] or '').strip() for name in head}
    study = row.pop('study')
    row['quality'] = row['quality'].lower()
    _check(row, where)
    if found.setdefault(study, row) != row:
      raise BadInput(f'{where}: its study has another row that differs')
  return found


@functools.lru_cache(maxsize=1)
def hidden(path: pathlib.Path, key: bytes, sha256: str) -> Labels:
  """Return the rows of a labels file by the pseudonym of the study's name.

  Args:
    path: of the file.
    key: of the pseudonyms.
    sha256: of its bytes, for a file that changes.

  Raises:
    BadInput: as `read`.
  """
  return {
    identity.pseudonym(key, 'label', study): row
    for study, row in read(path).items()
  }


def _text(path: pathlib.Path) -> str:
  limits.regular(path, limits.TABLE)
  try:
    return path.read_text(encoding='utf-8-sig')
  except (FileNotFoundError, IsADirectoryError) as error:
    raise BadInput(
      f'no labels file at {path}: name one with --labels (columns: study and '
      'quality, which is low, high or exclude), or let a score choose with '
      '--low_max and --high_min'
    ) from error
  except UnicodeDecodeError as error:
    raise BadInput(f'{path} is not UTF-8: save it as "CSV UTF-8"') from error


def _check(row: Mapping[str, str], where: str) -> None:
  if row['quality'] not in QUALITIES:
    raise BadInput(
      f'{where}: quality {row["quality"]!r} is none of {", ".join(QUALITIES)}'
    )
  for name in GRADES:
    if row.get(name, '') not in ('', '0', '1', '2', '3'):
      raise BadInput(
        f'{where}: {name} {row[name]!r} is none of 0, 1, 2, 3 or blank'
      )


def extra(labels: Labels, taken: Iterable[str]) -> list[str]:
  """Return the unknown columns, which the manifest carries as they are.

  Args:
    labels: what `read` returned.
    taken: names that the manifest fills itself. A column named so is not
      carried: a `patient` written there would be the source's.
  """
  known = {*taken, *GRADES, 'quality'}
  columns = next(iter(labels.values()), {})
  return [name for name in columns if name not in known]
