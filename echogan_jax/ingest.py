"""Turn a folder of clinical clips into curated, de-identified training data.

Input is any folder of ultrasound DICOM files, best <patient>/<study>/<clip>,
and labels.csv with the columns study and quality (low, high or exclude). A
study is named by its StudyInstanceUID, or by a folder around its files; the
UID counts first, then the innermost folder. Patients are told apart by their
PatientID, or by the outermost folder, and each patient belongs to one split
only. Or it is a published data set as it lies on disk: CAMUS,
EchoNet-Dynamic, -LVH and -Pediatric, TMED-2, Unity, DehazingEcho.

--low_max and --high_min limit a quality score from 0 to 1: of the studies
labelled low only clips that score at most the one are used, of those labelled
high only clips that score at least the other; where nobody labelled a study,
both together decide.

--annotations gives tissues (`mask`) and a better machine's picture (`clean`)
for methods guided by segmentations or trained on pairs; unpaired training
never needs them. What `phantom` calls truth fits, and is for evaluation only
unless given here.

OUTPUT.key beside the output is the secret behind the pseudonyms: keep it
private, and keep it as long as more data may come. OUTPUT.ledger remembers
what was read, in pseudonyms: with it, the next run opens only what is new.
OUTPUT.hidden.csv says which paths rejected.csv does not show: keep it private.
"""

import argparse
import dataclasses
import hashlib
import math
import pathlib
import sys
from collections.abc import Iterable, Sequence

from echogan_jax import command
from echogan_jax.command import BadInput
from echogan_jax.data import (
  annotation,
  files,
  intake,
  labels,
  layouts,
  secret,
  text,
)
from echogan_jax.data.record import Settings

_LEAST = {'frames_per_clip': 1, 'size': 1, 'workers': 1, 'patience': 1}
_GRADED = ('camus', 'dehazing')  # by whoever published them


def main(argv: Sequence[str]) -> None:
  """Curate the input, write the tables and build the TFDS data set.

  Raises:
    BadInput: a flag, the labels or the input cannot be used.
  """
  args = _parse(argv)
  settings = _settings(args)
  data = settings.data
  ours = [data, secret.beside(data), secret.hidden(data)]
  ours += [intake.beside(data), settings.labels]
  if settings.annotations:
    ours += settings.annotations.glob('*.npz')
  skip = {path for path in ours if path}
  with files.alone(data):
    work = {'count': args.workers, 'seconds': args.patience}
    audit = intake.take(settings, skip, **work)
    print('building the TFDS data set', flush=True)
    from echogan_jax.data import builder  # TensorFlow: not for the workers

    builder.build(data, runner=args.runner, options=args.beam_options)
  _report(data, audit)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
  parser = command.parser('ingest', __doc__)
  add = parser.add_argument
  formats = ('auto', *layouts.FORMATS)
  add('--input', required=True, help='folder of clips')
  add('--output', required=True, help='folder to write, created if missing')
  add('--format', default='auto', choices=formats, help='layout of the input')
  add('--labels', help='default: labels.csv in the input or beside `studies`')
  add('--annotations', help='folder of <SHA-256 of the clip file>.npz')
  add(
    '--frames_per_clip',
    type=int,
    default=1,
    help='evenly spaced if more than one',
  )
  frames = ('sharpest', 'end_diastolic')
  add('--choose', default=frames[0], choices=frames, help='where one is taken')
  add('--size', type=int, default=256, help='side of the frames in pixels')
  add('--low_max', type=float, help='highest quality score of a poor clip')
  add('--high_min', type=float, help='lowest quality score of a good clip')
  add('--validation', type=float, default=0.15, help='fraction of patients')
  add('--test', type=float, default=0.15, help='fraction of patients')
  add('--seed', type=int, default=0, help='of the split')
  add('--key', help="file of the pseudonyms' secret; default: OUTPUT.key")
  add('--workers', type=int, default=2, help='processes; 1: unprotected')
  add('--patience', type=float, default=600, help='seconds for one clip')
  add(
    '--runner',
    default='local',
    choices=('local', 'beam'),
    help='what builds the TFDS data set',
  )
  add('--beam_options', nargs='*', default=[], help='e.g. runner=FlinkRunner')
  gates = ('auto', 'search', 'ignore')
  add('--text', default='auto', choices=gates, help='that lies over tissue')
  add('--recover', action='store_true', help='use what is left of cut files')
  add('--allow_colour', action='store_true', help='use colour Doppler too')
  add('--allow_stills', action='store_true', help='use what does not move')
  add('--allow_repeats', action='store_true', help='use near-duplicates too')
  return parser.parse_args(argv)


def _settings(args: argparse.Namespace) -> Settings:
  """Check the flags and return what they ask for."""
  for name, least in _LEAST.items():
    if not least <= getattr(args, name) < math.inf:
      raise BadInput(f'--{name} must be at least {least}')
  for name in ('validation', 'test', 'low_max', 'high_min'):
    if not math.isfinite(getattr(args, name) or 0):
      raise BadInput(f'--{name} must be a number')
  if min(args.validation, args.test) < 0 or args.validation + args.test >= 1:
    raise BadInput('--validation and --test must be >= 0 and sum to below 1')
  limits = (args.low_max, args.high_min)
  if None not in limits and not 0 <= limits[0] < limits[1] <= 1:
    raise BadInput('--low_max must be below --high_min, both from 0 to 1')
  source = command.existing(args.input, '--input').resolve()
  if not source.is_dir():
    raise BadInput(f'--input {args.input} is a file: pass the folder')
  data = pathlib.Path(args.output).expanduser().resolve()
  asked = args.annotations
  drawn = asked and annotation.folder(asked, '--annotations')
  _check_output(data, (source, drawn or source))
  layout = args.format if args.format != 'auto' else layouts.detect(source)
  table = _labels(source, args, layout)
  if table:
    labels.read(table)
  key = pathlib.Path(args.key).expanduser() if args.key else secret.beside(data)
  same = {
    field.name: getattr(args, field.name)
    for field in dataclasses.fields(Settings)
    if field.name in vars(args)
  }
  return Settings(
    **same
    | {
      'source': source,
      'data': data,
      'format': layout,
      'labels': table,
      'labels_sha256': _digest(table),
      'key': secret.obtain(key.resolve(), data),
      'search_text': _searches(args.text),
      'annotations': drawn,
    }
  )


def _digest(path: pathlib.Path | None) -> str:
  return hashlib.sha256(path.read_bytes()).hexdigest() if path else ''


def _searches(asked: str) -> bool:
  """Return whether to look for text inside the sector."""
  there = text.available()
  if asked == 'search' and not there:
    raise BadInput("--text=search needs OCR: pip install 'echogan_jax[ocr]'")
  if asked == 'auto' and not there:
    print(text.UNSEARCHED, file=sys.stderr)
  return there and asked != 'ignore'


def _check_output(data: pathlib.Path, given: Iterable[pathlib.Path]) -> None:
  if any(path.is_relative_to(data) for path in given):
    raise BadInput('--output must not be the input or hold it')
  if data.exists() and not data.is_dir():
    raise BadInput(f'--output {data} is a file: name a folder')
  # frames that the manifest does not name are removed: only ever our own
  tables = [data / 'manifest.csv', data / 'audit.json']
  ours = intake.beside(data).exists() or all(p.exists() for p in tables)
  if data.exists() and any(data.iterdir()):
    if not ours:
      raise BadInput(f'--output {data} holds other files: name a new folder')


def _labels(
  source: pathlib.Path, args: argparse.Namespace, layout: str
) -> pathlib.Path | None:
  """Return the labels file; None where the data set or a score grades."""
  if args.labels:
    return command.existing(args.labels, '--labels').resolve()
  found = source / 'labels.csv'
  if source.name == 'studies' and not found.exists():  # as `phantom` writes it
    found = source.parent / 'labels.csv'
  graded = layout in _GRADED or None not in (args.low_max, args.high_min)
  return None if graded and not found.exists() else found


def _report(data: pathlib.Path, audit: dict) -> None:
  """Print what came out, and which split lacks a domain."""
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
