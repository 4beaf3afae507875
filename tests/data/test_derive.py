"""Derived objects: valid, honest about themselves, and lossless."""

import itertools
import pathlib

import numpy as np
import pydicom
import pytest
import scanners
from derived import MODEL, needles, problems
from pydicom.data import get_testdata_file

from echogan_jax.command import BadInput
from echogan_jax.data import derive, dicom
from echogan_jax.data.clip import Clip

# every pair of the four choices occurs: identity, colour, encoding, cleared
_WAYS = (
  ('remove', False, False, True),
  ('remove', True, True, False),
  ('keep', False, True, False),
  ('keep', True, False, True),
)
_SONOSITE = 'examples_ybr_color.dcm'


def coloured(grey):
  return np.stack([grey, grey // 2, grey // 3], axis=-1)


def wrong(folder, clip, way):
  """Derive an object in one of `_WAYS` from chunks; return what is wrong."""
  identity, colour, compress, blanked = way
  frames = coloured(255 - clip.grey) if colour else 255 - clip.grey
  path = folder / 'a.dcm'
  path.unlink(missing_ok=True)
  options = {'identity': identity, 'compress': compress, 'blanked': blanked}
  chunks = iter((frames[:1], frames[1:]))
  derive.write(path, clip, chunks, model=MODEL, key=b'k', **options)
  return problems(path, clip, frames, identity, blanked=blanked)


@pytest.mark.parametrize('name', scanners.NAMES)
def test_round_trip_of_real_clips(tmp_path, name):
  clip = scanners.clip(name)
  assert len(needles(clip.header)) > 2
  for way in _WAYS:
    assert wrong(tmp_path, clip, way) == [], way


@pytest.mark.parametrize('number', range(4))
def test_round_trip_of_phantoms(tmp_path, phantom, number):
  source = sorted((phantom / 'studies').rglob('*.dcm'))[number]
  assert wrong(tmp_path, dicom.read(source), _WAYS[number]) == []


def nameless(**changes):
  frames = np.random.default_rng(0).integers(0, 256, (3, 21, 33), np.uint8)
  times = np.array([0.0, 33.0, 83.5])
  return Clip(**({'frames': frames, 'times': times} | changes))


@pytest.mark.parametrize('way', _WAYS)
@pytest.mark.parametrize(
  'changes',
  [
    {'timing': 'FrameRate', 'lossy': True},  # of a video
    {'mm_per_pixel': (0.3, 0.15)},  # of a volume
    {'mm_per_pixel': (0.3, 0.3), 'region': (2, 3, 30, 20)},
    {'times': np.arange(3) * (1000 / 30), 'timing': 'FrameRate'},
  ],
)
def test_clips_without_a_header(tmp_path, changes, way):
  assert wrong(tmp_path, nameless(**changes), way) == []


def test_a_single_frame(tmp_path, clip):
  still = Clip(frames=clip.frames[:1], times=clip.times[:1], lossy=True)
  for way in _WAYS:
    assert wrong(tmp_path, still, way) == []


@pytest.fixture
def clip():
  return nameless()


def test_our_own_reader_finds_what_was_written(tmp_path):
  clip, path = scanners.clip('OBXXXX1A_rle_2frame.dcm'), tmp_path / 'a.dcm'
  for compress in (False, True):
    derive.write(path, clip, clip.grey, model=MODEL, compress=compress)
    again = dicom.read(path)
    np.testing.assert_array_equal(again.frames, clip.grey)
    np.testing.assert_allclose(again.times, clip.times, atol=1e-3)
    assert (again.region, again.lossy) == (clip.region, clip.lossy)
    assert again.mm_per_pixel == pytest.approx(clip.mm_per_pixel)


@pytest.mark.parametrize(
  ('stored', 'declared'),
  itertools.product(['examples_ybr_color.dcm', 'US1_J2KI.dcm'], ['00', None]),
)
def test_loss_is_remembered_whatever_the_header_says(
  tmp_path, stored, declared
):
  source = pydicom.dcmread(get_testdata_file(stored, download=False))
  for keyword in ('', 'Ratio', 'Method'):
    source.pop(f'LossyImageCompression{keyword}', None)
  if declared:
    source.LossyImageCompression = declared
  source.save_as(tmp_path / 'source.dcm')
  clip = scanners.shorten(dicom.read(tmp_path / 'source.dcm'), 1)
  assert clip.header.LossyImageCompressionRatio > 1
  assert wrong(tmp_path, clip, _WAYS[0]) == []
  there = pydicom.dcmread(tmp_path / 'a.dcm')
  assert there.LossyImageCompression == '01'
  assert there.LossyImageCompressionMethod in ('ISO_10918_1', 'ISO_15444_1')


def test_a_method_of_compression_is_proof_of_loss(tmp_path):
  clip = scanners.clip('US1_UNCR.dcm')
  clip.header.LossyImageCompressionMethod = 'ISO_10918_1'
  derive.write(tmp_path / 'a.dcm', clip, clip.grey, model=MODEL)
  assert pydicom.dcmread(tmp_path / 'a.dcm').LossyImageCompression == '01'


def test_rates_that_contradict_the_times_are_not_kept(tmp_path):
  clip = scanners.clip(_SONOSITE, 3)
  clip.header.CineRate = clip.header.RecommendedDisplayFrameRate = 15
  assert wrong(tmp_path, clip, _WAYS[0]) == []
  assert pydicom.dcmread(tmp_path / 'a.dcm').CineRate == 30


def test_keep_keeps_patient_and_study(tmp_path):
  clip, path = scanners.clip(_SONOSITE), tmp_path / 'a.dcm'
  clip.header.PatientName = 'Müster^Erika'
  derive.write(path, clip, clip.grey, model=MODEL, identity='keep')
  there = pydicom.dcmread(path)
  assert there.PatientName == 'Müster^Erika'
  for name in ('StudyInstanceUID', 'StudyDate', 'PatientID', 'ContentDate'):
    assert there.get(name) == clip.header.get(name), name


def test_a_key_keeps_a_study_together(tmp_path):
  clip = scanners.clip(_SONOSITE)
  for name, frames in (('a', clip.grey), ('b', 255 - clip.grey)):
    derive.write(tmp_path / name, clip, frames, model=MODEL, key=b'k')
  derive.write(tmp_path / 'c', clip, clip.grey, model=MODEL, key=b'l')
  newer = MODEL | {'weights_sha256': 'cd' * 32}
  derive.write(tmp_path / 'd', clip, clip.grey, model=newer, key=b'k')
  a, b, c, d = (pydicom.dcmread(tmp_path / name) for name in 'abcd')
  assert a.StudyInstanceUID == b.StudyInstanceUID != c.StudyInstanceUID
  assert a.PatientID == b.PatientID != c.PatientID
  assert a.SeriesInstanceUID == b.SeriesInstanceUID != d.SeriesInstanceUID
  assert a.SOPInstanceUID != b.SOPInstanceUID
  derive.write(tmp_path / 'e', clip, clip.grey, model=MODEL, key=b'k')
  assert (tmp_path / 'a').read_bytes() == (tmp_path / 'e').read_bytes()


def test_series_stay_apart(tmp_path):
  found = set()
  for number in (1, 2):
    clip = scanners.clip(_SONOSITE)
    clip.header.SeriesNumber = number
    clip.header.SeriesInstanceUID = f'1.2.3.{number}'
    derive.write(tmp_path / 'a', clip, clip.grey, model=MODEL, key=b'k')
    there = pydicom.dcmread(tmp_path / 'a')
    found.add((there.SeriesInstanceUID, there.SeriesNumber))
  assert len({uid for uid, _ in found}) == 2


def test_never_over_the_source(tmp_path):
  clip, path = scanners.clip(_SONOSITE), tmp_path / 'a.dcm'
  source = pathlib.Path(get_testdata_file(_SONOSITE, download=False))
  path.write_bytes(source.read_bytes())
  for identity in ('remove', 'keep'):
    with pytest.raises(BadInput, match='source itself'):
      derive.write(path, clip, clip.grey, model=MODEL, identity=identity)
  assert path.read_bytes() == source.read_bytes()


def test_what_is_not_ours_is_not_replaced(tmp_path, clip):
  source = get_testdata_file(_SONOSITE, download=False)
  path = tmp_path / 'a.dcm'
  path.write_bytes(pathlib.Path(source).read_bytes())
  with pytest.raises(BadInput, match='not ours'):
    derive.write(path, clip, clip.frames, model=MODEL)
  path.unlink()
  for _ in range(2):
    derive.write(path, clip, clip.frames, model=MODEL)


def test_a_failed_write_leaves_nothing(tmp_path, clip, monkeypatch):
  def full(self, part, **_):
    pathlib.Path(part).write_bytes(b'half')
    raise OSError('disk full')

  monkeypatch.setattr(pydicom.Dataset, 'save_as', full)
  with pytest.raises(OSError, match='disk full'):
    derive.write(tmp_path / 'a.dcm', clip, clip.frames, model=MODEL)
  assert not list(tmp_path.iterdir())


def test_more_varying_times_than_an_object_holds(tmp_path):
  steps = np.random.default_rng(0).uniform(10, 99, 12_000).round(3)
  frames = np.zeros((len(steps), 2, 2), np.uint8)
  clip = nameless(frames=frames, times=np.cumsum(steps) - steps[0])
  with pytest.raises(BadInput, match='varying rate'):
    derive.write(tmp_path / 'a.dcm', clip, clip.frames, model=MODEL)


def test_the_whole_of_every_hash_is_there(tmp_path, clip):
  long = MODEL | {'version': 'v' * 500, 'unknown': 'u' * 500}
  derive.write(tmp_path / 'a.dcm', clip, clip.frames, model=long)
  there = pydicom.dcmread(tmp_path / 'a.dcm')
  assert len(there.DerivationDescription) <= 1024
  for name in ('config_sha256', 'weights_sha256'):
    assert MODEL[name] in there.DerivationDescription
