"""Clips of any length are sampled, then played frame by frame."""

import numpy as np
import pytest

from echogan_jax.data import dicom, film, limits, recorder, video


@pytest.mark.parametrize('suffix', ['.dcm', '.gif', '.mp4', '.png'])
def test_every_frame_is_played_and_as_many_times_as_asked(
  phantom, tmp_path, suffix
):
  source = sorted((phantom / 'studies').rglob('*.dcm'))[0]
  whole = dicom.read(source)
  path, count = source, len(whole.frames)
  if suffix != '.dcm':
    path = tmp_path / f'a{suffix}'
    count = 1 if suffix == '.png' else count
    recorder.write(path, whole.frames[:count], whole.times[:count])
  with film.opened(path) as opened:
    first, again = (np.stack(list(opened.play())) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, opened.clip.frames)
    assert len(opened.times) == len(first) == count
    np.testing.assert_allclose(opened.times, opened.clip.times)


@pytest.mark.parametrize('suffix', ['.dcm', '.gif'])
def test_a_long_clip_is_sampled_evenly(phantom, tmp_path, monkeypatch, suffix):
  source = sorted((phantom / 'studies').rglob('*.dcm'))[0]
  whole = dicom.read(source)
  monkeypatch.setattr(limits, 'FEW', 2)
  most = 2 * whole.frames[0].nbytes
  if suffix == '.dcm':
    with dicom.opened(source, most=most) as opened:
      played = np.stack(list(opened.play()))
  else:
    path = tmp_path / 'a.gif'
    recorder.write(path, whole.frames, whole.times)
    opened = video.opened(path, most=3 * most)  # decoded as RGB
    played = np.stack(list(opened.play()))
  np.testing.assert_array_equal(played, whole.frames)
  assert len(opened.clip.frames) < len(whole.frames)
  step = -(-len(whole.frames) // len(opened.clip.frames))
  np.testing.assert_array_equal(opened.clip.frames, whole.frames[::step])
  np.testing.assert_allclose(
    opened.clip.times, whole.times[::step], atol=10 * (suffix == '.gif')
  )
