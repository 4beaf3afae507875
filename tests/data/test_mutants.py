"""Damaged copies of real files: read, or refused in one line, and nothing else.

150 of them; as many as the environment variable ECHOGAN_MUTANTS says.
"""

import contextlib
import os
import pathlib
import resource
import signal

import clinic
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import MPEG4HP41, DeflatedExplicitVRLittleEndian

from echogan_jax.data import dicom, recorder
from echogan_jax.data.reject import REASONS, Rejected

_COUNT = int(os.environ.get('ECHOGAN_MUTANTS', '150'))
_SECONDS = 10
_BYTES = 1.5e9
_NAMES = (
  'examples_ybr_color.dcm',  # JPEG, cut to three frames
  'color-pl.dcm',
  'ExplVR_BigEnd.dcm',
  'OBXXXX1A_rle_2frame.dcm',
  'US1_J2KR.dcm',
  'gdcm-US-ALOKA-16.dcm',
  'JPGLosslessP14SV1_1s_1f_8b.dcm',
  'deflated',
  'video',
)


class Hang(BaseException):
  """Not an Exception: nothing that is tested may catch it."""


@contextlib.contextmanager
def alarm():
  def ring(*_):
    raise Hang

  before = signal.signal(signal.SIGALRM, ring)
  signal.setitimer(signal.ITIMER_REAL, _SECONDS)
  try:
    yield
  finally:
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def original(name, folder):
  """Return the bytes of a file and where its elements begin and end."""
  if name in ('deflated', 'video'):
    clinic.write_clip(path := folder / 'made_up.dcm', 1)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    if name == 'video':
      recorder.write(folder / 'a.mp4', dataset.pixel_array, np.arange(3) * 40.0)
      film = (folder / 'a.mp4').read_bytes()
      dataset.file_meta.TransferSyntaxUID = MPEG4HP41
      dataset.PixelData = pydicom.encaps.encapsulate([film])
      dataset.SamplesPerPixel = 3
      dataset.PhotometricInterpretation = 'YBR_PARTIAL_420'
    dataset.save_as(path)
  else:
    path = pathlib.Path(get_testdata_file(name, download=False))
  dataset = pydicom.dcmread(path)
  if name == 'examples_ybr_color.dcm':
    frames = pydicom.encaps.generate_frames(
      dataset.PixelData, number_of_frames=30
    )
    three = [frame for frame, _ in zip(frames, range(3), strict=False)]
    dataset.PixelData = pydicom.encaps.encapsulate(three)
    dataset.NumberOfFrames = 3
    dataset.save_as(path := folder / 'three.dcm')
    dataset = pydicom.dcmread(path)
  items = [dataset.get_item(tag) for tag in dataset.keys()]
  places = [i.value_tell for i in items if hasattr(i, 'value_tell')]
  return path.read_bytes(), np.array([132, *sorted(places)])


def mutate(whole, places, rng):
  """Return a copy of some bytes with one or two things wrong."""
  result = bytearray(whole)
  for _ in range(rng.integers(1, 3)):
    # half of the cuts where something begins
    a, b, c = sorted(
      int(rng.choice(places) - rng.choice([0, 4, 8, 12]))
      if rng.random() < 0.5
      else int(rng.integers(len(result) + 1))
      for _ in range(3)
    )
    match rng.integers(6):
      case 0:
        del result[c:]
      case 1:  # in the header, mostly
        end = len(result) if rng.random() < 0.3 else min(4000, len(result))
        for at in rng.integers(end, size=rng.integers(1, 20)) if end else ():
          result[at] = rng.integers(256)
      case 2:
        result[a:c] = result[b:c] + result[a:b]
      case 3:
        result[b:b] = result[a : min(b, a + 100_000)]
      case 4:
        del result[a : min(b, a + 2000)]
      case 5:  # a length or a number of something, very large
        result[a : a + 4] = rng.choice(
          [b'\xff\xff\xff\x7f', b'9999', b'\0' * 4]
        )
  return bytes(result)


@pytest.mark.parametrize('name', _NAMES)
def test_a_mutant_is_read_or_refused(tmp_path, capfd, name):
  whole, places = original(name, tmp_path)
  path = tmp_path / 'mutant.dcm'
  before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  read = 0
  for trial in range(-(-_COUNT // len(_NAMES))):
    rng = np.random.default_rng([trial, *name.encode()])
    path.write_bytes(mutate(whole, places, rng) if trial else whole)
    for recover in (False, True):
      try:
        with alarm():
          clip = dicom.read(path, recover=recover)
      except Rejected as error:
        assert error.reason in REASONS and '\n' not in error.detail
        assert str(tmp_path) not in error.detail
        continue
      read += 1
      assert len(clip.times) == len(clip.frames) > 0
      assert np.isfinite(clip.times).all() and (np.diff(clip.times) > 0).all()
      assert np.isfinite(clip.fps)
  grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
  assert 1024 * grown < _BYTES
  assert read >= 2, 'not even the original can be read'
  assert capfd.readouterr() == ('', '')
