"""Run an experiment: every variant from every seed, then one table.

  python -m experiments.run NAME                 print the commands
  python -m experiments.run NAME --local         run them one after the other
  python -m experiments.run NAME --slurm         write a job array
  python -m experiments.run NAME --table         gather what is there
  python -m experiments.run baselines            filters need no training: run

Without --data, at the laptop scale on simulated patients (small.py); with it,
the configs as they stand. What is done is not done again, and what was
stopped goes on. Select on the validation split, which is the default, and
report on the test split: --split=test. Run from the repository root.
"""

import argparse
import ast
import functools
import os
import pathlib
import shlex
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from echogan_jax import command
from echogan_jax.command import BadInput
from echogan_jax.data.files import replacing
from echogan_jax.data.select import SPLITS
from experiments import plan, table
from experiments.plan import Rival, Run, Source, Words

_ARRAY = """#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --array=1-{count}
#SBATCH --output={output}/slurm_%a.log
#SBATCH --requeue
cd {here}
eval "$(sed -n "${{SLURM_ARRAY_TASK_ID}}p" {commands})"
"""
_DATA = """#!/bin/bash
#SBATCH --job-name={name}_data
#SBATCH --output={output}/slurm_data.log
set -e
cd {here}
"""


def main(argv: Sequence[str]) -> None:
  """Print, run or submit an experiment, or gather its table."""
  flags = _flags(argv)
  output = flags.output or pathlib.Path('runs') / flags.name
  runs = plan.make(
    flags.name,
    output,
    seeds=_seeds(flags.seeds),
    variants=list(filter(None, flags.variants.split(','))),
    source=_source(flags),
    settings=_settings(flags.set),
  )
  module = plan.load(flags.name)
  runs += _trained(flags.workdir, runs, output)
  quick = all(isinstance(run, plan.Rival) for run in runs)
  if flags.slurm:
    _slurm(runs, flags, output)
    words = ['--table' if word == '--slurm' else word for word in argv]
    print('then: python -m experiments.run', shlex.join(words))
  elif flags.local or flags.table or quick and not flags.dry_run:
    failed = [] if flags.table else _local(runs, flags.split)
    scale = flags.data or 'laptop scale'
    title = f'`{flags.name}`, {scale}, {flags.split} split, by seed: mean ± std'
    metrics = getattr(module, 'METRICS', table.METRICS)
    rows = table.gather(runs, flags.split, metrics)
    print(table.write(rows, output, title))
    if hasattr(module, 'finish'):
      print(module.finish(runs, flags.split, output))
    print(output / 'table.md')
    if failed:
      sys.exit('failed:\n  ' + '\n  '.join(failed))
  else:
    commands = (words for run in runs for words in run.commands(flags.split))
    for words in (*_preparations(runs), *commands):
      print(shlex.join(words))


def _flags(argv: Sequence[str]) -> argparse.Namespace:
  parser = command.parser('', __doc__)
  parser.prog = 'python -m experiments.run'
  parser.add_argument('name', metavar='NAME', help=', '.join(plan.names()))
  modes = parser.add_mutually_exclusive_group()
  for mode in ('dry_run', 'local', 'slurm', 'table'):
    modes.add_argument(f'--{mode}', action='store_true')
  add = parser.add_argument
  add('--seeds', default='', help='comma-separated, e.g. 0,1,2')
  add('--variants', default='', help='comma-separated; by default all')
  add('--output', type=pathlib.Path, help='by default runs/NAME')
  add('--split', default='validation', choices=SPLITS)
  add('--data', help='what ingest wrote: full scale instead of laptop scale')
  add(
    '--workdir',
    action='append',
    default=[],
    help='a trained or imported network, to evaluate in the same table',
  )
  add('--truth', help='what phantom wrote, where --data is made of it')
  add(
    '--set',
    default=[],
    action='extend',
    nargs='+',
    metavar='KEY=VALUE',
    help='a key of the config, for every run',
  )
  return parser.parse_args(argv)


def _seeds(text: str) -> list[int]:
  try:
    return [int(word) for word in text.split(',') if word]
  except ValueError as error:
    raise BadInput(f'--seeds {text}: write whole numbers, 0,1,2') from error


def _settings(pairs: Sequence[str]) -> dict[str, Any]:
  found = {}
  for pair in pairs:
    key, equals, value = pair.partition('=')
    if not equals:
      raise BadInput(f'--set {pair}: write KEY=VALUE')
    try:
      found[key] = ast.literal_eval(value)
    except (ValueError, SyntaxError):  # a word
      found[key] = value
  return found


def _source(flags: argparse.Namespace) -> Source | None:
  if not flags.data:
    if flags.truth:
      raise BadInput('--truth belongs to --data: name both')
    return None
  truth = flags.truth and command.existing(flags.truth, '--truth')
  return Source(command.existing(flags.data, '--data'), truth)


def _trained(
  names: Sequence[str], runs: Sequence[Run | Rival], output: pathlib.Path
) -> list[Rival]:
  """Return networks that lie in workdirs as rivals on the runs' data."""
  found = []
  for name in names:
    workdir = command.existing(name, '--workdir')
    label = '_'.join(workdir.resolve().parts[-2:])
    found.append(Rival(label, output / label, runs[0].source, workdir))
  return found


def _preparations(runs: Sequence[Run | Rival]) -> list[Words]:
  """Return the commands that make data, each once."""
  return list(dict.fromkeys(w for run in runs for w in run.source.prepare))


def _local(runs: Sequence[Run | Rival], split: str) -> list[str]:
  """Do what is not done yet; return what failed, and why."""
  failed = []
  for run in runs:
    name = f'{run.variant} seed {run.seed}'
    if run.found(split) is not None:
      print(f'{name}: done')
      continue
    run.failure.unlink(missing_ok=True)
    reason = _prepare(run.source) or _first_failure(run.commands(split))
    if not reason and run.found(split) is None:
      reason = 'stopped before its end'
    if reason:
      failed.append(f'{name}: {reason}')
      print(failed[-1], flush=True)
      with replacing(run.failure) as part:
        part.write_text(f'{reason}\n', encoding='utf-8')
  return failed


@functools.cache  # what failed for one run fails for the next
def _prepare(source: Source) -> str:
  """Make the data unless these commands have made it; return what failed."""
  mark = source.data.with_name('prepared')
  text = ''.join(f'{shlex.join(words)}\n' for words in source.prepare)
  there = mark.exists() and (source.data / 'manifest.csv').exists()
  if not text or there and mark.read_text(encoding='utf-8') == text:
    return ''
  reason = _first_failure(source.prepare)
  if not reason:
    with replacing(mark) as part:
      part.write_text(text, encoding='utf-8')
  return reason


def _first_failure(commands: Sequence[Words]) -> str:
  """Run commands up to the first that fails; return what it was."""
  for words in commands:
    status = call(words)
    if status:
      return f'{words[2]} ended with status {status}'
  return ''


def call(words: Words) -> int:
  """Run a command of ours; return its exit status."""
  print('$', shlex.join(words), flush=True)
  process = subprocess.Popen([sys.executable, *words[1:]])
  try:
    return process.wait()
  except KeyboardInterrupt:
    process.wait()  # it was interrupted as well, and saves
    raise


def _slurm(
  runs: Sequence[Run | Rival], flags: argparse.Namespace, output: pathlib.Path
) -> None:
  """Write a job array, a line and a job for each run; print how to submit."""
  lines = [' && '.join(map(shlex.join, r.commands(flags.split))) for r in runs]
  places = {
    'name': flags.name,
    'count': len(runs),
    'output': output,
    'commands': shlex.quote(str(output / 'commands.txt')),
    'here': shlex.quote(os.getcwd()),
  }
  scripts = {
    'commands.txt': ''.join(f'{line}\n' for line in lines),
    'array.sbatch': _ARRAY.format(**places),
  }
  first, array = (
    shlex.quote(str(output / f'{name}.sbatch')) for name in ('data', 'array')
  )
  submit = f'sbatch {array}'
  preparations = _preparations(runs)
  if preparations:
    body = ''.join(f'{shlex.join(words)}\n' for words in preparations)
    scripts['data.sbatch'] = _DATA.format(**places) + body
    submit = f'sbatch --dependency=afterok:$(sbatch --parsable {first}) {array}'
  for file, text in scripts.items():
    with replacing(output / file) as part:
      part.write_text(text, encoding='utf-8')
  print(f'{len(runs)} jobs; GPUs, partition and time are flags of sbatch:')
  print(submit)


if __name__ == '__main__':
  command.run(main)
