"""PyTorch's own files read and written exactly; hostile ones refused."""

import os
import pathlib
import pickle
import pickletools
import struct
import tracemalloc
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest

from echogan_jax.command import BadInput
from echogan_jax.models.torch_file import read, write

HERE = pathlib.Path(__file__).parents[1] / 'reference' / 'pth'
MAGIC = 0x1950A86A20F9469CFC6C
PROGRAM = (
  '(dVw\nctorch._utils\n_rebuild_tensor_v2\n'
  '((Vstorage\nctorch\n{kind}\nV0\nVcpu\nI{count}\ntQ'
  'I{offset}\n(I{size}\nt(I{stride}\nttRs.'
)
PAIR = {'kind': 'FloatStorage', 'count': 2, 'offset': 0, 'size': 2, 'stride': 1}
VALUES = np.array([1.5, -2.0], np.float32)


class Command:
  def __reduce__(self):
    return os.system, ('touch ran',)


def archive(path, program, raw=b'', *, order=b'little', method=0):
  with zipfile.ZipFile(path, 'w', method) as file:
    file.writestr('w/data.pkl', program)
    file.writestr('w/byteorder', order)
    file.writestr('w/data/0', raw)
  return path


def stream(path, program):
  start = [pickle.dumps(part, 2) for part in (MAGIC, 1001, {})]
  size = struct.pack('<q', VALUES.size)
  end = pickle.dumps(['0'], 2) + size + VALUES.tobytes()
  path.write_bytes(b''.join(start) + program + end)
  return path


def tensor(**changes):
  return PROGRAM.format(**(PAIR | changes)).encode()


@pytest.mark.parametrize('name', ['plain', 'legacy'])
def test_weights_are_those_that_were_saved(reference, name):
  expected = reference('pth/expected')
  weights = read(HERE / f'{name}.pth')
  keys = [k for k in expected['keys_stale'] if 'num_batches' not in k]
  plain = expected['keys_plain']
  assert list(weights) == list(plain if name == 'plain' else keys)
  for sums, of in (('weight_sums', np.array), ('weight_abs_sums', np.abs)):
    found = [of(weights[key]).astype(np.float64).sum() for key in plain]
    np.testing.assert_array_equal(found, expected[f'{sums}_f64'])


@pytest.mark.parametrize('name', ['kinds', 'kinds_legacy'])
def test_every_kind_of_tensor_is_read(name):
  saved = read(HERE / f'{name}.pth')
  weights = saved.pop('state_dict')
  assert saved == {
    'epoch': 3,
    'rate': 2e-4,
    'name': 'kinds',
    'steps': [1, 2],
    'best': None,
  }
  whole = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)
  expected = {
    'whole': whole,
    'transposed': whole.transpose(2, 1, 0),
    'part': whole[1, 1:, ::2],
    'repeated': np.full((3, 2), 7.0, np.float32),
    'scalar': np.array(5),
    'empty': np.zeros((0, 3), np.float32),
    'parameter': np.array([1.5, -2.5], np.float32),
  }
  kinds = 'float32 float64 float16 int64 int32 int16 int8 uint8 bool'.split()
  for kind in (*kinds, jnp.bfloat16):
    expected[np.dtype(kind).name] = np.array([0, 1, 100]).astype(kind)
  assert set(weights) == set(expected)
  for key, array in expected.items():
    assert weights[key].dtype == array.dtype, key
    assert weights[key].shape == array.shape, key
    np.testing.assert_array_equal(weights[key], array)


@pytest.mark.parametrize('order', ['<', '>'])
def test_either_byte_order_is_read(tmp_path, order):
  raw = VALUES.astype(f'{order}f4').tobytes()
  name = {'<': b'little', '>': b'big'}[order]
  path = archive(tmp_path / 'w.pth', tensor(), raw, order=name)
  np.testing.assert_array_equal(read(path)['w'], VALUES)


def test_the_stream_written_here_is_one(tmp_path):
  path = stream(tmp_path / 'w.pth', tensor())
  np.testing.assert_array_equal(read(path)['w'], VALUES)


@pytest.mark.parametrize('write', [archive, stream])
def test_a_program_is_refused_and_not_run(tmp_path, monkeypatch, write):
  monkeypatch.chdir(tmp_path)
  program = pickle.dumps({'w': Command()}, 2)
  path = write(tmp_path / 'w.pth', program)
  with pytest.raises(BadInput, match=r'w\.pth names (posix|nt)\.system'):
    read(path)
  assert not (tmp_path / 'ran').exists()
  pickle.loads(program)  # that one does run a command
  assert (tmp_path / 'ran').exists()


def test_a_program_ahead_of_the_stream_is_refused(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  path = tmp_path / 'w.pth'
  path.write_bytes(pickle.dumps(Command()))
  with pytest.raises(BadInput, match=r'names (posix|nt)\.system'):
    read(path)
  assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('write', [archive, stream])
@pytest.mark.parametrize(
  'changes',
  [
    {'count': 1},
    {'count': 3},
    {'count': -2},
    {'count': 2**62},
    {'offset': 1},
    {'offset': -1},
    {'size': 3},
    {'size': -1},
    {'stride': 2},
    {'stride': -1},
    {'stride': 'x'},
    {'kind': 'DoubleStorage'},
  ],
  ids=str,
)
def test_tensors_stay_inside_their_storage(tmp_path, write, changes):
  raw = {'raw': VALUES.tobytes()} if write is archive else {}
  path = write(tmp_path / 'w.pth', tensor(**changes), **raw)
  with pytest.raises(BadInput, match='is damaged, or no PyTorch checkpoint'):
    read(path)


def test_types_that_are_not_read_are_named(tmp_path):
  path = archive(tmp_path / 'w.pth', tensor(kind='QInt8Storage'))
  with pytest.raises(BadInput, match=r'names torch\.QInt8Storage'):
    read(path)


@pytest.mark.parametrize(
  ('program', 'raw', 'cause'),
  [
    (tensor(count=2**25), b'', 'more is claimed'),
    (tensor(), bytes(2**25), 'more is claimed'),  # well compressed
    (b'\x80\x02}r' + struct.pack('<I', 2**22) + b'.', b'', 'memo'),
  ],
  ids=['storage', 'archive', 'memo'],
)
def test_claims_do_not_take_memory(tmp_path, program, raw, cause):
  path = archive(tmp_path / 'w.pth', program, raw, method=zipfile.ZIP_DEFLATED)
  tracemalloc.start()
  try:
    with pytest.raises(BadInput, match='is damaged') as refusal:
      read(path)
    _, peak = tracemalloc.get_traced_memory()
  finally:
    tracemalloc.stop()
  assert cause in str(refusal.value.__cause__)
  assert peak < 2**20


def test_a_repeated_value_takes_no_memory(tmp_path):
  program = tensor(size=2**40, stride=0)
  path = archive(tmp_path / 'w.pth', program, VALUES.tobytes())
  assert read(path)['w'].shape == (2**40,)


@pytest.mark.parametrize('name', ['plain', 'legacy', 'kinds', 'kinds_legacy'])
def test_truncated_files_are_refused(tmp_path, name):
  whole = (HERE / f'{name}.pth').read_bytes()
  path = tmp_path / 'cut.pth'
  for size in {*np.linspace(0, len(whole) - 1, 60).astype(int), 1, 2, 3, 4}:
    path.write_bytes(whole[:size])
    with pytest.raises(BadInput, match='cut.pth is damaged'):
      read(path)


def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path):
  whole = (HERE / 'kinds.pth').read_bytes()
  expected = read(HERE / 'kinds.pth')['state_dict']
  path = tmp_path / 'flipped.pth'
  refused = 0
  for place in range(0, len(whole), 11):
    changed = bytearray(whole)
    changed[place] ^= 1 << place % 8
    path.write_bytes(changed)
    try:
      found = read(path)['state_dict']
    except BadInput:
      refused += 1
      continue
    for key, array in expected.items():
      np.testing.assert_array_equal(found[key], array)
  assert refused > 100  # the rest fell on padding and dates


@pytest.mark.parametrize(
  'content', [b'', b'PK', b'weights', pickle.dumps({}), pickle.dumps(MAGIC)]
)
def test_other_files_are_refused(tmp_path, content):
  path = tmp_path / 'w.pth'
  path.write_bytes(content)
  with pytest.raises(BadInput, match='is damaged, or no PyTorch checkpoint'):
    read(path)


def test_what_is_no_mapping_is_refused(tmp_path):
  path = archive(tmp_path / 'w.pth', pickle.dumps([1.0], 2))
  with pytest.raises(BadInput, match='holds no mapping'):
    read(path)


def test_a_missing_file_is_refused(tmp_path):
  with pytest.raises(BadInput, match='cannot be read: No such file'):
    read(tmp_path / 'w.pth')
  with pytest.raises(BadInput, match='cannot be read: Is a directory'):
    read(tmp_path)


STATE = {
  'b.weight': np.arange(24, dtype=np.float32)
  .reshape(2, 3, 4)
  .transpose(2, 1, 0),
  'a.bias': VALUES,
  'scalar': np.array(5, np.float32),
}
TENSOR = (
  'BINUNICODE GLOBAL MARK MARK BINUNICODE GLOBAL BINUNICODE BINUNICODE BININT '
  'TUPLE BINPERSID BININT MARK {0} TUPLE MARK {0} TUPLE NEWFALSE GLOBAL '
  'EMPTY_TUPLE REDUCE TUPLE REDUCE'
)


def test_what_is_written_is_read_in_its_order(tmp_path):
  write(tmp_path / 'made' / 'w.pth', STATE)
  found = read(tmp_path / 'made' / 'w.pth')
  assert list(found) == list(STATE)
  for key, array in STATE.items():
    assert found[key].dtype == np.float32 and found[key].flags.c_contiguous
    np.testing.assert_array_equal(found[key], array)
  write(tmp_path / 'again.pth', STATE)
  again = (tmp_path / 'again.pth').read_bytes()
  assert again == (tmp_path / 'made' / 'w.pth').read_bytes()


def test_the_program_is_what_torch_load_allows(tmp_path):
  write(tmp_path / 'w.pth', STATE)
  program = zipfile.ZipFile(tmp_path / 'w.pth').read('archive/data.pkl')
  steps = [(op.name, value) for op, value, _ in pickletools.genops(program)]
  tensors = [TENSOR.format(' '.join(['BININT'] * n)) for n in (3, 1, 0)]
  expected = ['PROTO GLOBAL EMPTY_TUPLE REDUCE MARK', *tensors, 'SETITEMS STOP']
  assert [name for name, _ in steps] == ' '.join(expected).split()
  assert {value for name, value in steps if name == 'GLOBAL'} == {
    'collections OrderedDict',
    'torch._utils _rebuild_tensor_v2',
    'torch FloatStorage',
  }
  values = [v for name, v in steps if name in ('BININT', 'BINUNICODE')]
  # size of the storage and offset, then shape and strides in elements
  first = ['b.weight', 'storage', '0', 'cpu', 24, 0, 4, 3, 2, 6, 2, 1]
  assert values[: len(first)] == first


def test_the_archive_is_laid_out_as_pytorchs(tmp_path):
  write(tmp_path / 'w.pth', STATE)
  ours = zipfile.ZipFile(tmp_path / 'w.pth')
  theirs = zipfile.ZipFile(HERE / 'plain.pth')
  names = [name.partition('/')[2] for name in theirs.namelist()]
  made = ours.namelist()
  assert {name.partition('/')[0] for name in made} == {'archive'}
  assert {name.partition('/')[2] for name in made} <= set(names)
  assert made[0] == 'archive/data.pkl'
  for name in ('version', 'byteorder'):
    root = theirs.namelist()[0].partition('/')[0]
    assert ours.read(f'archive/{name}') == theirs.read(f'{root}/{name}')
  assert {info.compress_type for info in ours.infolist()} == {0}
  assert ours.read('archive/data/1') == VALUES.astype('<f4').tobytes()
