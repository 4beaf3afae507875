"""Files from strangers: refused in one line, before memory is taken."""

import csv
import gzip
import io
import json
import os
import pickle
import struct
import zipfile
import zlib

import av
import numpy as np
import pytest
from PIL import Image

from echogan_jax import report
from echogan_jax.command import BadInput
from echogan_jax.data import (
  annotation,
  labels,
  limits,
  manifest,
  video,
  volumes,
)
from echogan_jax.data.layouts import camus, tracing, unity
from echogan_jax.data.sector import Sector
from echogan_jax.evaluation import case, judge, truth
from echogan_jax.page import pictures

PLACE = Sector(64, 64, (0, 0, 64), ((0, 0), (63, 0), (63, 63)))
MEGABYTES = 64  # that a refusal may take
BOMB = zlib.compress(bytes(200_000_000), 9)


@pytest.fixture
def cheaply():
  """Expect one line of BadInput from a call that takes little memory."""

  def peak():
    status = open('/proc/self/status').read().split('VmHWM:')[1]
    return int(status.split()[0]) / 1024

  def refused(read, match=''):
    with open('/proc/self/clear_refs', 'w') as file:
      file.write('5')  # the peak starts again from what is held now
    before = peak()
    with pytest.raises(BadInput, match=match) as error:
      read()
    assert peak() - before < MEGABYTES
    return error.value

  return refused


def chunk(kind, content):
  check = struct.pack('>I', zlib.crc32(kind + content))
  return struct.pack('>I', len(content)) + kind + content + check


def png(width, height, *more):
  head = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
  ends = chunk(b'IDAT', zlib.compress(bytes(4 * 13))), chunk(b'IEND', b'')
  first = b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head)
  return b''.join((first, *more, *ends))


def gif(width, height, count, inner=None):
  head = b'GIF89a' + struct.pack('<HHBBB', width, height, 0x80, 0, 0) + bytes(6)
  place = struct.pack('<HHHHB', 0, 0, *(inner or (width, height)), 0)
  return head + (b',' + place + b'\2\2\x4c\1\0') * count + b';'


def film():
  with av.open(made := io.BytesIO(), 'w', format='mp4') as file:
    stream = file.add_stream('mpeg4', rate=10)
    stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
    for _ in range(5):
      blank = np.zeros((48, 64, 3), np.uint8)
      file.mux(stream.encode(av.VideoFrame.from_ndarray(blank)))
    file.mux(stream.encode())
  content = bytearray(made.getvalue())
  struct.pack_into('>I', content, content.index(b'stts') + 12, 10_000_000)
  return bytes(content)


FILMED = {
  'side.png': (lambda: png(100_000, 100_000), 'too_large'),
  'long.png': (lambda: png(60_000, 1000), 'too_large'),
  'text.png': (lambda: png(4, 4, chunk(b'zTXt', b'k\0\0' + BOMB)), 'too large'),
  'itxt.png': (
    lambda: png(4, 4, chunk(b'iTXt', b'k\0\1\0\0\0' + BOMB)),
    'too large',
  ),
  'icc.png': (lambda: png(4, 4, chunk(b'iCCP', b'k\0\0' + BOMB)), 'too large'),
  'apng.png': (
    lambda: png(4000, 4000, chunk(b'acTL', struct.pack('>II', 10_000_000, 0))),
    'too_large',
  ),
  # Pillow would start Ghostscript
  'program.png': (lambda: b'%!PS-Adobe-3.0 EPSF-3.0\n' * 9, 'cannot identify'),
  'side.gif': (lambda: gif(65535, 65535, 1), 'too_large'),
  'many.gif': (lambda: gif(8000, 8000, 100), 'too_large'),
  'inner.gif': (lambda: gif(16, 16, 2, (60_000, 60_000)), 'too_large'),
  'cut.gif': (lambda: gif(16, 16, 1)[:20], 'cannot be decoded'),
  'long.mp4': (film, 'too_large'),
  'list.mp4': (lambda: b'#EXTM3U\nhttp://127.0.0.1:9/x.ts\n', 'no intact'),
  'other.mp4': (lambda: b'ffconcat version 1.0\nfile x\n', 'no intact'),
}


@pytest.mark.parametrize('name', FILMED)
def test_pictures_and_films(name, tmp_path, cheaply):
  content, match = FILMED[name]
  (tmp_path / name).write_bytes(content())
  cheaply(lambda: video.read(tmp_path / name), match)


READERS = {
  'a.png': video.read,
  'a.npz': lambda path: annotation.read(path, [0], PLACE, 32),
  'judge.npz': judge.load,
  'labels.csv': labels.read,
  'FileList.csv': lambda path: list(tracing.rows(path, 'FileName')),
  'labels-all.json': lambda path: list(unity._load(path)),
  'Info_4CH.cfg': camus._facts,
}


@pytest.mark.parametrize('name', READERS)
def test_pipes_and_devices_are_not_read(name, tmp_path, cheaply):
  os.mkfifo(tmp_path / 'pipe')
  for target in (tmp_path / 'pipe', '/dev/zero'):
    path = tmp_path / name
    path.unlink(missing_ok=True)
    path.symlink_to(target)
    cheaply(lambda: READERS[name](tmp_path / name), 'is no file')


def nifti(shape, kind=2, *, content=b'', offset=352, magic=b'n+1'):
  header = np.zeros((), volumes.NIFTI)
  header['sizeof_hdr'], header['datatype'], header['pixdim'] = 348, kind, 1
  header['dim'][: len(shape) + 1] = len(shape), *shape
  header['vox_offset'], header['magic'] = offset, magic
  return header.tobytes() + content


def metaimage(shape='8 8', *, kind='MET_UCHAR', data='LOCAL', more=''):
  return (
    f'NDims = {len(shape.split())}\nDimSize = {shape}\n{more}'
    f'ElementType = {kind}\nElementDataFile = {data}\n'
  ).encode() + bytes(64)


PACKED = 'CompressedData = True\n'
VOLUMES = {
  'shape.nii': (nifti((30_000, 30_000, 3000)), 'too_large'),
  'kind.nii': (nifti((1000, 1000, 100), 64, content=bytes(999)), 'truncated'),
  'negative.nii': (nifti((-9, -9, 9)), 'bad_geometry'),
  'offset.nii': (nifti((8, 8), content=bytes(64), offset=1e18), 'unreadable'),
  'nan.nii': (nifti((8, 8), content=bytes(64), offset=np.nan), 'unreadable'),
  'pair.nii': (nifti((8, 8), content=bytes(64), magic=b'ni1'), 'unreadable'),
  'shape.mha': (metaimage('100000 100000 9'), 'too_large'),
  'double.mha': (
    metaimage('1000 1000 1000', kind='MET_DOUBLE', more=PACKED),
    'too_large',
  ),
  'packed.mha': (metaimage('1000 1000 1000', more=PACKED), 'truncated'),
  'many.mha': (metaimage(more='ElementNumberOfChannels = 300\n'), 'bad_geom'),
  'digits.mha': (metaimage('9' * 5000 + ' 8'), 'unreadable'),
  'passwd.mhd': (metaimage(data='/etc/passwd'), 'outside_input'),
  'up.mhd': (metaimage(data='../secret.raw'), 'outside_input'),
  'list.mhd': (metaimage(data='LIST'), 'outside_input'),
  'link.mhd': (metaimage(data='link.raw'), 'outside_input'),
}


@pytest.mark.parametrize('name', VOLUMES)
def test_volumes(name, tmp_path, cheaply):
  content, match = VOLUMES[name]
  folder = tmp_path / 'data'
  folder.mkdir()
  (tmp_path / 'secret.raw').write_bytes(bytes(64))
  (folder / 'link.raw').symlink_to(tmp_path / 'secret.raw')
  (folder / name).write_bytes(content)
  volumes._sitk()  # which takes its memory when it is loaded
  cheaply(lambda: volumes.read(folder / name), match)


def test_a_volume_inflates_no_further_than_its_claim(tmp_path):
  pixels = gzip.compress(nifti((8, 8), content=bytes(64)))
  endless = gzip.compress(bytes(1 << 24))
  (tmp_path / 'a.nii.gz').write_bytes(pixels + 200 * endless)
  read, seen = gzip.GzipFile.read, []

  def counted(file, size=-1):
    found = read(file, size)
    seen.append(len(found))
    return found

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(gzip.GzipFile, 'read', counted)
    frames, _ = volumes.read(tmp_path / 'a.nii.gz')
  assert frames.shape == (1, 8, 8) and sum(seen) < 1 << 25


class Program:
  def __reduce__(self):
    return os.abort, ()


def array(shape, kind='|u1', content=b'', version=1):
  text = repr({'descr': kind, 'fortran_order': False, 'shape': shape}).encode()
  size = struct.pack('<H' if version == 1 else '<I', len(text) + 1)
  return b'\x93NUMPY' + bytes([version, 0]) + size + text + b'\n' + content


ZEROS = bytes(300_000_000)
ARRAYS = {
  'claim': lambda: array((4000, 32_768, 32_768)),
  'bomb': lambda: array((300, 1000, 1000), content=ZEROS),
  'header': lambda: b'\x93NUMPY\2\0' + struct.pack('<I', 1 << 31) + ZEROS,
  'objects': lambda: array((1,), '|O', pickle.dumps(Program())),
  'rank': lambda: array((64,), content=bytes(64)),
  'text': lambda: b'hello',
}


@pytest.mark.parametrize('name', ARRAYS)
def test_arrays(name, tmp_path, cheaply):
  path = tmp_path / 'a.npz'
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as file:
    content = ARRAYS[name]()
    for member in ('mask', *truth._ARRAYS[:2], *truth._ARRAYS[3:]):
      file.writestr(f'{member}.npy', content if member == 'mask' else b'')
    for member in ('card', 'anatomy', 'lvh'):
      file.writestr(f'{member}.npy', content if len(content) < 9999 else b'')
  del content
  cheaply(lambda: annotation.read(path, [0], PLACE, 32), 'mask|magic')
  cheaply(lambda: truth.read(path, PLACE, 32))
  cheaply(lambda: judge.load(path), 'no judge')
  assert truth.findings(path) == {}


def test_a_manifest_leads_nowhere(tmp_path):
  data = tmp_path / 'data'
  (data / 'frames').mkdir(parents=True)
  Image.new('L', (64, 64)).save(tmp_path / 'secret.png')
  (data / 'frames' / 'link.png').symlink_to(tmp_path / 'secret.png')
  row = dict.fromkeys(manifest._NEEDED, 'x') | {'frame': '0', 'width': '64'}
  row |= {'sector': PLACE.to_json(), 'domain': 'low', 'split': 'test'}
  row |= {'mm_per_pixel_x': '', 'source_sha256': '../../secret'}

  def read(**changes):
    with (data / 'manifest.csv').open('w', newline='') as file:
      table = csv.DictWriter(file, row)
      table.writeheader()
      table.writerow(row | changes)
    source = case.source(data, 'test', 64)
    return case.read(source, case.rows(source, 'low'))

  for path in ('../secret.png', str(tmp_path / 'secret.png')):
    with pytest.raises(BadInput, match='leads out of the folder'):
      read(path=path)
  with pytest.raises(BadInput, match='leads out of the folder'):
    read(path='frames/link.png')
  for changes in ({'width': '9' * 5000}, {'width': '-1'}, {'frame': 'x'}):
    with pytest.raises(BadInput, match='is no number'):
      read(**changes)
  huge = {'height': 10**9, 'width': 10**9, 'box': [0, 0, 10**9]}
  for text in ('{', '[]', json.dumps(huge | {'polygon': [[0, 0]]}), '[' * 9999):
    with pytest.raises(BadInput, match='no sector in the manifest'):
      read(sector=text)
  (tmp_path / 'secret.npz').write_bytes(b'')
  (data / 'truth').mkdir()
  assert annotation.of(data / 'truth', '../../secret') is None
  with pytest.raises(BadInput, match='leads out'):
    limits.within(data, 'frames/\0')


MARK = '"><img src=x onerror=alert(1)></script><script>alert(1)</script>\ud800'


def poison(found):
  """Return JSON with a mark in every string and beside every key."""
  if isinstance(found, dict):
    marked = {k: poison(v) for k, v in found.items()}
    return marked | {f'{k}{MARK}': poison(v) for k, v in found.items()}
  if isinstance(found, list):
    return [poison(one) for one in found]
  return MARK if isinstance(found, str) else found


EVALUATION = {
  'step': 4,
  'split': 'test',
  'method': 'x',
  'config_sha256': 'x',
  'judge_sha256': 'x',
  'metrics': {'psnr/input': 1.0, 'psnr/enhanced': 2.0, 'ef_bias': 1.0},
  'changes': {'psnr': {'mean': 1, 'low': 0.5, 'high': 2, 'patients': 9}},
  'intervals': {'recovery': [0.1, 0.2]},
  'agreement': {'ef': {'input': {'bias': 1, 'low': 0, 'high': 2, 'count': 9}}},
  'extractors': {'vgg16': {'sha256': 'x', 'images': 4}},
  'skipped': {'fid': 'x'},
}


@pytest.fixture
def poisoned(tmp_path):
  """Write a workdir whose every string is an attack."""
  run = tmp_path / f'run{MARK[:20]}'
  folder = run / 'eval' / 'te"><script>alert(1)'
  for name in (folder / 'pictures', run / 'enhanced', run / 'samples'):
    name.mkdir(parents=True)
  (run / 'config.json').write_text(json.dumps(poison({'name': 'x'})))
  losses = {'step': 1, f'loss/{MARK}': 1.0, 'eval/psnr': 1.0, MARK: MARK}
  (run / 'metrics.jsonl').write_text(json.dumps(losses) + '\n')
  alarm = {'step': 1, 'alarm': MARK, 'action': MARK}
  (run / 'alarms.jsonl').write_text(json.dumps(alarm) + '\n')
  about = {'columns': [MARK] * 2, 'patient': MARK, 'values': {MARK: 1.0}}
  about |= {'kind': MARK, 'lv_area_cm2': {MARK: [1.0]}}
  found = poison(EVALUATION)
  found['findings'] = {MARK: {'prevalence': {'truth': 0.5}}}
  found['pictures'] = [about | {'file': 'pictures/a.png'}]
  found['clips'] = [about | {'file': 'pictures/a.gif'}]
  (folder / 'metrics.json').write_text(json.dumps(found))
  for path in ('pictures/a.png', 'pictures/a.gif'):
    Image.new('L', (64, 32)).save(folder / path)
  Image.new('L', (9, 9)).save(run / 'enhanced' / 'a"><script>alert(1).gif')
  Image.new('L', (9, 9)).save(run / 'samples' / 'step_1.png')
  marked = MARK[:-1]
  rows = f'patient,psnr/input,psnr/enhanced\n"{marked}",1,2\nb,{marked},x,x,x\n'
  for name in ('per_image.csv', 'per_clip.csv'):
    (folder / name).write_text(rows)
  point = {'variant': MARK, 'share': 0.5, 'prevalence': 0.5}
  slope = {'mean': 1, 'low': 1, 'high': 2}
  sweep = {'finding': MARK, 'points': [point], 'slopes': {MARK: slope}}
  (run / 'eval' / 'hallucination.json').write_text(json.dumps(sweep))
  return run


def test_no_string_reaches_the_page_raw(poisoned):
  report.main([f'--workdir={poisoned}'])
  page = (poisoned / 'report.html').read_text()
  assert page.count('&lt;script&gt;alert(1)') > 20
  assert page.count('<script') == page.count('</script') == 1
  assert '<img src=x' not in page and '"><img src=x' not in page


def test_the_page_embeds_no_file_from_elsewhere(poisoned, tmp_path):
  secret = tmp_path / 'secret.png'
  secret.write_bytes(b'a private key')
  (poisoned / 'samples' / 'step_2.png').symlink_to(secret)
  (poisoned / 'samples' / 'step_x.png').write_bytes(b'')
  (poisoned / 'enhanced' / 'b.gif').symlink_to(secret)
  assert [step for step, _ in pictures.samples(poisoned)] == [1]
  assert len(pictures.enhanced(poisoned)) == 1
  (poisoned / 'samples' / 'step_3.png').write_bytes(b'a private key')
  with pytest.raises(BadInput, match=r'step_3\.png is damaged'):
    pictures.samples(poisoned)


@pytest.mark.parametrize(
  ('name', 'content'),
  [
    ('eval/*/metrics.json', b'{"metrics": ' + b'[' * 99_999),
    ('eval/*/metrics.json', b'{"metrics": {"a": 1' + b'0' * 400 + b'}}'),
    ('eval/*/pictures/a.png', png(100_000, 100_000)),
    ('eval/*/pictures/a.gif', gif(8000, 8000, 100)),
    ('eval/*/per_image.csv', b'"' + b'x' * 200_000),
    ('metrics.jsonl', b'[]\n'),
    ('metrics.jsonl', b'{"step": []}\n'),
    ('metrics.jsonl', b'{"step": 1' + b'0' * 400 + b'}\n'),
    ('config.json', b'[' * 99_999),
  ],
)
def test_damage_to_a_workdir_is_one_line(name, content, poisoned, cheaply):
  (path,) = poisoned.glob(name)
  path.write_bytes(content)
  cheaply(lambda: report.main([f'--workdir={poisoned}']), 'damaged')
