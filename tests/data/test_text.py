"""Text in the sector: found wherever it stands, never in mere speckle."""

import os
import pathlib
import socket
import subprocess
import sys
import zipfile

import deid_data.data
import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw, ImageFont
from pydicom.data import get_testdata_file

from echogan_jax.command import BadInput
from echogan_jax.data import dicom, phantom, sector, text
from echogan_jax.data.clip import luma


@pytest.fixture(scope='module')
def study():
  return phantom.simulate(5, size=128, frames=4)


def written(frames, words, place, *, size=12, bar=False):
  """Write made-up words over frames, white or black on a white bar."""
  canvas = Image.new('LA', frames.shape[:0:-1])
  draw = ImageDraw.Draw(canvas)
  font = ImageFont.load_default(size)
  box = draw.textbbox(place, words, font=font)
  if bar:
    draw.rectangle((box[0] - 2, box[1] - 2, box[2] + 2, box[3] + 2), (220, 255))
  draw.text(place, words, (0 if bar else 255, 255), font=font)
  level, ink = np.moveaxis(np.asarray(canvas).astype(float), -1, 0)
  mixed = frames + (level - frames) * ink / 255
  return mixed.round().astype(np.uint8), box


def meet(one, two):
  return max(one[0], two[0]) < min(one[2], two[2]) and max(
    one[1], two[1]
  ) < min(one[3], two[3])


@pytest.mark.parametrize('bar', [False, True])
@pytest.mark.parametrize('words', ['QUILL, ADA', '12/03/1957'])
@pytest.mark.parametrize('size', [10, 14])
def test_text_over_tissue_is_found_where_it_is(study, words, size, bar):
  frames, box = written(study.degraded, words, (30, 60), size=size, bar=bar)
  finds = text.search(frames, study.fan)
  assert len(finds) == 1
  assert meet(finds[0].box, box)
  assert 0.5 <= finds[0].score <= 1


def test_what_was_read_is_not_kept():
  assert text.Find._fields == ('box', 'score')


@pytest.mark.parametrize('seed', [5, 6, 7])
def test_speckle_is_no_text(seed):
  found = phantom.simulate(seed, size=128, frames=3)
  assert not text.search(found.clean, found.fan)
  assert not text.search(found.degraded, found.fan)


def test_text_outside_the_sector_does_not_count(study):
  black = np.zeros((4, 128, 300), np.uint8)
  black[:, :, :128] = study.clean
  inside = np.zeros((128, 300), bool)
  inside[:, :128] = study.fan
  frames, _ = written(black, 'Velmora 88201', (170, 60), size=16)
  assert not text.search(frames, inside)
  assert text.search(frames, np.ones_like(inside))


def test_boxes_count_from_the_frame_not_from_the_sector(study):
  frames = np.zeros((1, 200, 300), np.uint8)
  frames[:, 60:188, 150:278] = study.clean[:1]
  inside = np.zeros((200, 300), bool)
  inside[60:188, 150:278] = study.fan
  frames, box = written(frames, 'OKAFOR', (190, 130), size=14)
  (find,) = text.search(frames, inside)
  assert np.abs(np.subtract(find.box, box)).max() < 8


def test_each_of_two_frames_is_read(study):
  frames = study.clean[:2].copy()
  frames[1:], _ = written(frames[1:], 'MRN 00483', (35, 60))
  assert not text.search(frames[:1], study.fan)
  assert text.search(frames, study.fan)


def test_no_sector_holds_no_text(study):
  assert text.search(study.clean, np.zeros_like(study.fan)) == []


def test_it_stays_off_the_network_and_the_terminal(monkeypatch, capfd, study):
  def refuse(*_, **__):
    raise AssertionError('the network')

  for name in ('socket', 'create_connection', 'getaddrinfo'):
    monkeypatch.setattr(socket, name, refuse)
  text._reader.cache_clear()
  frames, _ = written(study.clean, 'QUILL, ADA', (30, 60))
  assert text.search(frames, study.fan)
  assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize('missing', ['rapidocr', 'onnxruntime'])
def test_a_missing_extra_is_named(monkeypatch, study, missing):
  assert text.available()
  monkeypatch.setitem(sys.modules, missing, None)
  text._reader.cache_clear()
  assert not text.available()
  with pytest.raises(BadInput, match=r'echogan_jax\[ocr\]'):
    text.search(study.clean, study.fan)


def test_a_real_clip_has_text_beside_its_sector_only():
  name = get_testdata_file('color3d_jpeg_baseline.dcm', download=False)
  clip = dicom.read(pathlib.Path(name))
  frames, found = clip.grey[:8], sector.find(clip)
  assert not text.search(frames, found.mask())
  small = sector.crop(frames, found, 256)
  assert not text.search(small, sector.crop_mask(found, 256))
  beside = text.search(frames, ~found.mask())
  assert any(find.box[1] > 440 for find in beside)  # the soft keys' labels


def first_frame(name):
  """Return the first frame of a zipped cine, and the region it declares."""
  folder = pathlib.Path(deid_data.data.get_dataset('ultrasounds'))
  with zipfile.ZipFile(folder / f'{name}.zip') as archive:
    with archive.open(f'{name}.dcm') as file:
      header = pydicom.dcmread(file, stop_before_pixels=True)
    with archive.open(f'{name}.dcm') as file:
      shape = (1, header.Rows, header.Columns, header.SamplesPerPixel)
      whole = file.read(int(np.prod(shape)) + (1 << 20))
  start = whole.index(b'\xe0\x7f\x10\x00') + 12
  frame = np.frombuffer(whole, np.uint8, int(np.prod(shape)), start)
  area = header.SequenceOfUltrasoundRegions[0]
  x0, y0 = area.RegionLocationMinX0, area.RegionLocationMinY0
  x1, y1 = area.RegionLocationMaxX1, area.RegionLocationMaxY1
  inside = np.zeros(shape[1:3], bool)
  inside[y0 : y1 + 1, x0 : x1 + 1] = True
  frame = frame.reshape(shape)
  return luma(frame if shape[3] == 3 else frame[..., 0]), inside


@pytest.mark.parametrize('name', ['GREYSCALE_CINE', 'RGB_CINE'])
def test_a_real_name_above_the_image_is_found(name):
  frame, inside = first_frame(name)
  top = np.zeros_like(inside)
  top[: int(np.flatnonzero(inside.any(axis=1))[0])] = True
  assert text.search(frame, top)


def test_real_text_typed_into_the_image_is_found():
  frame, inside = first_frame('RGB_CINE')
  assert any(find.box[1] > 600 for find in text.search(frame, inside))


def test_the_reader_leaves_no_trace_of_its_makers(tmp_path):
  code = """
import numpy as np
from echogan_jax.data import text
grey = np.random.default_rng(0).integers(0, 99, (1, 64, 64), np.uint8)
text.search(grey, np.ones((64, 64), bool))
"""
  root = pathlib.Path(__file__).parents[2]
  own = {
    'TMPDIR': str(tmp_path),
    'HOME': str(tmp_path),
    'PYTHONPATH': str(root),
  }
  subprocess.run([sys.executable, '-c', code], env=os.environ | own, check=True)
  # onnxruntime keeps an id there, by which its makers would know us again
  assert not [path for path in tmp_path.rglob('*') if path.is_file()]
