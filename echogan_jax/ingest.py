"""Turn a folder of clinical clips into curated, de-identified training data.

Input is any folder of ultrasound DICOM files, best <patient>/<study>/<clip>,
and labels.csv with the columns study and quality (low, high or exclude). A
study is named by its StudyInstanceUID, or by a folder around its files; the
UID counts first, then the innermost folder. Patients are told apart by their
PatientID and its issuer, or by the outermost folder, and each patient belongs
to one split only.

--annotations gives tissues (`mask`) and a better machine's picture (`clean`)
for methods guided by segmentations or trained on pairs; unpaired training
never needs them. What `phantom` calls truth fits, and is for evaluation only
unless given here.

OUTPUT.key beside the output is the secret behind the pseudonyms: keep it
private, and keep it as long as more data may come. OUTPUT/rejected.csv names
files of the input: it is for you, share the folder without it.
"""

import argparse
import collections
import concurrent.futures
import functools
import hashlib
import json
import multiprocessing
import os
import pathlib
import secrets
import shutil
import signal
import sys
from collections.abc import Iterable, Sequence

from tqdm import tqdm

from echogan_jax import command
from echogan_jax.command import BadInput
from echogan_jax.data import annotation, curate, labels, manifest, select
from echogan_jax.data.curate import Record, Settings

_FORMATS = ('auto', 'dicom')
_RUNNERS = ('local',)


def main(argv: Sequence[str]) -> None:
  """Curate the input, write the tables and build the TFDS data set.

  Raises:
    BadInput: a flag, the labels or the input cannot be used.
  """
  settings, workers = _settings(_parse(argv))
  data = settings.data
  ours = [data, _key_path(data), settings.labels]
  if settings.annotations:
    ours += settings.annotations.glob('*.npz')
  names = select.files(settings.source, skip=ours)
  if not names:
    raise BadInput(f'--input {settings.source} holds no files')
  records = manifest.without_repeats(_process(names, settings, workers))
  manifest.write_rejected(data, records)
  if not any(record.rows for record in records):
    count = collections.Counter(record.reason for record in records)
    reasons = ', '.join(f'{n} {reason}' for reason, n in count.most_common())
    where = data / 'rejected.csv'
    raise BadInput(f'no usable clip in {settings.source}: {reasons}; {where}')
  if settings.annotations and not any(r.annotations for r in records):
    raise BadInput('--annotations: no file is named for a clip that is used')
  manifest.write(data, records)
  manifest.write_audit(settings, records)
  print('building the TFDS data set', flush=True)
  from echogan_jax.data import builder  # TensorFlow: not for the workers

  builder.build(data)
  shutil.rmtree(settings.work, ignore_errors=True)
  _report(data)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  parser = command.parser('ingest', __doc__)
  add = parser.add_argument
  add('--input', required=True, help='folder of clips')
  add('--output', required=True, help='folder to write, created if missing')
  add('--format', default='auto', help='auto or dicom')
  add('--labels', help='default: labels.csv in the input or beside `studies`')
  add('--annotations', help='folder of <SHA-256 of the clip file>.npz')
  add('--frames_per_clip', type=int, default=1, help='1: the sharpest')
  add('--size', type=int, default=256, help='side of the frames in pixels')
  add('--validation', type=float, default=0.15, help='fraction of patients')
  add('--test', type=float, default=0.15, help='fraction of patients')
  add('--seed', type=int, default=0, help='of the split')
  add('--key', help="file of the pseudonyms' secret; default: OUTPUT.key")
  add('--workers', type=int, default=2, help='processes')
  add('--runner', default='local', help='local')
  add('--recover', action='store_true', help='use what is left of cut files')
  add('--allow_colour', action='store_true', help='use colour Doppler too')
  add('--allow_stills', action='store_true', help='use what does not move')
  return parser.parse_args(argv)


def _settings(args: argparse.Namespace) -> tuple[Settings, int]:
  for name, there in (('format', _FORMATS), ('runner', _RUNNERS)):
    if getattr(args, name) not in there:
      raise BadInput(
        f'--{name} {getattr(args, name)}: this version has only '
        f'{" and ".join(there)}'
      )
  for name in ('frames_per_clip', 'size', 'workers'):
    if getattr(args, name) < 1:
      raise BadInput(f'--{name} must be at least 1')
  if min(args.validation, args.test) < 0 or args.validation + args.test >= 1:
    raise BadInput('--validation and --test must be >= 0 and sum to below 1')
  source = command.existing(args.input, '--input').resolve()
  if not source.is_dir():
    raise BadInput(f'--input {args.input} is a file: pass the folder')
  data = pathlib.Path(args.output).expanduser().resolve()
  asked = args.annotations
  drawn = asked and annotation.folder(asked, '--annotations')
  _check_output(data, (source, drawn or source))
  table = _labels(source, args.labels)
  labels.read(table)
  settings = Settings(
    source=source,
    data=data,
    labels=table,
    labels_sha256=hashlib.sha256(table.read_bytes()).hexdigest(),
    key=_key(data, args.key),
    size=args.size,
    frames_per_clip=args.frames_per_clip,
    validation=args.validation,
    test=args.test,
    seed=args.seed,
    allow_colour=args.allow_colour,
    allow_stills=args.allow_stills,
    recover=args.recover,
    annotations=drawn,
  )
  return settings, args.workers


def _check_output(data: pathlib.Path, given: Iterable[pathlib.Path]) -> None:
  if any(path.is_relative_to(data) for path in given):
    raise BadInput('--output must not be the input or hold it')
  if data.exists() and not data.is_dir():
    raise BadInput(f'--output {data} is a file: name a folder')
  # frames that the manifest does not name are removed: only ever our own
  ours = ('manifest.csv', 'rejected.csv', '.work')
  if data.exists() and any(data.iterdir()):
    if not any((data / name).exists() for name in ours):
      raise BadInput(f'--output {data} holds other files: name a new folder')


def _labels(source: pathlib.Path, asked: str | None) -> pathlib.Path:
  if asked:
    return command.existing(asked, '--labels').resolve()
  beside = source.parent / 'labels.csv'
  if source.name == 'studies' and beside.exists():  # as `phantom` writes it
    return beside
  return source / 'labels.csv'


def _key_path(data: pathlib.Path) -> pathlib.Path:
  return data.with_name(data.name + '.key')


def _key(data: pathlib.Path, asked: str | None) -> bytes:
  """Return the secret of the pseudonyms, made on the first run.

  It stays outside the data: who holds it could try names until one fits.
  """
  path = (
    pathlib.Path(asked).expanduser().resolve() if asked else _key_path(data)
  )
  if path.is_relative_to(data):
    raise BadInput(f'--key {path} lies in the output: keep it elsewhere')
  if not path.exists():
    if (data / 'manifest.csv').exists():
      raise BadInput(
        f'{data} was written with the key {path}, which is gone: put it '
        'back, or choose another --output (every pseudonym will change)'
      )
    path.parent.mkdir(parents=True, exist_ok=True)
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(opened, 'wb') as file:
      file.write(secrets.token_hex(32).encode())
    print(f'new key {path}: keep it private, never share it with the data')
  key = path.read_bytes()
  if len(key) < 32:
    raise BadInput(f'{path} is no key: it is shorter than 32 bytes')
  return key


def _process(
  names: list[str], settings: Settings, workers: int
) -> list[Record]:
  """Curate all files in parallel; records come in the order of the names."""
  work = functools.partial(curate.process, settings=settings)
  bar = functools.partial(
    tqdm,
    total=len(names),
    desc='reading',
    unit='file',
    mininterval=0.1 if sys.stderr.isatty() else 10,
  )
  if min(workers, len(names)) == 1:
    return list(bar(map(work, names)))
  pool = concurrent.futures.ProcessPoolExecutor(
    min(workers, len(names)),
    mp_context=multiprocessing.get_context('spawn'),
    # an interrupt is the parent's to answer, the workers just end
    initializer=signal.signal,
    initargs=(signal.SIGINT, signal.SIG_IGN),
  )
  try:
    return list(bar(pool.map(work, names)))
  except concurrent.futures.process.BrokenProcessPool as error:
    raise BadInput(
      'a worker was killed, most likely for want of memory: run again with '
      '--workers=1, finished files are kept'
    ) from error
  finally:
    pool.shutdown(cancel_futures=True)


def _report(data: pathlib.Path) -> None:
  """Print what came out, and which split lacks a domain."""
  audit = json.loads((data / 'audit.json').read_text(encoding='utf-8'))
  seen = audit['files']
  carried = ', '.join(audit['columns_carried'])
  if carried:
    print(f'carried from the labels: {carried} (check that none names anyone)')
  print(
    f'{data}: {seen["used"]} of {seen["seen"]} files used, '
    f'{seen["rejected"]} rejected (see rejected.csv)'
  )
  if drawn := audit.get('annotations'):
    print('annotated: ' + ', '.join(f'{n} {kind}' for kind, n in drawn.items()))
  for part, domains in audit['frames'].items():
    print(f'  {part:10s} ' + ', '.join(f'{n} {d}' for d, n in domains.items()))
    for domain in (d for d, n in domains.items() if not n):
      print(
        f'warning: the {part} split has no {domain} frames: add patients, or '
        'change --seed, --validation or --test',
        file=sys.stderr,
      )


if __name__ == '__main__':
  command.run(main)
