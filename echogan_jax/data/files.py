"""Files that are whole or not there, and the same bytes every time."""

import contextlib
import fcntl
import filecmp
import os
import pathlib
import zipfile
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from echogan_jax.command import BadInput

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date a ZIP file can hold


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Give a path to write to, and rename it to `path` if all went well.

  A file that would stay the same is left alone, with its time of change.

  Args:
    path: its folder is made if need be.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  part = path.with_name(f'.{path.name}.{os.getpid()}.part')
  try:
    yield part
    if not (path.is_file() and filecmp.cmp(part, path, shallow=False)):
      os.replace(part, path)
  finally:
    part.unlink(missing_ok=True)


def write(path: pathlib.Path, content: bytes) -> None:
  """Write a file whole or not at all, with its folders."""
  with replacing(path) as part:
    part.write_bytes(content)


@contextlib.contextmanager
def alone(folder: pathlib.Path) -> Iterator[None]:
  """Keep other runs out of a folder: each would remove what the other writes.

  Raises:
    BadInput: one is at it.
  """
  folder.mkdir(parents=True, exist_ok=True)
  opened = os.open(folder, os.O_RDONLY)
  try:
    fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError as error:
    os.close(opened)
    raise BadInput(
      f'another run is writing to {folder}: wait for it'
    ) from error
  except OSError:
    pass  # some network disks cannot lock: no reason not to run there
  try:
    yield
  finally:
    os.close(opened)


def state(folder: pathlib.Path, names: Iterable[str]) -> dict[str, list[int]]:
  """Return size and time of files below a folder: they change as they do.

  What is not there has an empty list.
  """
  result = {}
  for name in names:
    try:
      found = (folder / name).stat()
    except OSError:
      result[name] = []
    else:
      result[name] = [found.st_size, found.st_mtime_ns]
  return result


def write_npz(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
  """Write arrays for `numpy.load`; equal arrays give equal bytes.

  `numpy.savez` stamps each member with the time of writing.
  """
  with replacing(path) as part, zipfile.ZipFile(part, 'w') as archive:
    for name, array in arrays.items():
      member = zipfile.ZipInfo(f'{name}.npy', _EPOCH)
      member.compress_type = zipfile.ZIP_DEFLATED
      with archive.open(member, 'w', force_zip64=True) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)
