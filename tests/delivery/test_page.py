"""What the page makes of a file, and what it says."""

import numpy as np
import pydicom
import pytest
from PIL import Image

from echogan_jax.data import dicom, film, recorder, sector, text
from echogan_jax.delivery import page, preview, treatment
from echogan_jax.delivery.treatment import Options
from echogan_jax.evaluation.expectation import Expectation
from echogan_jax.training.enhancer import Enhancer

SIZE = 32


def brighten(frames, masks):
  """Add 40 to the upper half, as a network that nobody trained might."""
  upper = np.broadcast_to(masks, frames.shape).copy()
  upper[:, SIZE // 2 :] = False
  more = np.minimum(frames, 255 - 40) + 40
  return np.where(upper, more, frames).astype(np.uint8)


@pytest.fixture
def network():
  return preview.Network(Enhancer(brighten, {}, SIZE, 7), None, b'k' * 32)


@pytest.fixture
def clip(phantom):
  return next(phantom.rglob('*.dcm'))


@pytest.fixture
def drop(network, tmp_path, monkeypatch):
  """Return what the page answers to a file; text is never found."""
  monkeypatch.setattr(text, 'available', lambda: True)
  monkeypatch.setattr(text, 'search', lambda frames, inside: [])

  def answer(path, options=Options(), network=network):  # noqa: B008
    place = tmp_path / 'place'
    place.mkdir(exist_ok=True)
    done = []
    told = page.answer(
      path and str(path), place, network, options, lambda *n: done.append(n)
    )
    assert not list(place.glob('clip*')), 'the input is still there'
    if told.made:
      count = len(told.made.times)
      assert done == [(n + 1, count) for n in range(count)]
    return told

  return answer


def write(source, path):
  """Write a DICOM clip in the format of a suffix."""
  read = dicom.read(source)
  count = 1 if path.suffix == '.png' else len(read.times)
  recorder.write(path, read.frames[:count], read.times[:count])
  return path


def test_dicom_gives_dicom_and_three_panels(drop, clip, network):
  told = drop(clip)
  made = pydicom.dcmread(told.made.result)
  assert made.SyntheticData == 'YES' and made.BurnedInAnnotation == 'NO'
  assert told.made.result.name == 'enhanced.dcm'
  source = dicom.read(clip)
  assert told.made.times == source.times.tolist()
  assert 'No text was found' in told.words and '<script' not in told.words
  with film.opened(told.made.film) as shown:
    frames = np.stack(list(shown.play())).astype(int)
    assert len(frames) == len(source.frames)
  height = frames.shape[1] // 3
  before, after, changed = (
    frames[:, n * height : (n + 1) * height] for n in range(3)
  )
  assert height % 2 == 0
  lit = (before > 60) & (np.arange(height)[:, None, None] < height // 4)
  assert 30 < np.median((after - before)[lit]) < 50
  assert np.abs(after - before)[:, -height // 3 :].mean() < 4
  red, _, blue = np.moveaxis(changed[:, : height // 3], -1, 0)
  assert (red - blue).max() > 60, 'what got brighter is not orange'


@pytest.mark.parametrize('suffix', ['.gif', '.png', '.mp4', '.avi'])
def test_others_keep_their_format(drop, clip, tmp_path, suffix):
  told = drop(write(clip, tmp_path / f'Muster_Erika{suffix}'))
  assert told.made.result.name == f'enhanced{suffix}'
  assert told.made.result.stat().st_size
  assert 'Erika' not in told.words and 'no header' in told.words
  assert told.words.startswith('<ul><li>One picture') is (suffix == '.png')


def test_a_picture_that_moves_becomes_a_gif(drop, clip, tmp_path):
  frames = [Image.fromarray(f) for f in dicom.read(clip).grey]
  path = tmp_path / 'moving.png'
  frames[0].save(path, save_all=True, append_images=frames[1:], duration=40)
  assert drop(path).made.result.suffix == '.gif'


def panels(network, strength):
  """Return the three panels of one made-up frame."""
  place = sector.Sector(40, 50, (5, -5, 41), ((5, 0), (45, 0), (25, 35)))
  grey = np.full((1, 40, 50), 100, np.uint8) * place.mask()
  before = sector.crop(grey, place, SIZE)
  after = brighten(before, sector.crop_mask(place, SIZE))
  made = sector.paste(before, after, place, grey)
  if not strength:
    made = grey
  shot = treatment.Shot(grey[0], made[0], before[0], after[0])
  return np.split(preview.painter(place, network, strength)(shot), 3)


def test_only_the_sector_is_shown_and_without_change_no_colour(network):
  before, after, changed = panels(network, 0.0)
  assert before.shape == (36, 42, 3)
  np.testing.assert_array_equal(before, after)
  np.testing.assert_array_equal(before, changed)


def test_what_is_expected_is_not_coloured(network):
  _, after, changed = panels(network, 1.0)
  assert (changed != after).any()
  usual = network._replace(expected=Expectation(255.0, 1))
  np.testing.assert_array_equal(*panels(usual, 1.0)[1:])
  rare = network._replace(expected=Expectation(1.0, 1))
  _, after, changed = panels(rare, 1.0)
  assert (changed[..., 0] > changed[..., 2]).any()


def test_a_large_frame_is_shown_smaller(network):
  side = 1501
  place = sector.Sector(
    side, side, (0, 0, side), ((0, 0), (side - 1, 0), (0, side - 1))
  )
  grey = np.zeros((side, side), np.uint8)
  small = np.zeros((SIZE, SIZE), np.uint8)
  shot = treatment.Shot(grey, grey, small, small)
  made = preview.painter(place, network, 1.0)(shot)
  assert made.shape == (3 * 752, 752, 3)


def test_text_is_asked_about_before_it_leaves(drop, clip, monkeypatch):
  monkeypatch.setattr(text, 'search', lambda frames, inside: ['a name'])
  refused = drop(clip)
  assert refused.refused and refused.made is None
  assert 'role="alert"' in refused.words and '--' not in refused.words
  told = drop(clip, Options(allow_text=True))
  assert 'is your word' in told.words
  made = pydicom.dcmread(told.made.result)
  assert made.BurnedInAnnotation == 'YES'
  assert made.PatientIdentityRemoved == 'NO'


def test_what_was_not_searched_is_said(drop, clip, monkeypatch):
  monkeypatch.setattr(text, 'available', lambda: False)
  assert 'was not searched for' in drop(clip).words


def test_what_goes_wrong_is_a_sentence(
  drop, clip, tmp_path, monkeypatch, capsys
):
  assert 'Drop a clip first.' in drop(None).words
  assert 'cleared away' in drop(tmp_path / 'gone.dcm').words
  broken = tmp_path / 'Muster_Erika<b>.gif'
  broken.write_text('no picture')
  words = drop(broken).words
  assert 'The file cannot be decoded' in words and 'Erika' not in words
  assert str(tmp_path) not in words
  monkeypatch.setattr(preview, 'make', lambda *_: 1 / 0)
  told = drop(clip)
  assert 'the terminal says what' in told.words and told.made is None
  assert 'ZeroDivisionError' in capsys.readouterr().err
