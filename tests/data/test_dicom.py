"""Reading real scanner files, and refusing the rest in one line."""

import pathlib
import pickle

import deid_data.data
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_fragments
from pydicom.uid import (
  MPEG4HP41,
  ExplicitVRBigEndian,
  ExplicitVRLittleEndian,
  ImplicitVRLittleEndian,
  JPEGLSLossless,
  RLELossless,
  UltrasoundMultiFrameImageStorage,
)

from echogan_jax.data import deidentify, derive, dicom
from echogan_jax.data.clip import Clip
from echogan_jax.data.reject import REASONS, Rejected

_RNG = np.random.default_rng(0)
_FRAMES = _RNG.integers(0, 256, (4, 20, 30), dtype=np.uint8)


def real(name):
  return pathlib.Path(get_testdata_file(name, download=False))


def small(**changes):
  """Return a valid grey multi-frame object of 4 frames, 30 x 20."""
  result = pydicom.Dataset()
  result.file_meta = pydicom.dataset.FileMetaDataset()
  result.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
  result.SOPClassUID = UltrasoundMultiFrameImageStorage
  result.SOPInstanceUID = '1.2.3'
  result.Modality = 'US'
  result.NumberOfFrames, result.Rows, result.Columns = _FRAMES.shape
  result.SamplesPerPixel = 1
  result.PhotometricInterpretation = 'MONOCHROME2'
  result.BitsAllocated = result.BitsStored = 8
  result.HighBit = 7
  result.PixelRepresentation = 0
  result.FrameTime = 40
  result.FrameIncrementPointer = 0x00181063
  result.PixelData = _FRAMES.tobytes()
  result['PixelData'].VR = 'OB'
  for keyword, changed in changes.items():
    if changed is None:
      delattr(result, keyword)
    else:
      setattr(result, keyword, changed)
  return result


def region(**changes):
  result = pydicom.Dataset()
  result.RegionSpatialFormat = result.RegionDataType = 1
  result.RegionLocationMinX0, result.RegionLocationMinY0 = 2, 3
  result.RegionLocationMaxX1, result.RegionLocationMaxY1 = 20, 15
  result.PhysicalUnitsXDirection = result.PhysicalUnitsYDirection = 3
  result.PhysicalDeltaX, result.PhysicalDeltaY = 0.05, -0.04
  for keyword, changed in changes.items():
    setattr(result, keyword, changed)
  return result


def saved(dataset, path, syntax=None):
  if syntax is not None:
    dataset.file_meta.TransferSyntaxUID = syntax
  dataset.save_as(path, enforce_file_format=True)
  return path


def jpeg():
  """Return the bytes of a real clip of 30 JPEG frames."""
  return real('examples_ybr_color.dcm').read_bytes()


def reason_of(path, **options):
  with pytest.raises(Rejected) as caught:
    dicom.read(path, **options)
  assert caught.value.reason in REASONS
  assert '\n' not in str(caught.value)
  assert str(path.parent) not in str(caught.value)
  return caught.value.reason


def test_real_apical_clip():
  clip = dicom.read(real('color3d_jpeg_baseline.dcm'))
  assert clip.frames.shape == (120, 480, 640, 3)
  assert clip.timing == 'FrameTime'
  assert clip.fps == pytest.approx(1000 / 33.333, rel=1e-4)
  assert clip.region == (84, 31, 595, 414)
  assert clip.mm_per_pixel == pytest.approx((0.5105, 0.5105), rel=1e-3)
  assert clip.lossy and clip.header.LossyImageCompressionMethod
  assert dicom.moving_colour(clip) < 1e-4
  dicom.check_tissue(clip)
  # pydicom's own RGB: converting YBR twice shifts values by 47 grey levels
  expected = pydicom.pixels.pixel_array(
    real('color3d_jpeg_baseline.dcm'), index=7, decoding_plugin='pillow'
  )
  np.testing.assert_array_equal(clip.frames[7], expected)


def test_a_stale_region_is_dropped_with_a_note():
  clip = dicom.read(real('examples_ybr_color.dcm'))
  assert clip.frames.shape == (30, 240, 320, 3)
  assert clip.region is None and clip.mm_per_pixel is None
  assert any('outside' in note for note in clip.notes)


@pytest.mark.parametrize('other', ['OBXXXX1A_rle.dcm', 'OBXXXX1A_expb.dcm'])
def test_palette_is_applied_whatever_the_encoding(other):
  clip = dicom.read(real('OBXXXX1A.dcm'))
  assert clip.frames.shape == (1, 600, 800, 3)
  assert clip.region == (120, 60, 799, 518)  # declared to the width itself
  assert clip.frames.max() > 200 and clip.timing == 'default'
  np.testing.assert_array_equal(clip.frames, dicom.read(real(other)).frames)


def test_two_frames_without_timing_in_a_single_frame_class():
  clip = dicom.read(real('OBXXXX1A_2frame.dcm'))
  assert len(clip.frames) == 2 and clip.timing == 'default'
  rle = dicom.read(real('OBXXXX1A_rle_2frame.dcm'))
  np.testing.assert_array_equal(clip.frames, rle.frames)


def test_lossless_jpeg_2000_equals_raw():
  raw, coded = (
    dicom.read(real('US1_UNCR.dcm')),
    dicom.read(real('US1_J2KR.dcm')),
  )
  np.testing.assert_array_equal(raw.frames, coded.frames)
  assert not raw.lossy and dicom.read(real('US1_J2KI.dcm')).lossy


def test_planar_configurations_agree():
  one, two = dicom.read(real('color-pl.dcm')), dicom.read(real('color-px.dcm'))
  np.testing.assert_array_equal(one.frames, two.frames)


@pytest.mark.parametrize(
  'name', ['CT_small.dcm', 'rtdose.dcm', 'reportsi.dcm', 'waveform_ecg.dcm']
)
def test_other_objects_are_not_ultrasound(name):
  assert reason_of(real(name)) == 'not_ultrasound'


def test_lossless_jpeg_names_what_to_install():
  path = real('JPGLosslessP14SV1_1s_1f_8b.dcm')
  with pytest.raises(Rejected, match='pip install python-gdcm'):
    dicom.read(path)


def test_colour_flow_is_seen_in_header_and_in_pixels():
  folder = pathlib.Path(deid_data.data.get_dataset('ultrasounds'))
  clip = dicom.read(folder / 'ultrasound-multiframe.dcm')
  assert clip.frames.shape == (30, 600, 800, 3)
  assert clip.fps == pytest.approx(18.436, abs=0.01)
  with pytest.raises(Rejected) as caught:
    dicom.check_tissue(clip)
  assert caught.value.reason == 'colour_flow'
  assert dicom.moving_colour(clip) > 0.03
  dicom.check_tissue(clip, allow_colour=True)
  nameless = Clip(frames=clip.frames, times=clip.times)
  with pytest.raises(Rejected, match='moving colour'):
    dicom.check_tissue(nameless)


def test_dual_view():
  with pytest.raises(Rejected) as caught:
    dicom.check_tissue(dicom.read(real('gdcm-US-ALOKA-16.dcm')))
  assert caught.value.reason == 'several_views'


@pytest.mark.parametrize(
  ('changes', 'reason'),
  [
    ({'ImageType': ['ORIGINAL', 'PRIMARY', '', '0011']}, 'colour_flow'),
    ({'ImageType': ['ORIGINAL', 'PRIMARY', '', '0008']}, 'spectral_or_m_mode'),
    ({'UltrasoundColorDataPresent': 1}, 'colour_flow'),
    (
      {'SequenceOfUltrasoundRegions': [region(RegionDataType=2)]},
      'colour_flow',
    ),
    (
      {
        'SequenceOfUltrasoundRegions': [region(), region(RegionSpatialFormat=2)]
      },
      'spectral_or_m_mode',
    ),
  ],
)
def test_modes_in_the_header(tmp_path, changes, reason):
  clip = dicom.read(saved(small(**changes), tmp_path / 'a.dcm'))
  with pytest.raises(Rejected) as caught:
    dicom.check_tissue(clip)
  assert caught.value.reason == reason


@pytest.mark.parametrize(
  'syntax',
  [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    RLELossless,
    JPEGLSLossless,
  ],
)
def test_every_lossless_encoding_gives_the_same_pixels(tmp_path, syntax):
  dataset = small()
  if syntax.is_compressed:
    dataset.compress(syntax, generate_instance_uid=False)
    saved(dataset, tmp_path / 'a.dcm')
  else:
    dataset.file_meta.TransferSyntaxUID = syntax
    little = syntax.is_little_endian
    implicit = syntax.is_implicit_VR
    pydicom.dcmwrite(
      tmp_path / 'a.dcm',
      dataset,
      little_endian=little,
      implicit_vr=implicit,
      enforce_file_format=True,
    )
  clip = dicom.read(tmp_path / 'a.dcm')
  np.testing.assert_array_equal(clip.frames, _FRAMES)
  np.testing.assert_allclose(clip.times, [0, 40, 80, 120])
  assert not clip.notes and not clip.lossy


def test_monochrome1_is_inverted_and_12_bits_are_scaled(tmp_path):
  inverted = small(PhotometricInterpretation='MONOCHROME1')
  clip = dicom.read(saved(inverted, tmp_path / 'a.dcm'))
  np.testing.assert_array_equal(clip.frames, 255 - _FRAMES)
  deep = small(BitsAllocated=16, BitsStored=12, HighBit=11)
  deep.PixelData = (_FRAMES.astype('<u2') * 16 + 15).tobytes()
  deep['PixelData'].VR = 'OW'
  clip = dicom.read(saved(deep, tmp_path / 'b.dcm'))
  np.testing.assert_allclose(clip.frames, _FRAMES, atol=1)
  assert clip.frames.dtype == np.uint8


@pytest.mark.parametrize(('apart', 'dimensions'), [(4, 3), (5, 4)])
def test_colour_that_is_grey_collapses(tmp_path, apart, dimensions):
  colour = np.repeat(_FRAMES[..., None], 3, axis=-1)
  colour[2, 5, 5] = 100, 100, 100 + apart
  dataset = small(SamplesPerPixel=3, PhotometricInterpretation='RGB')
  dataset.PlanarConfiguration = 0
  dataset.PixelData = colour.tobytes()
  clip = dicom.read(saved(dataset, tmp_path / 'a.dcm'))
  assert clip.frames.ndim == dimensions
  if dimensions == 3:
    np.testing.assert_array_equal(clip.frames[0], _FRAMES[0])


@pytest.mark.parametrize('held', ['RGB', 'YBR_FULL'])
def test_full_pixels_labelled_as_subsampled(tmp_path, held):
  colour = np.repeat(_FRAMES[..., None] // 4, 3, axis=-1)
  colour[:, 5:7] = 180, 60, 20
  stored = colour
  if held == 'YBR_FULL':
    stored = pydicom.pixels.convert_color_space(colour, 'RGB', 'YBR_FULL')
  dataset = small(SamplesPerPixel=3, PhotometricInterpretation='YBR_FULL_422')
  dataset.PlanarConfiguration = 0
  dataset.PixelData = stored.tobytes()
  clip = dicom.read(saved(dataset, tmp_path / 'a.dcm'))
  np.testing.assert_allclose(clip.frames, colour, atol=2)
  assert clip.notes == (f'YBR_FULL_422 is {held}',)


@pytest.mark.parametrize(
  ('changes', 'timing', 'times'),
  [
    ({}, 'FrameTime', [0, 40, 80, 120]),
    (
      {
        'FrameTimeVector': [7, 30, 50, 20],
        'FrameIncrementPointer': 0x00181065,
      },
      'FrameTimeVector',
      [0, 30, 80, 100],
    ),
    (
      {'FrameTimeVector': [0, 30], 'FrameIncrementPointer': 0x00181065},
      'FrameTime',
      [0, 40, 80, 120],
    ),
    ({'FrameTime': 0, 'CineRate': 50}, 'CineRate', [0, 20, 40, 60]),
    (
      {'FrameTime': -1, 'RecommendedDisplayFrameRate': 20},
      'RecommendedDisplayFrameRate',
      [0, 50, 100, 150],
    ),
    ({'FrameTime': None}, 'default', np.arange(4) / 0.03),
  ],
)
def test_order_of_trust_in_timing(tmp_path, changes, timing, times):
  clip = dicom.read(saved(small(**changes), tmp_path / 'a.dcm'))
  assert clip.timing == timing
  np.testing.assert_allclose(clip.times, times)


def test_the_largest_tissue_region_wins(tmp_path):
  items = [
    region(RegionSpatialFormat=0, RegionLocationMaxX1=30),
    region(RegionLocationMaxX1=9),
    region(),
    region(RegionLocationMaxX1=2),
  ]
  dataset = small(SequenceOfUltrasoundRegions=items)
  clip = dicom.read(saved(dataset, tmp_path / 'a.dcm'))
  assert clip.region == (2, 3, 20, 15)
  assert clip.mm_per_pixel == pytest.approx((0.5, 0.4))
  assert len(clip.notes) == 2  # one clamped, one empty


@pytest.mark.parametrize(
  ('content', 'detail'),
  [
    (b'', 'empty'),
    (b'hello ' * 100, 'not a DICOM file'),
    (b'\x89PNG\r\n' * 50, 'PNG'),
    (b'\0\0\0\x18ftypmp42' * 20, 'MP4'),
    (bytes(128) + b'DICM', 'transfer syntax'),
  ],
)
def test_files_that_are_not_dicom(tmp_path, content, detail):
  path = tmp_path / 'a.dcm'
  path.write_bytes(content)
  with pytest.raises(Rejected, match=detail) as caught:
    dicom.read(path)
  assert caught.value.reason in ('not_dicom', 'truncated')


def test_every_cut_of_a_real_file_is_refused(tmp_path):
  whole = jpeg()
  path = tmp_path / 'a.dcm'
  for size in np.linspace(1, len(whole) - 20, 60).astype(int):
    path.write_bytes(whole[:size])
    assert reason_of(path) in ('not_dicom', 'truncated', 'no_pixels')


def test_recover_keeps_the_intact_frames(tmp_path):
  path = tmp_path / 'a.dcm'
  path.write_bytes(jpeg()[: len(jpeg()) // 2])
  clip = dicom.read(path, recover=True)
  whole = dicom.read(real('examples_ybr_color.dcm'))
  assert 10 < len(clip.frames) < 16 and len(clip.times) == len(clip.frames)
  np.testing.assert_array_equal(clip.frames, whole.frames[: len(clip.frames)])


def test_a_lost_last_delimiter_loses_nothing(tmp_path):
  path = tmp_path / 'a.dcm'
  end = jpeg().rindex(b'\xfe\xff\xdd\xe0')
  path.write_bytes(jpeg()[:end])
  whole = dicom.read(real('examples_ybr_color.dcm'))
  np.testing.assert_array_equal(dicom.read(path).frames, whole.frames)


def test_a_half_frame_is_corrupt_and_recover_leaves_it_out(tmp_path):
  dataset = pydicom.dcmread(real('examples_ybr_color.dcm'))
  frames = list(
    pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=30)
  )
  frames[11] = frames[11][: len(frames[11]) // 2 & ~1]
  dataset.PixelData = encapsulate(frames)
  path = saved(dataset, tmp_path / 'a.dcm')
  assert reason_of(path) == 'corrupt_pixels'
  clip = dicom.read(path, recover=True)
  assert len(clip.frames) == 29
  assert clip.times[11] - clip.times[10] == pytest.approx(2 * 33.333)
  assert '1 frames cannot be decoded' in clip.notes


def test_more_frames_claimed_than_present(tmp_path):
  dataset = pydicom.dcmread(real('examples_ybr_color.dcm'))
  dataset.NumberOfFrames = 31
  assert reason_of(saved(dataset, tmp_path / 'a.dcm')) == 'truncated'
  for fewer in (29, 0):
    dataset.NumberOfFrames = fewer
    clip = dicom.read(saved(dataset, tmp_path / 'b.dcm'))
    assert len(clip.frames) == 30 and '30 found' in clip.notes[0]


@pytest.mark.parametrize(
  ('changes', 'reason'),
  [
    ({'Rows': None}, 'bad_geometry'),
    ({'Columns': 0}, 'bad_geometry'),
    ({'NumberOfFrames': '-4'}, 'bad_geometry'),
    ({'BitsAllocated': 32, 'BitsStored': 32}, 'bad_geometry'),
    ({'BitsAllocated': 7}, 'bad_geometry'),
    ({'SamplesPerPixel': 4}, 'bad_geometry'),
    ({'PixelRepresentation': 1}, 'bad_geometry'),
    ({'PhotometricInterpretation': 'FOO'}, 'bad_geometry'),
    ({'PhotometricInterpretation': None}, 'bad_geometry'),
    ({'PhotometricInterpretation': 'PALETTE COLOR'}, 'bad_geometry'),
    ({'NumberOfFrames': 2_000_000_000}, 'too_large'),
    ({'Rows': 65535, 'Columns': 65535}, 'too_large'),
    ({'NumberOfFrames': 5}, 'truncated'),
    ({'PixelData': None}, 'no_pixels'),
    ({'PixelData': b''}, 'no_pixels'),
    ({'Modality': 'CT'}, 'not_ultrasound'),
    ({'SOPClassUID': '1.2.840.10008.5.1.4.1.1.6.2'}, 'not_ultrasound'),
  ],
)
def test_impossible_headers(tmp_path, changes, reason):
  assert reason_of(saved(small(**changes), tmp_path / 'a.dcm')) == reason


def test_half_a_frame_number(tmp_path):
  path = saved(small(NumberOfFrames=4444), tmp_path / 'a.dcm')
  path.write_bytes(
    path.read_bytes().replace(b'IS\x04\x004444', b'IS\x04\x003.5 ')
  )
  assert reason_of(path) == 'bad_geometry'


def test_video_is_refused(tmp_path):
  dataset = small(PixelData=encapsulate([b'\0\0\0\1']))
  path = saved(dataset, tmp_path / 'a.dcm', MPEG4HP41)
  assert reason_of(path) == 'unsupported_transfer_syntax'


def test_a_frame_of_another_size_is_corrupt(tmp_path):
  dataset = pydicom.dcmread(real('examples_ybr_color.dcm'))
  dataset.Rows = 480
  assert reason_of(saved(dataset, tmp_path / 'a.dcm')) == 'corrupt_pixels'


@pytest.mark.parametrize('name', ['color-pl.dcm', 'examples_ybr_color.dcm'])
def test_noise_never_gets_past_the_reader(tmp_path, capfd, name):
  whole = real(name).read_bytes()[:100_000]
  path = tmp_path / 'a.dcm'
  for trial in range(80):
    rng = np.random.default_rng(trial)
    broken = bytearray(whole)
    for at in rng.integers(132, 4000, 12):
      broken[at] = rng.integers(256)
    path.write_bytes(broken)
    try:
      clip = dicom.read(path, recover=True)
    except Rejected as error:
      assert error.reason in REASONS
      continue
    deidentify.dropped(clip.header)
    derive.write(tmp_path / 'b.dcm', clip, clip.grey, model={}, key=b'k')
  assert capfd.readouterr() == ('', '')


def test_a_rejection_survives_a_process_pool():
  error = pickle.loads(pickle.dumps(Rejected('too_large', 'a line')))
  assert (error.reason, str(error)) == ('too_large', 'a line (too_large)')
  with pytest.raises(KeyError):
    Rejected('because', 'not in the list')


def test_stray_delimiters_and_odd_values_are_read_quietly(tmp_path, recwarn):
  dataset = small(StudyDate='1994.11.05', PatientName='Made^Up')
  path = saved(dataset, tmp_path / 'a.dcm')
  path.write_bytes(path.read_bytes() + b'\xfe\xff\x0d\xe0\0\0\0\0')
  recwarn.clear()
  assert len(dicom.read(path).frames) == 4
  assert not recwarn.list


def test_the_fragments_of_the_test_file_are_what_the_tests_assume():
  dataset = pydicom.dcmread(real('examples_ybr_color.dcm'))
  assert len(list(generate_fragments(dataset.PixelData))) == 31
