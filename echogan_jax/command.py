"""How every verb reads its flags and how it fails."""

import argparse
import errno
import importlib
import os
import pathlib
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

_DISK = {
  errno.ENOSPC: 'the disk is full: free some space and run it again',
  errno.EDQUOT: 'the quota is used up: free some space and run it again',
  errno.EROFS: 'the folder is read-only: choose another one',
  errno.EFBIG: 'a file may not grow that large here: see ulimit -f',
  errno.EACCES: 'permission denied: check who owns it',
}


class BadInput(Exception):
  """What a person gave cannot be used: one line with what, where, what to do.

  Raised anywhere below a verb; `run` prints the line and exits with status 2.
  """


class Parser(argparse.ArgumentParser):
  """An argument parser whose errors are one line on stderr, status 2."""

  def error(self, message: str) -> NoReturn:
    """Print one line and leave with status 2."""
    self.exit(2, f'{self.prog}: {message} (see --help)\n')


def parser(verb: str, doc: str | None) -> Parser:
  """Return the parser of `python -m echogan_jax.VERB`."""
  return Parser(
    prog=f'python -m echogan_jax.{verb}',
    description=doc,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )


def chain(lines: Sequence[str], workdir: pathlib.Path) -> None:
  """Run verbs in this process, one after the other.

  Args:
    lines: as `verb --flag=…`; {workdir} in them is replaced.
    workdir: by this folder.
  """
  for line in lines:
    verb, *rest = shlex.split(line)
    rest = [word.replace('{workdir}', str(workdir)) for word in rest]
    print('$ python -m', f'echogan_jax.{verb}', *map(shlex.quote, rest))
    sys.stdout.flush()
    importlib.import_module(f'echogan_jax.{verb}').main(rest)


def _one_line(error: BaseException) -> str:
  return ' '.join(str(error).split()) or type(error).__name__


def run(
  main: Callable[[Sequence[str]], None],
  leave: Callable[[int], NoReturn] = sys.exit,
) -> NoReturn:
  """Run a verb as a program: bad input ends in one line and status 2.

  Args:
    main: takes the arguments without the program's name.
    leave: ends the program with a status.
  """
  try:
    main(sys.argv[1:])
  except BadInput as error:
    leave(_complain(_one_line(error)))
  except BrokenPipeError:  # the reader of our output left, as `| head` does
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
  except OSError as error:
    if error.errno not in _DISK and not error.filename:
      raise
    where = f'{error.filename}: ' if error.filename else ''
    leave(_complain(f'{where}{_DISK.get(error.errno, error.strerror)}'))
  except KeyboardInterrupt:
    leave(_complain('interrupted', 128 + signal.SIGINT))
  leave(0)


def _complain(line: str, status: int = 2) -> int:
  sys.stdout.flush()
  print(f'error: {line}', file=sys.stderr)
  return status


def existing(path: str, what: str) -> pathlib.Path:
  """Return `path`, or raise BadInput if nothing is there.

  Args:
    path: a file or folder that a flag names.
    what: what the flag is for, as the error should call it.
  """
  found = pathlib.Path(path).expanduser()
  if not found.exists():
    raise BadInput(f'{what} {path} does not exist')
  return found
