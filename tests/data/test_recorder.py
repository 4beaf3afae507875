"""Frames are written one by one, with their times, whole or not at all."""

import gc
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from echogan_jax.data import recorder, video

TIMES = np.array([0.0, 30.0, 80.0, 120.0, 150.0])


def noise(*shape):
  return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_a_gif_keeps_every_frame_exactly(tmp_path):
  frames = noise(5, 21, 33)
  frames[3] = frames[2]  # Pillow's own writer would join the two
  recorder.write(tmp_path / 'a.gif', frames, TIMES)
  clip = video.read(tmp_path / 'a.gif')
  np.testing.assert_array_equal(clip.frames, frames)
  np.testing.assert_array_equal(clip.times, TIMES)
  with Image.open(tmp_path / 'a.gif') as file:
    assert file.info['loop'] == 0
    assert file.info['comment'].decode() == recorder.DERIVED


def test_a_gif_in_colour_has_a_palette_for_each_frame(tmp_path):
  frames = np.zeros((3, 16, 16, 3), np.uint8)
  for frame, colour in zip(frames, np.eye(3) * 255, strict=True):
    frame[4:12] = colour
  recorder.write(tmp_path / 'a.gif', frames, TIMES[:3])
  np.testing.assert_array_equal(video.read(tmp_path / 'a.gif').frames, frames)


@pytest.mark.parametrize('name', ['a.gif', 'a.mp4', 'a.avi'])
def test_what_breaks_off_leaves_nothing(tmp_path, name):
  with pytest.raises(RuntimeError, match='cut'):
    with recorder.writing(tmp_path / name, TIMES) as add:
      add(noise(16, 16))
      raise RuntimeError('cut')
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name', ['a.gif', 'a.mp4'])
def test_memory_does_not_grow_with_a_clip(tmp_path, name):
  frame, peaks = noise(128, 128), []
  for count in (20, 60):
    tracemalloc.start()
    with recorder.writing(tmp_path / name, np.arange(count) * 40.0) as add:
      for number in range(count):
        add(frame)
        if number % 10 == 9:
          gc.collect()  # Pillow makes a class for each frame of a GIF
    peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
  assert peaks[1] < peaks[0] + 20 * frame.nbytes
