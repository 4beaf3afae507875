"""The sector: found on real and synthetic fans, cropped, pasted back."""

import io
import pathlib
import zipfile

import deid_data.data
import numpy as np
import pytest
from PIL import Image, ImageDraw
from pydicom.data import get_testdata_file

from echogan_jax.command import BadInput
from echogan_jax.data import dicom, sector
from echogan_jax.data.clip import Clip

_HEIGHT, _WIDTH = 150, 170


def fan():
  """Return a 90 degree sector, apex at the top."""
  y, x = np.mgrid[:_HEIGHT, :_WIDTH]
  x, y = x - _WIDTH / 2, y - 10
  return (np.abs(x) <= y) & (np.hypot(x, y) < 110)


def synthetic(dark=False):
  """Return a clip of a noisy fan beside marks and text."""
  rng = np.random.default_rng(0)
  frames = rng.gamma(2, 30, (6, _HEIGHT, _WIDTH)).clip(3, 255) * fan()
  if dark:
    frames[:, :, :60] *= 0.04  # a lung's shadow
  canvas = Image.new('L', (_WIDTH, _HEIGHT))
  draw = ImageDraw.Draw(canvas)
  draw.text((2, 2), 'MADE UP', fill=255)
  draw.line((_WIDTH - 4, 20, _WIDTH - 4, 140), fill=255)
  frames = np.maximum(frames, np.asarray(canvas)).astype(np.uint8)
  return Clip(frames=frames, times=np.arange(6) * 40.0)


def overlap(one, two):
  return (one & two).sum() / (one | two).sum()


def real(name):
  return dicom.read(pathlib.Path(get_testdata_file(name, download=False)))


@pytest.mark.parametrize('dark', [False, True])
def test_a_synthetic_fan_is_found(dark):
  found = sector.find(synthetic(dark))
  assert overlap(found.mask(), fan()) > 0.97
  assert not found.mask()[:12, :40].any()  # where the text is


def test_jpeg_noise_beside_the_fan_does_not_widen_it():
  clip = synthetic()
  coded = []
  for frame in clip.frames:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, 'JPEG', quality=80)
    coded.append(np.asarray(Image.open(buffer)))
  noisy = np.stack(coded)
  assert noisy[:, ~fan()].any()
  found = sector.find(Clip(frames=noisy, times=clip.times))
  assert overlap(found.mask(), fan()) > 0.97


def test_the_real_fan_is_found_with_and_without_its_region():
  whole = sector.find(real('color3d_jpeg_baseline.dcm'))
  mask = whole.mask()
  rows, columns = np.nonzero(mask)
  # read off the picture: probe, deepest point, both corners
  assert rows.min() == pytest.approx(44, abs=4)
  assert rows.max() == pytest.approx(402, abs=4)
  assert columns.min() == pytest.approx(84, abs=4)
  assert columns.max() == pytest.approx(595, abs=4)
  assert not mask[:, 600:].any() and not mask[420:].any()
  # the same frames at half size, first 30 only, region stale
  half = sector.find(real('examples_ybr_color.dcm')).mask()
  assert overlap(half, mask[::2, ::2]) > 0.95


def test_a_fan_in_parts_is_one_fan():
  clip = synthetic()
  frames = clip.frames.copy()
  frames[:, 55:75, 20:150] = 0  # blood, black from wall to wall
  found = sector.find(Clip(frames=frames, times=clip.times))
  assert overlap(found.mask(), fan()) > 0.97


def test_nothing_to_find():
  black = np.zeros((2, 40, 40), np.uint8)
  with pytest.raises(BadInput, match='black'):
    sector.find(Clip(frames=black, times=np.arange(2.0)))


def test_the_region_bounds_the_search():
  clip = synthetic()
  frames = clip.frames.copy()
  frames[:, 128:, 20:150] = 200  # a menu
  region = (0, 0, _WIDTH - 1, 124)
  bounded = Clip(frames=frames, times=clip.times, region=region)
  found = sector.find(bounded)
  assert overlap(found.mask(), fan()) > 0.97
  assert not found.mask()[125:].any()
  assert sector.check(bounded, found) == ()


@pytest.mark.parametrize(
  'region',
  [
    (60, 40, 100, 90),  # inside the fan
    (0, 0, 80, 149),  # half of it
    (0, 130, 169, 149),  # below it
    (0, 0, 42, 37),  # stale: text only
  ],
)
def test_a_region_that_misses_the_fan_is_not_trusted(region):
  clip = synthetic()
  wrong = Clip(frames=clip.frames, times=clip.times, region=region)
  found = sector.find(wrong)
  assert overlap(found.mask(), fan()) > 0.97
  assert sector.check(wrong, found) == (
    'the region in the header does not fit the image',
  )


def test_a_header_without_a_region_is_noted():
  clip = real('examples_ybr_color.dcm')
  found = sector.find(clip)
  assert sector.check(clip, found) == (
    'the sector was found without the header',
  )
  assert sector.check(synthetic(), sector.find(synthetic())) == ()


def test_a_picture_that_fills_its_frame_is_kept():
  rng = np.random.default_rng(0)
  frames = rng.integers(20, 250, (4, 112, 112), np.uint8)
  found = sector.find(Clip(frames=frames, times=np.arange(4.0)))
  assert found.mask().mean() > 0.99


def test_an_outline_that_is_not_convex_is_filled():
  notched = ((0, 0), (4, 4), (8, 0), (8, 8), (0, 8))
  mask = sector.Sector(10, 12, (0, 0, 9), notched).mask()
  y, x = np.mgrid[:10, :12]
  expected = (x <= 8) & (y <= 8) & (y >= np.minimum(x, 8 - x))
  np.testing.assert_array_equal(mask, expected)


# what the picture shows: boxes (x0, y0, x1, y1) of text, a point of tissue
_REAL = {
  'color3d_jpeg_baseline.dcm': (
    [(0, 0, 60, 60), (600, 20, 639, 280)],
    340,
    200,
  ),
  'examples_ybr_color.dcm': ([(0, 0, 30, 30), (300, 10, 319, 140)], 170, 100),
  'OBXXXX1A.dcm': ([(0, 0, 799, 58), (0, 66, 110, 255)], 460, 300),
  'OBXXXX1A_rle_2frame.dcm': ([(0, 0, 799, 58), (0, 66, 110, 255)], 460, 300),
  'US1_UNCR.dcm': ([(0, 20, 639, 100), (0, 350, 639, 479)], 320, 250),
  'US1_J2KI.dcm': ([(0, 20, 639, 100), (0, 350, 639, 479)], 320, 250),
}
_CLINICAL = {
  'GREYSCALE_IMAGE.dcm': ([(0, 0, 1023, 36), (0, 50, 85, 260)], 500, 600),
  'RGB_IMAGE.dcm': ([(0, 0, 1023, 55), (920, 64, 1023, 350)], 500, 400),
  'ultrasound-multiframe.dcm': (
    [(0, 50, 70, 270), (735, 60, 799, 290), (765, 565, 799, 580)],
    400,
    400,
  ),
  'GREYSCALE_CINE.zip': ([(0, 0, 799, 30), (0, 40, 74, 210)], 400, 450),
  'RGB_CINE.zip': ([(0, 0, 1015, 52), (860, 62, 1015, 300)], 400, 400),
}


def clinical(name, folder):
  path = pathlib.Path(deid_data.data.get_dataset('ultrasounds')) / name
  if path.suffix == '.zip':
    with zipfile.ZipFile(path) as archive:
      [member] = [
        n
        for n in archive.namelist()
        if n.endswith('.dcm') and not n.startswith('__')
      ]
      path = pathlib.Path(archive.extract(member, folder))
  return dicom.read(path)


def shows(clip, boxes, x, y):
  found = sector.find(clip)
  mask = found.mask()
  assert mask[y, x]
  for x0, y0, x1, y1 in boxes:
    assert not mask[y0 : y1 + 1, x0 : x1 + 1].any()
  corners = np.array(found.polygon)
  assert (corners >= 0).all()
  assert (corners < (found.width, found.height)).all()
  assert len(corners) <= 60


@pytest.mark.parametrize('name', _REAL)
def test_text_is_outside_real_sectors(name):
  shows(real(name), *_REAL[name])


@pytest.mark.parametrize('name', _CLINICAL)
def test_names_are_outside_clinical_sectors(name, tmp_path):
  shows(clinical(name, tmp_path), *_CLINICAL[name])


def test_json_round_trip():
  found = sector.find(synthetic())
  assert sector.Sector.from_json(found.to_json()) == found
  assert '\n' not in found.to_json()


def test_crop_is_black_outside_and_keeps_the_aspect():
  clip = synthetic()
  found = sector.find(clip)
  side = found.box[2]
  square = sector.crop(clip.frames, found, side)
  mask = sector.crop_mask(found, side)
  assert not square[:, ~mask].any()
  assert mask.sum() == found.mask().sum()
  half = sector.crop_mask(found, side // 2)
  assert 4 * half.sum() == pytest.approx(mask.sum(), rel=0.05)


@pytest.mark.parametrize('size', [None, 64])
def test_paste_changes_nothing_outside(size):
  clip = synthetic()
  found = sector.find(clip)
  before = sector.crop(clip.frames, found, size or found.box[2])
  after = 255 - before
  frames = clip.frames
  kept = frames.copy()
  pasted = sector.paste(before, after, found, frames)
  np.testing.assert_array_equal(frames, kept)
  np.testing.assert_array_equal(
    pasted[:, ~found.mask()], frames[:, ~found.mask()]
  )
  assert (pasted[:, found.mask()] != frames[:, found.mask()]).any()


def test_paste_at_native_scale_is_exact():
  clip = synthetic()
  found = sector.find(clip)
  before = sector.crop(clip.frames, found, found.box[2])
  after = np.random.default_rng(1).integers(0, 256, before.shape, np.uint8)
  pasted = sector.paste(before, after, found, clip.frames)
  mask = sector.crop_mask(found, found.box[2])
  again = sector.crop(pasted, found, found.box[2])
  np.testing.assert_array_equal(again[:, mask], after[:, mask])


@pytest.mark.parametrize('size', [None, 64])
def test_paste_of_no_change_is_the_input(size):
  clip = synthetic()
  found = sector.find(clip)
  before = sector.crop(clip.frames, found, size or found.box[2])
  pasted = sector.paste(before, before, found, clip.frames)
  np.testing.assert_array_equal(pasted, clip.frames)


def test_frames_of_another_size():
  found = sector.find(synthetic())
  with pytest.raises(BadInput, match='do not fit'):
    sector.crop(np.zeros((1, 10, 10), np.uint8), found, 32)


def test_no_frame_and_no_region_is_too_odd():
  rng = np.random.default_rng(0)
  for _ in range(60):
    height, width = rng.integers(1, 64, 2)
    frames = rng.integers(0, 256, (2, height, width), np.uint8)
    frames[:, rng.random((height, width)) < rng.random()] = 0
    x, y = (
      np.sort(rng.integers(0, width, 2)),
      np.sort(rng.integers(0, height, 2)),
    )
    region = (int(x[0]), int(y[0]), int(x[1]), int(y[1]))
    clip = Clip(frames=frames, times=np.arange(2.0), region=region)
    try:
      found = sector.find(clip)
    except BadInput:
      continue
    corners = np.array(found.polygon)
    assert (corners >= 0).all() and (corners < (width, height)).all()
    assert found.mask().any()
