"""Read and write PyTorch's checkpoints without PyTorch, and without trust.

A checkpoint is a pickle, which is a program, beside raw storages. Here that
program may build mappings and views of arrays; nothing else that it names is
run. PyTorch wrote a bare stream until 1.5 and has written a zip archive since.
"""

import io
import pathlib
import pickle
import pickletools
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from echogan_jax.command import BadInput
from echogan_jax.data.files import replacing

_TYPES = {
  'BFloat16Storage': jnp.bfloat16,
  'BoolStorage': np.bool_,
  'ByteStorage': np.uint8,
  'CharStorage': np.int8,
  'DoubleStorage': np.float64,
  'FloatStorage': np.float32,
  'HalfStorage': np.float16,
  'IntStorage': np.int32,
  'LongStorage': np.int64,
  'ShortStorage': np.int16,
}
_MAGIC = (0x1950A86A20F9469CFC6C, 1001)  # and the version of the stream
_ORDERED = b'ccollections\nOrderedDict\n' + pickle.EMPTY_TUPLE + pickle.REDUCE


def read(path: pathlib.Path) -> dict[str, Any]:
  """Read what `torch.save` wrote, each tensor as an array.

  Args:
    path: a state_dict, or mappings and lists that hold some, in either format.

  Returns:
    The mapping as it was saved, `{'state_dict': {…}}` for instance: which part
    holds the weights is the caller's to know. Tensors that shared a storage
    still do; bfloat16 stays the type of that name in `jax.numpy`.

  Raises:
    BadInput: the file is missing, damaged, no checkpoint, or names anything
      but tensors.
  """
  try:
    content = path.read_bytes()
    archived = content.startswith(b'PK')
    found = (_read_archive if archived else _read_stream)(content)
  except BadInput as error:
    raise BadInput(f'{path} {error}') from error
  except OSError as error:
    raise BadInput(f'{path} cannot be read: {error.strerror}') from error
  except Exception as error:  # a pickle is a program: it may fail in any way
    raise BadInput(
      f'{path} is damaged, or no PyTorch checkpoint: fetch or save it again'
    ) from error
  if not isinstance(found, Mapping):
    raise BadInput(f'{path} holds no mapping: save a state_dict')
  return dict(found)


class _Reader(pickle.Unpickler):
  """Rebuild tensors on storages that are filled later.

  Attributes:
    storages: by their key in the file, of the size that is claimed.
  """

  def __init__(self, stream: io.BytesIO, limit: int) -> None:
    """Look at a pickle before it is run.

    Args:
      stream: at the start of the pickle.
      limit: bytes that all storages may claim together.
    """
    start = stream.tell()
    for step, (opcode, place, _) in enumerate(pickletools.genops(stream)):
      # the unpickler makes room up to any place in its memo that is named
      if opcode.name in ('PUT', 'BINPUT', 'LONG_BINPUT') and place > step:
        raise ValueError('a place in the memo out of order')
    stream.seek(start)
    super().__init__(stream, encoding='utf-8')
    self.storages: dict[str, np.ndarray] = {}
    self._left = limit

  def find_class(self, module: str, name: str) -> Callable | str:
    """Return what tensors need, or raise BadInput."""
    match module, name:
      case 'collections', 'OrderedDict':
        return OrderedDict
      case 'torch._utils', '_rebuild_tensor_v2':
        return self._tensor
      case 'torch._utils', '_rebuild_parameter':
        return self._parameter
      case 'torch', _ if name in _TYPES:
        return name
    raise BadInput(
      f'names {module}.{name}, which no tensor needs: save a state_dict'
    )

  def persistent_load(self, pid: tuple) -> np.ndarray:
    """Return the storage that a tensor refers to."""
    word, kind, key, _, count, *view = pid
    if word != 'storage' or any(view):
      raise ValueError('not a storage of its own')
    if key not in self.storages:
      self._left -= count * np.dtype(_TYPES[kind]).itemsize
      if self._left < 0:
        raise ValueError('more is claimed than the file holds')
      self.storages[key] = np.empty(count, _TYPES[kind])
    return self.storages[key]

  def _tensor(
    self,
    storage: np.ndarray,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    *_: Any,
  ) -> np.ndarray:
    # a view, whose bounds numpy checks: a stride of 0 cannot claim memory
    size, raw = storage.itemsize, storage.view(np.uint8)
    steps = [size * stride for stride in strides]
    return np.ndarray(shape, storage.dtype, raw, size * offset, steps)

  def _parameter(self, tensor: np.ndarray, *_: Any) -> np.ndarray:
    return tensor


def _fill(storage: np.ndarray, raw: bytes, order: str = 'little') -> None:
  memoryview(storage.view(np.uint8))[:] = raw  # which must fit exactly
  if order != sys.byteorder:
    storage.byteswap(inplace=True)


def _read_archive(content: bytes) -> Any:
  archive = zipfile.ZipFile(io.BytesIO(content))
  names = archive.namelist()
  if sum(info.file_size for info in archive.infolist()) > len(content):
    raise ValueError('more is claimed than the file holds')
  root = names[0].partition('/')[0]
  order = 'little'
  if f'{root}/byteorder' in names:
    order = archive.read(f'{root}/byteorder').decode()
  program = io.BytesIO(archive.read(f'{root}/data.pkl'))
  reader = _Reader(program, len(content))
  found = reader.load()
  for key, storage in reader.storages.items():
    _fill(storage, archive.read(f'{root}/data/{key}'), order)
  return found


def _read_stream(content: bytes) -> Any:
  stream = io.BytesIO(content)
  if tuple(_Reader(stream, 0).load() for _ in _MAGIC) != _MAGIC:
    raise ValueError('not the start of a checkpoint')
  _Reader(stream, 0).load()  # of the machine; storages are little-endian
  reader = _Reader(stream, len(content))
  found = reader.load()
  keys = _Reader(stream, 0).load()
  if set(keys) != set(reader.storages):
    raise ValueError('storages and tensors do not agree')
  for key in keys:
    storage = reader.storages[key]
    if struct.unpack('<q', stream.read(8)) != (storage.size,):
      raise ValueError('a storage of another size')
    _fill(storage, stream.read(storage.nbytes))
  return found


def write(path: pathlib.Path, state: Mapping[str, np.ndarray]) -> None:
  """Write float32 arrays as `torch.save` writes a state_dict.

  `torch.load(path, weights_only=True)` reads it. Equal arrays in equal order
  give equal bytes.
  """
  opcodes = [pickle.PROTO + b'\2', _ORDERED, pickle.MARK]
  for number, (key, array) in enumerate(state.items()):
    opcodes += [_text(key), *_described(str(number), array)]
  opcodes += [pickle.SETITEMS, pickle.STOP]
  members = {'data.pkl': b''.join(opcodes), 'byteorder': b'little'}
  for number, array in enumerate(state.values()):
    members[f'data/{number}'] = array.astype('<f4').tobytes()
  members['version'] = b'3\n'
  with replacing(path) as part, zipfile.ZipFile(part, 'w') as archive:
    for name, content in members.items():
      # `torch.load` reads what is stored, not what is deflated
      archive.writestr(zipfile.ZipInfo(f'archive/{name}'), content)


def _described(key: str, array: np.ndarray) -> Iterator[bytes]:
  """Yield the opcodes of a call that rebuilds an array on its storage."""
  strides = np.empty(array.shape, np.int8).strides
  yield b'ctorch._utils\n_rebuild_tensor_v2\n' + pickle.MARK
  yield pickle.MARK + _text('storage') + b'ctorch\nFloatStorage\n'
  yield _text(key) + _text('cpu') + _whole(array.size)
  yield pickle.TUPLE + pickle.BINPERSID + _whole(0)
  for numbers in (array.shape, strides):
    yield pickle.MARK + b''.join(map(_whole, numbers)) + pickle.TUPLE
  # it asks for no gradient, and nothing is called when it gets one
  yield pickle.NEWFALSE + _ORDERED + pickle.TUPLE + pickle.REDUCE


def _text(value: str) -> bytes:
  content = value.encode()
  return pickle.BINUNICODE + struct.pack('<I', len(content)) + content


def _whole(number: int) -> bytes:
  return pickle.BININT + struct.pack('<i', number)
