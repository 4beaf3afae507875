"""Frames pass through in chunks, in constant memory, or not at all."""

import tempfile
import tracemalloc

import numpy as np
import pydicom
import pytest
from pydicom.encaps import parse_basic_offsets, parse_fragments

from echogan_jax.command import BadInput
from echogan_jax.data import derive, encode
from echogan_jax.data.clip import Clip

_FRAMES = np.random.default_rng(0).integers(0, 256, (3, 21, 33), np.uint8)


def spooled(chunks, shape=_FRAMES.shape, **options):
  with tempfile.TemporaryFile() as file:
    found = encode.spool(file, iter(chunks), shape, **options)
    return found, file.read()


def test_chunks_are_one_clip():
  whole, content = spooled([_FRAMES])
  parts, same = spooled([_FRAMES[:2], _FRAMES[:0], _FRAMES[2:]])
  # 3 x 21 x 33 is odd: the value is padded
  assert content == same == _FRAMES.tobytes() + b'\0'
  assert whole[1:] == parts[1:] and whole.shape == _FRAMES.shape


def test_compressed_frames_can_be_found_by_their_offsets():
  plain, _ = spooled([_FRAMES])
  found, content = spooled([_FRAMES], compress=True)
  assert found.sha256 == plain.sha256
  count, at = parse_fragments(content[8 + 4 * 3 :])
  assert count == 3
  assert parse_basic_offsets(content) == at
  assert all(offset % 2 == 0 for offset in at)


@pytest.mark.parametrize('compress', [False, True])
def test_memory_does_not_grow_with_the_frames(tmp_path, compress):
  peaks, chunk = [], np.zeros((8, 96, 128), np.uint8)
  for count in (16, 16, 160):  # what is loaded once is loaded in the first
    still = np.broadcast_to(chunk[0], (count, *chunk.shape[1:]))
    clip = Clip(frames=still, times=np.arange(count) * 20.0)
    chunks = (chunk.copy() for _ in range(count // len(chunk)))
    tracemalloc.start()
    derive.write(tmp_path / 'a', clip, chunks, model={}, compress=compress)
    peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
  assert peaks[2] - peaks[1] < 10 * chunk[0].nbytes < 160 * chunk[0].nbytes
  there = pydicom.dcmread(tmp_path / 'a')
  assert there.pixel_array.shape == (160, *chunk.shape[1:])


@pytest.mark.parametrize(
  ('chunks', 'match'),
  [
    ([_FRAMES[:, 1:]], 'in the source grid'),
    ([_FRAMES[:1], np.stack([_FRAMES[1:]] * 3, axis=-1)], 'all grey or all'),
    ([np.stack([_FRAMES] * 4, axis=-1)], 'all grey or all'),
    ([_FRAMES.astype(np.float32)], 'uint8'),
    ([_FRAMES[:2]], '2 frames cannot be derived from 3'),
    ([_FRAMES, _FRAMES[:1]], 'more than 3 frames'),
    ([], '0 frames'),
  ],
)
def test_other_frames_than_those_of_the_source(tmp_path, chunks, match):
  clip = Clip(frames=_FRAMES, times=np.arange(3) * 20.0)
  with pytest.raises(BadInput, match=match):
    derive.write(tmp_path / 'a.dcm', clip, iter(chunks), model={})
  assert not list(tmp_path.iterdir())


def test_more_than_an_object_holds(monkeypatch):
  monkeypatch.setattr(encode, '_MOST', 1000)
  with pytest.raises(BadInput, match='4 GB'):
    spooled([_FRAMES])


def test_a_codec_that_is_not_installed(monkeypatch):
  class Encoder:
    is_available = False

  monkeypatch.setattr(encode, 'get_encoder', lambda syntax: Encoder)
  with pytest.raises(BadInput, match=r'echogan_jax\[codecs\]'):
    spooled([_FRAMES], compress=True)
