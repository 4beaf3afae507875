"""Measure an enhancer: is the picture better, is it still this patient's?

  python -m echogan_jax.evaluate --workdir W --data DATA [--split test] \
    [--truth OUT] [--inception FILE] [--method median --output FOLDER]

Every low-quality frame of the split is enhanced. Where `phantom` wrote the
truth, or `ingest --annotations` did, input and result are compared with it.
Writes metrics.json, per_image.csv, per_clip.csv, pictures, maps over them and
clips. --method measures a classical filter instead of a trained network.
"""

import argparse
import contextlib
import csv
import functools
import json
import pathlib
import time
from collections.abc import Mapping, Sequence

from echogan_jax import command
from echogan_jax.command import BadInput
from echogan_jax.data import manifest
from echogan_jax.data.files import replacing
from echogan_jax.data.select import SPLITS

_ROW = ('path', 'split', 'patient', 'study', 'clip', 'frame')


def main(argv: Sequence[str]) -> None:
  """Enhance a split, measure it, write what was found."""
  flags = _flags(argv)
  start = time.monotonic()
  from echogan_jax.evaluation import case, expectation, pictures, walk

  data = command.existing(flags.data, '--data')
  model = _model(flags, data)
  source = case.source(data, flags.split, model.size, flags.truth)
  limits = walk.Limits(
    **{name: getattr(flags, name) for name in walk.Limits._fields}
  )
  files = {
    name: getattr(flags, name) and str(command.existing(path, f'--{name}'))
    for name, path in (('judge', flags.judge), ('inception', flags.inception))
  }
  found = walk.walk(model, source, limits=limits, **files)
  output = flags.output or pathlib.Path(flags.workdir, 'eval', flags.split)
  _forget(output)
  written = {
    'step': model.step,
    'split': flags.split,
    'method': flags.method or 'network',
    'config_sha256': model.config_sha256,
    'data_sha256': manifest.fingerprint(data),
    **found.summary,
    'pictures': pictures.write(found.shown, output),
    'clips': pictures.play(found.clips[:3], output),
    'seconds': round(time.monotonic() - start, 1),
  }
  with replacing(output / 'metrics.json') as part:
    part.write_text(json.dumps(written, indent=2, allow_nan=False) + '\n')
  if found.expected:
    expectation.write(found.expected, output)
  frames = [(one.row, one.sheet.values) for one in found.measured]
  clips = [(one.row, one.sheet.values) for one in found.clips]
  _table(frames, _ROW, output / 'per_image.csv')
  _table(clips, ('clip', 'patient', 'study'), output / 'per_clip.csv')
  _print(written, output)


def _flags(argv: Sequence[str]) -> argparse.Namespace:
  from echogan_jax.evaluation.walk import Limits

  parser = command.parser('evaluate', __doc__)
  add = parser.add_argument
  add('--workdir', help='of the training run')
  add('--method', help='a classical filter instead: median, tv, …')
  add('--data', required=True, help='what ingest wrote')
  add('--split', default='test', choices=[*SPLITS, 'all'])
  add('--truth', help='what phantom wrote')
  place = 'where to, by default WORKDIR/eval/SPLIT'
  add('--output', type=pathlib.Path, help=place)
  add('--step', type=int, help='of the checkpoint: the newest')
  add('--inception', help="file of InceptionV3's weights, for FID")
  add('--judge', help='file of another judge than the one that is shipped')
  meanings = {
    'frames': 'low-quality frames at most: all',
    'perceptual': 'frames in each set that networks compare',
    'clips': 'whole clips, where their truth is known',
    'probes': 'frames that the network is asked about again',
    'pictures': 'cases to look at',
  }
  for name, meaning in meanings.items():
    default = Limits._field_defaults[name]
    text = meaning if default is None else f'{meaning}: {default}'
    add(f'--{name}', type=int, default=default, help=text)
  flags = parser.parse_args(argv)
  if not flags.workdir and not (flags.method and flags.output):
    raise BadInput('name --workdir, or --method and --output')
  if flags.workdir and flags.method:
    raise BadInput('--workdir and --method: name one of them')
  for name in meanings:
    value, least = getattr(flags, name), int(name in ('frames', 'perceptual'))
    if value is not None and value < least:
      raise BadInput(f'--{name}={value}: give a number from {least} on')
  return flags


def _model(flags: argparse.Namespace, data: pathlib.Path):
  from echogan_jax.evaluation import baselines
  from echogan_jax.training import enhancer

  if flags.workdir:
    workdir = command.existing(flags.workdir, '--workdir')
    return enhancer.load(workdir, step=flags.step)
  first = next(manifest.rows(data), None)
  if first is None:
    raise BadInput(f'{data}: its manifest is empty')
  return enhancer.Enhancer(
    translate=functools.partial(baselines.enhance, flags.method),
    generators={},
    size=int(first['width']),
    step=0,
  )


def _forget(output: pathlib.Path) -> None:
  """Remove the pictures of an earlier evaluation, and nothing else."""
  with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
    before = json.loads((output / 'metrics.json').read_text())
    for listed in (*before['pictures'], *before['clips']):
      for name in (listed['file'], listed.get('maps', '')):
        path = (output / name).resolve()
        if path.is_file() and output.resolve() in path.parents:
          path.unlink()


def _table(
  measured: Sequence[tuple[manifest.Row, Mapping[str, float]]],
  kept: Sequence[str],
  path: pathlib.Path,
) -> None:
  path.unlink(missing_ok=True)
  if not measured:
    return
  names = sorted({name for _, values in measured for name in values})
  with replacing(path) as part, part.open('w', newline='') as file:
    table = csv.DictWriter(file, [*kept, *names], lineterminator='\n')
    table.writeheader()
    for row, values in measured:
      table.writerow({name: row[name] for name in kept} | values)


def _print(found: Mapping, output: pathlib.Path) -> None:
  """Print the metrics with what they should be seen beside."""
  what = found['method']
  if what == 'network':
    what = f'checkpoint {found["step"]}'
  print(
    f'{found["images"]} frames of {found["patients"]} patients '
    f'({found["split"]}), {what}, {found["seconds"]:.0f} s:'
  )
  values: dict[str, dict[str, float]] = {}
  for key, value in found['metrics'].items():
    name, _, what = key.partition('/')
    values.setdefault(name, {})[what or 'enhanced'] = value
  columns = ('input', 'enhanced', 'target', 'floor', 'high')
  heads = (f'{name:>9s}' for name in columns)
  print(f'  {"":24s}', *heads, '  change by patient, or interval: 95 %')
  for name, row in values.items():
    cells = (f'{row[c]:9.3f}' if c in row else ' ' * 9 for c in columns)
    print(f'  {name:24s}', *cells, _spread(found, name))
  for name, reason in found['skipped'].items():
    print(f'  {name:24s} skipped: {reason}')
  print(output / 'metrics.json')


def _spread(found: Mapping, name: str) -> str:
  if change := found['changes'].get(name):
    ends = f'{change["low"]:+.3f} to {change["high"]:+.3f}'
    return f'  {change["mean"]:+.3f} ({ends})'
  intervals = found['intervals']
  ends = intervals.get(name) or intervals.get(f'{name}/enhanced')
  return f'  {ends[0]:.3f} to {ends[1]:.3f}' if ends else ''


if __name__ == '__main__':
  command.run(main)
