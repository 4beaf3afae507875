"""Does a finding that is common in good pictures appear in poor ones?

After Cohen et al. 2018: half the patients of the low domain have an effusion
in every variant; of the high domain, none to all. What the networks add or
remove is judged elsewhere; here are the runs. Another objective goes into
another folder: --set losses.ssim.weight=5 --output=runs/hallucination_ssim.

  python -m experiments.hallucination LOW HIGH --output=PHANTOM

copies two folders that `phantom` wrote into one.
"""

import functools
import pathlib
import shutil
from collections.abc import Sequence

from echogan_jax import command
from echogan_jax.command import BadInput
from echogan_jax.data.files import replacing

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
VARIANTS = {name: {} for name in _SHARES}
PREPARE = {name: _commands(share) for name, share in _SHARES.items()}


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
