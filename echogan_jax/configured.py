"""Command lines with a config: the file, its overrides, and flags beside it."""

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from echogan_jax import command


def read(
  argv: Sequence[str], *names: str
) -> tuple[ConfigDict | None, dict[str, str | None]]:
  """Return the config, None without `--config`, and the other flags by name.

  Args:
    argv: `--config=FILE`, `--config.KEY=VALUE` and flags of text.
    *names: of those flags; each is None unless it is given.

  Raises:
    BadInput: a flag, a key, a value or the file cannot be used.
  """
  own = flags.FlagValues()
  config_flags.DEFINE_config_file(
    'config', lock_config=True, flag_values=own, sys_argv=['', *argv]
  )
  for name in names:
    flags.DEFINE_string(name, None, name, flag_values=own)
  for word in argv:
    if word.startswith('--config='):
      # configs import each other as `configs.NAME`, wherever this is run
      folder = Path(word.removeprefix('--config=')).resolve().parent
      sys.path.append(str(folder.parent))
  try:
    left = own(['', *argv])[1:]
    config = own.config
    _ = config and config.data.dir  # a config that failed to load fails now
  except (LookupError, AttributeError) as error:
    # a key in quotes, perhaps with a suggestion, itself quoted once more
    key = str(error.args[0]).replace('\\n', ' ').replace('\\', '')
    key = key.replace("'", '').strip('"')
    raise command.BadInput(f'unknown config key {key}') from error
  except (flags.Error, TypeError, ValueError) as error:
    raise command.BadInput(str(error)) from error
  except (OSError, ImportError, SyntaxError) as error:
    raise command.BadInput(f'--config: {error}') from error
  if left:
    raise command.BadInput(f'{left[0]}: not a flag; write --config.KEY=VALUE')
  return config, {name: own[name].value for name in names}
