"""Does a finding that is common in good pictures appear in poor ones?

After Cohen et al. 2018: half the patients of the low domain have an effusion
in every variant; of the high domain, none to all. All networks enhance the
same poor pictures of other patients, half of them with an effusion, and the
judge that comes with the package says who has one. A network that copies what
is frequent among good pictures makes its verdicts follow their prevalence:
the slope is 0 for an honest one and 1 for one that only hallucinates.

  python -m experiments.run hallucination --local --split=test

writes hallucination.json, which the report draws. Another objective goes into
another folder: --set losses.ssim.weight=5 --output=runs/hallucination_ssim.

  python -m experiments.hallucination LOW HIGH --output=PHANTOM

copies two folders that `phantom` wrote into one.
"""

import collections
import functools
import json
import pathlib
import shutil
from collections.abc import Sequence

from echogan_jax import command
from echogan_jax.command import BadInput
from echogan_jax.data.files import replacing
from echogan_jax.metrics import agreement
from experiments.plan import Run

_FINDING = 'effusion'
_PHANTOM = 'echogan_jax.phantom --studies=80 --size=96 --frames=8 '


def _commands(share: float) -> tuple[str, ...]:
  return (
    f'{_PHANTOM}--output={{output}}/low --seed=1 --low_fraction=1 '
    '--prevalence effusion=0.5',
    f'{_PHANTOM}--output={{phantom}}_high --seed=2 --low_fraction=0 '
    f'--prevalence effusion={share:g}',
    'experiments.hallucination {output}/low {phantom}_high --output={phantom}',
    'echogan_jax.ingest --input={phantom} --output={data} --size=64 '
    '--frames_per_clip=4 --validation=0.1 --test=0.2 --annotations={phantom}',
  )


_SHARES = {f'high_{100 * s:.0f}': s for s in (0.0, 0.25, 0.5, 0.75, 1.0)}
HOLDOUT = (
  'echogan_jax.phantom --output={holdout} --studies=200 --seed=7 --size=96 '
  '--frames=2 --low_fraction=1 --prevalence effusion=0.5',
  'echogan_jax.ingest --input={holdout} --output={holdout_data} --size=64 '
  '--frames_per_clip=2 --validation=0.49 --test=0.49',
)
METRICS = ('effusion_added', 'effusion_removed', 'recovery', 'invention')
VARIANTS = {name: {} for name in _SHARES}
PREPARE = {name: _commands(share) for name, share in _SHARES.items()}


def finish(runs: Sequence[Run], split: str, output: pathlib.Path) -> str:
  """Write hallucination.json of the runs that are done; return it in words."""
  points, prevalence = [], []
  for run in runs:
    path = run.workdir / 'eval' / split / 'metrics.json'
    if run.found(split) is None:
      continue
    found = json.loads(path.read_text(encoding='utf-8'))
    finding = found['findings'][_FINDING]
    prevalence.append(finding['prevalence']['truth'])
    points.append(
      {
        'share': _SHARES[run.variant],
        'seed': run.seed,
        'variant': output.name,
        'prevalence': finding['prevalence']['enhanced'],
        'target': finding['prevalence']['target'],
        'added': finding['added'],
        'removed': finding['removed'],
      }
    )
  shares = collections.Counter(point['seed'] for point in points)
  points = [point for point in points if shares[point['seed']] > 2]
  if not points:
    return 'a slope takes three shares of a seed: more runs must be done'
  columns = ([p[name] for p in points] for name in ('share', 'prevalence'))
  seeds = [str(point['seed']) for point in points]
  count = len(set(seeds))
  slope = agreement.slope(*columns, groups=seeds if count > 1 else None)
  written = {
    'finding': _FINDING,
    'truth': prevalence[0],
    'points': points,
    'slopes': {
      output.name: {'mean': slope.value, 'low': slope.low, 'high': slope.high}
    },
  }
  with replacing(output / 'hallucination.json') as part:
    part.write_text(json.dumps(written, indent=2) + '\n', encoding='utf-8')
  return (
    f'hallucination slope {slope.value:.2f} ({slope.low:.2f} to '
    f'{slope.high:.2f}; seeds: {count}); python -m echogan_jax.report '
    f'--hallucination={output / "hallucination.json"} draws it'
  )


def main(argv: Sequence[str]) -> None:
  """Join phantoms: all studies, all truth and all labels in one folder."""
  parser = command.parser('', __doc__)
  parser.prog = 'python -m experiments.hallucination'
  parser.add_argument('inputs', nargs='+', metavar='PHANTOM')
  parser.add_argument('--output', required=True, type=pathlib.Path)
  flags = parser.parse_args(argv)
  rows, heads = [], set()
  for name in flags.inputs:
    folder = command.existing(name, 'phantom')
    table = command.existing(f'{name}/labels.csv', 'labels')
    head, *own = table.read_text(encoding='utf-8').splitlines()
    rows += own
    heads.add(head)
    copy = functools.partial(shutil.copytree, dirs_exist_ok=True)
    copy(folder / 'studies', flags.output / 'studies' / folder.name)
    copy(folder / 'truth', flags.output / 'truth')
  if len(heads) > 1:
    raise BadInput(f'the columns of the labels differ: {" and ".join(heads)}')
  with replacing(flags.output / 'labels.csv') as part:
    part.write_text('\n'.join([*heads, *rows]) + '\n', encoding='utf-8')
  print(f'{len(rows)} studies in {flags.output}')


if __name__ == '__main__':
  command.run(main)
