"""Write the enhancer of a run as one file for other programs.

  python -m echogan_jax.export --workdir W --output FILE.stablehlo \
    [--step N]
  python -m echogan_jax.export --workdir W --output FILE.onnx \
    [--python onnx-env/bin/python]
  python -m echogan_jax.export --workdir W --output FILE.pth

StableHLO and ONNX take `frames` (uint8) and `inside` (bool, the sector), both
[batch, height, width, 1], and give `enhanced` (uint8) and `values` (float32,
the network's own). Each is tried against the network before it is kept, and
carries its model card: `unzip -p FILE.stablehlo card.md`, or the metadata of
the ONNX file. ONNX is written by an interpreter that has jax2onnx. `.pth` is
a state_dict for the code of pytorch-CycleGAN or CUT, weights and no card.
"""

import argparse
import pathlib
from collections.abc import Sequence

from echogan_jax import command
from echogan_jax.command import BadInput
from echogan_jax.data.files import replacing

SUFFIXES = ('.stablehlo', '.onnx', '.pth')


def main(argv: Sequence[str]) -> None:
  """Load a checkpoint and write it in the format that the suffix names."""
  flags = _flags(argv)
  output = flags.output
  if output.suffix not in SUFFIXES:
    raise BadInput(f'--output={output}: end it in {", ".join(SUFFIXES)}')
  if output.exists() and not output.is_file():
    raise BadInput(f'--output={output} is there and no file: choose another')
  if flags.python and output.suffix != '.onnx':
    raise BadInput(f'--python is for ONNX, and {output.name} is none')
  workdir = command.existing(flags.workdir, '--workdir')
  with replacing(output) as part:
    part.touch()  # what cannot be written should fail before the long part
    told = _write(part, workdir, flags)
  if told:
    print(told)
  print(output)


def _write(
  part: pathlib.Path, workdir: pathlib.Path, flags: argparse.Namespace
) -> str:
  from echogan_jax import models
  from echogan_jax.training import enhancer

  model = enhancer.load(workdir, step=flags.step)
  if flags.output.suffix == '.pth':
    from echogan_jax.exchange import pytorch

    pytorch.write(part, model)
    return ''
  from echogan_jax.exchange import card, onnx, stablehlo

  about = card.describe(workdir, model)
  config, params = model.config['model'], model.ema['enhance']
  if flags.output.suffix == '.onnx':
    return onnx.write(part, config, params, about, python=flags.python)
  generator = models.generators(config).generator
  return stablehlo.write(part, generator, params, about)


def _flags(argv: Sequence[str]) -> argparse.Namespace:
  parser = command.parser('export', __doc__)
  add = parser.add_argument
  add('--workdir', required=True, help='of the training run')
  suffixes = ', '.join(SUFFIXES)
  add('--output', required=True, type=pathlib.Path, help=f'ends in {suffixes}')
  add('--step', type=int, help='of the checkpoint: the newest')
  add('--python', help='interpreter that has jax2onnx: this one')
  return parser.parse_args(argv)


if __name__ == '__main__':
  command.run(main)
