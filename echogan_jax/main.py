"""Train, or go on training: config in, workdir out.

  python -m echogan_jax.main --config=configs/cyclegan.py --workdir=W \
    --config.data.dir=DATA [--config.KEY=VALUE ...]

Run from the repository root. The same command goes on where it stopped.
"""

import os
import pathlib
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from ml_collections import ConfigDict

from echogan_jax import command, configured
from echogan_jax.training.interrupt import GO_ON, Interrupt, Stopped


def main(argv: Sequence[str]) -> None:
  """Run the commands before, train, run the commands after."""
  if {'--help', '-h', '--helpfull'} & set(argv):
    print(__doc__)
    return
  with Interrupt():
    try:
      _run(*_parse(argv))
    except Stopped:
      print(GO_ON)
    except Exception:  # an import that is interrupted fails in its own way
      if not Interrupt.leaving:
        raise
      print(GO_ON)


def _run(config: ConfigDict, workdir: pathlib.Path) -> None:
  import jax

  from echogan_jax.training import hosts, recipe

  there = config.parallel
  hosts.join(
    coordinator=there.coordinator,
    processes=there.processes,
    process=there.process,
  )
  first = jax.process_index() == 0
  if first:
    command.chain(config.before, workdir)
  step, end = _train(config, workdir), config.train.num_steps
  print(f'{workdir}: at step {step} of {end}')
  if step < end:
    raise Stopped
  if first:
    command.chain(config.after, workdir)
    recipe.finish(workdir)
  hosts.wait('it is finished')


def _parse(argv: Sequence[str]) -> tuple[ConfigDict, pathlib.Path]:
  config, given = configured.read(argv, 'workdir')
  if config is None or not given['workdir']:
    raise command.BadInput('--config=FILE and --workdir=FOLDER are needed')
  workdir = pathlib.Path(given['workdir']).expanduser()
  for part, key in ((config.data, 'dir'), (config.eval, 'truth')):
    part[key] = part[key].replace('{workdir}', str(workdir))
  return config, workdir


def _train(config: ConfigDict, workdir: pathlib.Path) -> int:
  """Train as far as it goes; return where that is."""
  import jax

  from echogan_jax.training import hosts, loop

  hosts.wait('the data are there')
  if not jax.config.jax_compilation_cache_dir:
    # going on after a stop then starts in seconds; not in the workdir, which
    # may come from a stranger: these are programs
    home = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
    place = str(pathlib.Path(home) / 'echogan_jax' / 'compiled')
    jax.config.update('jax_compilation_cache_dir', place)
  print(f'training on {loop.device_summary()}', flush=True)
  return loop.train(config, workdir)


def _program(argv: Sequence[str]) -> None:
  main(argv)
  # all is saved: what comes while Python takes itself apart changes nothing
  for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)


def _leave(status: int) -> NoReturn:
  jax = sys.modules.get('jax')
  if status and jax and jax.distributed.is_initialized():
    # JAX would wait for the others, who wait for this one
    sys.stderr.flush()
    os._exit(status)
  sys.exit(status)


if __name__ == '__main__':
  command.run(_program, leave=_leave)
