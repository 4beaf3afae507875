"""Curation: which files become training frames, under which name, where.

Nothing that tells who the patient is leaves this file: patients, studies and
clips are keyed hashes, and frames are black outside the sector.
"""

import dataclasses
import hashlib
import json
import pathlib

import pydicom

from echogan_jax import __version__
from echogan_jax.command import BadInput
from echogan_jax.data import (
  annotation,
  deidentify,
  dicom,
  labels,
  sector,
  select,
)
from echogan_jax.data.clip import Clip
from echogan_jax.data.files import replacing
from echogan_jax.data.header import value
from echogan_jax.data.reject import Rejected
from echogan_jax.shapes import GRADES

COLUMNS = (
  *('path', 'split', 'domain', 'patient', 'study', 'clip', 'frame', 'view'),
  *('width', 'height', 'mm_per_pixel_x', 'mm_per_pixel_y', 'fps', 'sector'),
  'source_sha256',
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """What one run of `ingest` was asked for.

  Attributes:
    source: the folder that is read.
    data: the folder that is written.
    labels: the labels file.
    labels_sha256: hash of its bytes.
    key: secret of the pseudonyms.
    size: side of the written frames in pixels.
    frames_per_clip: how many frames to keep of each clip.
    validation, test: fractions of the patients held out for each.
    seed: of the split.
    allow_colour: whether colour Doppler is used too.
    allow_stills: whether frames that do not move are used too.
    recover: whether the intact frames of a damaged file are used.
    annotations: folder of annotations, None for none.
  """

  source: pathlib.Path
  data: pathlib.Path
  labels: pathlib.Path
  labels_sha256: str
  key: bytes = dataclasses.field(repr=False)
  size: int = 256
  frames_per_clip: int = 1
  validation: float = 0.15
  test: float = 0.15
  seed: int = 0
  allow_colour: bool = False
  allow_stills: bool = False
  recover: bool = False
  annotations: pathlib.Path | None = None

  @property
  def work(self) -> pathlib.Path:
    """Where finished records wait for the end of an interrupted run."""
    return self.data / '.work'

  def public(self) -> dict[str, object]:
    """Return the settings that tell nothing of places or people."""
    hidden = ('source', 'data', 'labels', 'key', 'annotations')
    return {k: v for k, v in vars(self).items() if k not in hidden}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
  """What became of one source file.

  Attributes:
    source: its path, relative to the input folder.
    rows: its rows of the manifest; empty where it was rejected.
    reason: why it was rejected, '' where it was used.
    detail: one line on the rejection.
    blackened: whether anything outside the sector was lit and was removed.
    instance: pseudonym of its SOPInstanceUID, of its bytes without one.
    dropped: names of the header's elements that were left behind.
    annotations: SHA-256 of its frames' annotations, by their path.
  """

  source: str
  rows: list[dict[str, object]] = dataclasses.field(default_factory=list)
  reason: str = ''
  detail: str = ''
  blackened: bool = False
  instance: str = ''
  dropped: list[str] = dataclasses.field(default_factory=list)
  annotations: dict[str, str] = dataclasses.field(default_factory=dict)


def process(name: str, settings: Settings) -> Record:
  """Curate one file, unless an interrupted run has finished it already.

  Args:
    name: the file, relative to `settings.source`.
    settings: of this run.

  Raises:
    BadInput: its annotations cannot be used.
  """
  source = settings.source / name
  try:
    with source.open('rb') as file:
      sha256 = hashlib.file_digest(file, 'sha256').hexdigest()
  except OSError as error:
    detail = f'cannot be opened: {error.strerror}'
    return Record(source=name, reason='not_dicom', detail=detail)
  drawn = annotation.of(settings.annotations, sha256)
  seen = (sha256, annotation.digest(drawn))
  asked = (name, seen, settings.public(), __version__)
  token = deidentify.pseudonym(settings.key, 'work', json.dumps(asked))
  done = settings.work / f'{token}.json'
  if done.exists():
    record = Record(**json.loads(done.read_text(encoding='utf-8')))
    # a run without them in between has removed them
    if all((settings.data / path).exists() for path in record.annotations):
      return record
  try:
    record = _curate(name, sha256, settings, drawn)
  except Rejected as error:
    record = Record(source=name, reason=error.reason, detail=error.detail)
  if record.rows:  # a rejection may end with the next codec installed
    write(done, json.dumps(dataclasses.asdict(record)).encode())
  return record


def _curate(
  name: str, sha256: str, settings: Settings, drawn: pathlib.Path | None
) -> Record:
  clip = dicom.read(settings.source / name, recover=settings.recover)
  # a name from an old disk need not be valid text
  name = name.encode('utf-8', 'backslashreplace').decode()
  row = _label(name, clip, settings)
  dicom.check_tissue(clip, allow_colour=settings.allow_colour)
  grey = clip.grey
  try:
    found = sector.find(clip)
  except BadInput as error:
    raise Rejected('no_sector', str(error)) from error
  patient, study = _patient(name, clip), _study(name, clip)
  # scanners and converters repeat instance UIDs: a clip is its bytes
  row |= _pseudonyms(settings.key, patient=patient, study=study, clip=sha256)
  row['source_sha256'] = sha256
  row |= _geometry(clip, found, settings.size)
  row['split'] = select.split(
    patient,
    seed=settings.seed,
    validation=settings.validation,
    test=settings.test,
  )
  inside = found.mask()
  if not settings.allow_stills:
    select.check_motion(grey, inside)
  chosen = select.choose(grey, inside, settings.frames_per_clip)
  frames = sector.crop(grey[chosen], found, settings.size)
  rows = []
  for index, frame in zip(chosen, frames, strict=True):
    path = f'{row["split"]}/{row["domain"]}/{row["clip"]}_{index}.png'
    write(settings.data / 'frames' / path, annotation.png(frame))
    rows.append(row | {'path': f'frames/{path}', 'frame': index})
  instance = _value(clip, 'SOPInstanceUID') or sha256
  # a frame carries no header, so no element is kept
  header = clip.header or pydicom.Dataset()
  return Record(
    source=name,
    rows=rows,
    blackened=bool(grey[chosen][:, ~inside].any()),
    instance=deidentify.pseudonym(settings.key, 'instance', instance),
    dropped=deidentify.dropped(header, keep=()),
    annotations=annotation.write(drawn, settings.data, rows, found, len(grey)),
  )


def _value(clip: Clip, keyword: str) -> str:
  return '' if clip.header is None else str(value(clip.header, keyword, ''))


def _label(name: str, clip: Clip, settings: Settings) -> dict[str, object]:
  """Return the label columns: by study UID, else by folder, inner first."""
  table = labels.read(settings.labels)
  folders = pathlib.PurePath(name).parent.parts[::-1]
  study = _value(clip, 'StudyInstanceUID')
  names = [n for n in (study, *folders, settings.source.name) if n in table]
  if not names:
    raise Rejected('unlabelled', 'its study has no row in the labels')
  row = dict(table[names[0]])
  domain = row.pop('quality')
  if domain == 'exclude':
    raise Rejected('excluded', 'the labels exclude its study')
  kept = (*GRADES, *labels.extra(table, COLUMNS), 'view')
  return {'domain': domain} | {k: row.get(k, '') for k in kept}


def _patient(name: str, clip: Clip) -> str:
  """Return who it is: PatientID with its issuer, else the outermost folder.

  A folder `studies` does not count. Without both it is the study: one patient
  may then count as two, but never two as one.
  """
  patient = _value(clip, 'PatientID')
  if patient:
    return f'id:{patient}:{_value(clip, "IssuerOfPatientID")}'
  folders = [f for f in pathlib.PurePath(name).parent.parts if f != 'studies']
  return f'folder:{folders[0]}' if folders else f'study:{_study(name, clip)}'


def _study(name: str, clip: Clip) -> str:
  parent = pathlib.PurePath(name).parent.as_posix()
  return _value(clip, 'StudyInstanceUID') or parent


def _pseudonyms(key: bytes, **values: str) -> dict[str, str]:
  return {k: deidentify.pseudonym(key, k, v) for k, v in values.items()}


def _geometry(clip: Clip, found: sector.Sector, size: int) -> dict[str, object]:
  scale = found.box[2] / size
  mm = [f'{v * scale:.6g}' for v in clip.mm_per_pixel or ()] or ['', '']
  return {
    'width': size,
    'height': size,
    'mm_per_pixel_x': mm[0],
    'mm_per_pixel_y': mm[1],
    'fps': f'{clip.fps:.6g}',
    'sector': found.to_json(),
  }


def write(path: pathlib.Path, content: bytes) -> None:
  """Write a file whole or not at all, with its folders."""
  with replacing(path) as part:
    part.write_bytes(content)
