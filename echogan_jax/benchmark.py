"""Measure how fast a config trains here: step, compilation, memory, input.

  python -m echogan_jax.benchmark --config=configs/cyclegan.py \\
    [--config.KEY=VALUE ...] [--output=FILE.json]

Without --config.data.dir the frames are simulated, which takes a minute.
"""

import json
import pathlib
import tempfile
from collections.abc import Sequence

from echogan_jax import command, configured

_SMALLEST = 64  # pixels that a phantom can have
_DATA = (
  'phantom --output={workdir}/phantom --studies=20 --seed=1 --frames=4 '
  '--size=%d',
  'ingest --input={workdir}/phantom --output={workdir}/data '
  '--frames_per_clip=4 --size=%d',
)


def main(argv: Sequence[str]) -> None:
  """Measure, print, write."""
  if {'--help', '-h', '--helpfull'} & set(argv):
    print(__doc__)
    return
  config, given = configured.read(argv, 'output')
  if config is None:
    raise command.BadInput('--config=FILE is needed')
  output = given['output'] and pathlib.Path(given['output']).expanduser()
  if output and not output.resolve().parent.is_dir():
    raise command.BadInput(f'--output={output}: there is no such folder')
  from echogan_jax.training import gauge

  with tempfile.TemporaryDirectory() as folder:
    if not config.data.dir or '{workdir}' in config.data.dir:
      size = config.data.size
      sizes = max(size, _SMALLEST), size
      lines = [line % side for line, side in zip(_DATA, sizes, strict=True)]
      command.chain(lines, pathlib.Path(folder))
      config.data.dir = f'{folder}/data'
    found = gauge.measure(config)
  for name, value in found.items():
    print(f'{name:24s}', _said(value))
  if output:
    output.write_text(json.dumps(found, indent=2) + '\n', encoding='utf-8')


def _said(value: float | str | list[float]) -> str:
  if isinstance(value, list):
    return ' to '.join(map(_said, value))
  return f'{value:.4g}' if isinstance(value, float) else f'{value}'


if __name__ == '__main__':
  command.run(main)
