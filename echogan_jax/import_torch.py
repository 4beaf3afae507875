"""Make a workdir of a pytorch-CycleGAN checkpoint, or of one of CUT.

  python -m echogan_jax.import_torch --generator latest_net_G_A.pth \
    --workdir W [--reverse latest_net_G_B.pth] [--size 256]

The architecture is read off the file: ResNets with any number of blocks,
antialiased or not, and U-Nets, with instance norm, for grey images or for
colour. `enhance`, `evaluate` and `export` take the workdir as if it had been
trained here. The name of the file is not kept, its SHA-256 is.
"""

import argparse
import hashlib
import pathlib
from collections.abc import Sequence
from typing import Any

from echogan_jax import command
from echogan_jax.command import BadInput
from echogan_jax.data import files


def main(argv: Sequence[str]) -> None:
  """Read one generator or two, and write the workdir."""
  flags = _flags(argv)
  paths = {'enhance': command.existing(flags.generator, '--generator')}
  if flags.reverse:
    paths['degrade'] = command.existing(flags.reverse, '--reverse')
  from echogan_jax.exchange import pytorch
  from echogan_jax.training import checkpoint, recipe

  found = {name: pytorch.read(path) for name, path in paths.items()}
  config = _config(found, flags.size)
  hashes = {name: _sha256(path) for name, path in paths.items()}
  if len({*hashes.values()}) < len(hashes):
    raise BadInput('--reverse is the same file as --generator: name the other')
  seems = found['enhance'].flags
  config['imported'] = {'flags': seems, 'sha256': hashes}
  with files.alone(flags.workdir):
    held = [*flags.workdir.glob('checkpoints/[0-9]*')]
    if held or (flags.workdir / 'config.json').exists():
      raise BadInput(f'{flags.workdir} holds a run: choose another --workdir')
    ema = {name: one.params for name, one in found.items()}
    checkpoint.save_ema(flags.workdir, ema)
    recipe.write(flags.workdir, config)
  print(f'{flags.workdir}: {seems}, at {config["data"]["size"]} pixels')


def _flags(argv: Sequence[str]) -> argparse.Namespace:
  parser = command.parser('import_torch', __doc__)
  add = parser.add_argument
  add('--generator', required=True, help='that enhances: latest_net_G_A.pth')
  add('--reverse', help='that goes back: latest_net_G_B.pth')
  add('--workdir', required=True, type=pathlib.Path, help='to be made')
  size = (
    'side of the images it was trained on: 256, or what a U-Net halves to 1'
  )
  add('--size', type=int, help=size)
  return parser.parse_args(argv)


def _config(found: dict, size: int | None) -> dict[str, Any]:
  """Return what a workdir's config says of the generators."""
  from echogan_jax import models

  first, last = [*found.values()][0], [*found.values()][-1]
  if last.model != first.model:
    raise BadInput(
      f'--generator looks like {first.flags}, but --reverse like '
      f'{last.flags}: both must be of one architecture'
    )
  directions = 'enhance' if len(found) == 1 else 'both'
  model = first.model | {'directions': directions}
  made = models.generators(model)
  if size is None:
    size = 256 if model['generator'] == 'resnet' else made.generator.multiple
  models.check_size(made, size, flag='--size')
  return {'data': {'size': size}, 'model': model}


def _sha256(path: pathlib.Path) -> str:
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


if __name__ == '__main__':
  command.run(main)
