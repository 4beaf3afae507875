"""What a clip is called: by its header, by the labels, and by us."""

import hashlib
import pathlib
from collections.abc import Sequence

import pydicom

from echogan_jax.data import identity, labels, part10, select
from echogan_jax.data.clip import Clip
from echogan_jax.data.header import quiet, value
from echogan_jax.data.item import Item
from echogan_jax.data.record import Settings


def called(item: Item, clip: Clip, settings: Settings) -> list[str]:
  """Return what a label may call the study: its UID, then folders, inner first.

  In a data set's own layout its names of study and patient count too. All are
  pseudonyms, the nearest first.
  """
  folders = _path(item).parent.parts[::-1]
  names = [attribute(clip, 'StudyInstanceUID'), item.study, item.patient]
  names += [*folders, shown(settings.source.name)]
  return [identity.pseudonym(settings.key, 'label', n) for n in names if n]


def label(names: Sequence[str], settings: Settings) -> dict[str, str]:
  """Return the row of the labels file that is nearest, {} for none.

  Args:
    names: see `called`.
    settings: of this run.
  """
  if settings.labels is None:
    return {}
  known = (settings.labels, settings.key, settings.labels_sha256)
  table = labels.hidden(*known)
  return next((table[name] for name in names if name in table), {})


def words(path: pathlib.Path, key: bytes) -> list[str]:
  """Return the pseudonyms of the words in a file that identify someone.

  There are none where it has no header that can be read.
  """
  if not path.is_file():  # a pipe would wait for ever
    return []
  try:
    with quiet(), path.open('rb') as file:
      return words_of(part10.read(file)[1], key)
  except Exception:  # noqa: BLE001  anything, from a hostile file
    return []


def words_of(header: pydicom.Dataset, key: bytes) -> list[str]:
  """Return the same of a header that has been read."""
  found = sorted(identity.words(header))
  return [identity.pseudonym(key, 'word', word) for word in found]


def pseudonyms(
  item: Item, clip: Clip, hashes: Sequence[str], settings: Settings
) -> dict[str, object]:
  """Return the pseudonyms of a clip, and the split, which is its patient's.

  Args:
    item: the clip as its layout names it.
    clip: the same, opened.
    hashes: SHA-256 of its files.
    settings: of this run.
  """
  patient, study = _patient(item, clip), item.study or _study(item, clip)
  # scanners and converters repeat instance UIDs: a clip is its bytes
  joined = hashlib.sha256(''.join(hashes).encode()).hexdigest()
  names = {
    'patient': patient,
    'study': study,
    'clip': hashes[0] if len(hashes) == 1 else joined,
  }
  shares = {k: getattr(settings, k) for k in ('seed', 'validation', 'test')}
  return {
    'split': item.split or select.split(patient, **shares),
    **{k: identity.pseudonym(settings.key, k, v) for k, v in names.items()},
  }


def attribute(clip: Clip, keyword: str) -> str:
  """Return an attribute of a clip's header as text, '' where it has none."""
  return '' if clip.header is None else str(value(clip.header, keyword, ''))


def shown(name: str) -> str:
  """Return a path as text: a name from an old disk need not be any."""
  return name.encode('utf-8', 'backslashreplace').decode()


def _path(item: Item) -> pathlib.PurePath:
  return pathlib.PurePath(shown(item.files[0]))


def _patient(item: Item, clip: Clip) -> str:
  """Return who it is: PatientID, else the outermost folder.

  A folder `studies` does not count. Without both it is the study: one patient
  may then count as two, but never two as one.
  """
  if item.patient:
    return f'id:{item.patient}:'
  if patient := clip.header and identity.person(clip.header):
    return patient
  folders = [f for f in _path(item).parent.parts if f != 'studies']
  return f'folder:{folders[0]}' if folders else f'study:{_study(item, clip)}'


def _study(item: Item, clip: Clip) -> str:
  parent = _path(item).parent.as_posix()
  return attribute(clip, 'StudyInstanceUID') or parent
