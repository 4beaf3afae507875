"""Clips of any size and length are enhanced as they are played."""

import numpy as np
import pytest

from echogan_jax.data import film, sector
from echogan_jax.data.clip import Clip, Film
from echogan_jax.delivery import output, treatment
from echogan_jax.training.enhancer import Enhancer

PLAIN = treatment.Options(persistence=False, allow_text=True)


def model(change, size=32):
  """Return an enhancer that makes of frames what a function says."""

  def translate(frames, masks):
    masks = np.broadcast_to(masks, frames.shape)
    return np.where(masks, change(frames), frames).astype(np.uint8)

  return Enhancer(translate, {}, size, 3, {}, 'c' * 64, {}, 'w' * 64)


def fan(height, width, count=3):
  """Return a moving fan with a line of text above it."""
  y, x = np.indices((height, width))
  away = np.hypot(y - 0.1 * height, x - width / 2)
  inside = (away < 0.8 * height) & (np.abs(x - width / 2) < 0.8 * (y - 9))
  random = np.random.default_rng(0)
  frames = random.integers(60, 200, (count, height, width)) * inside
  frames[:, 1:4, 1:20] = 255
  return frames.astype(np.uint8)


def opened(frames):
  times = 40.0 * np.arange(len(frames))
  clip = Clip(frames=frames, times=times)
  return Film(clip=clip, times=times, play=lambda: iter(frames))


@pytest.mark.parametrize(
  'size', [(61, 77), (434, 636), (768, 1024), (240, 97)], ids=str
)
def test_frames_of_any_size_come_back_in_their_own_grid(size):
  frames = fan(*size)
  treated = treatment.enhance(opened(frames), model(lambda f: f), PLAIN)
  inside = treated.sector.mask()
  shots = list(treated.shots)
  assert len(shots) == len(frames)
  for shot, frame in zip(shots, frames, strict=True):
    # a network that changes nothing gives the input back, bit for bit
    np.testing.assert_array_equal(shot.made, np.where(inside, frame, 0))
    assert shot.before.shape == (32, 32)


def test_the_square_is_cut_out_without_distortion():
  frames = fan(120, 160)
  treated = treatment.enhance(opened(frames), model(lambda f: f), PLAIN)
  (x0, y0, side), polygon = treated.sector.box, np.array(treated.sector.polygon)
  assert side >= np.ptp(polygon, axis=0).max()
  corners = polygon - (x0, y0)
  assert (corners >= 0).all() and (corners < side).all()


@pytest.mark.parametrize('persistence', [False, True])
def test_strength_lies_between_input_and_result(persistence):
  frames, made = fan(64, 80, 6), {}
  for strength in (0.0, 0.5, 1.0):
    options = PLAIN._replace(strength=strength, persistence=persistence)
    film_ = opened(frames)
    treated = treatment.enhance(film_, model(lambda f: 255 - f, 64), options)
    shots = list(treated.shots)
    made[strength] = np.stack([shot.made for shot in shots]).astype(float)
  source = np.stack([shot.source for shot in shots])
  np.testing.assert_array_equal(made[0.0], source)
  assert np.abs(made[1.0] - source).mean() > 5
  np.testing.assert_allclose(made[0.5], (source + made[1.0]) / 2, atol=0.5)


def test_outside_is_black_or_as_it_came():
  frames = fan(64, 80)
  colour = np.stack([frames, frames // 2, frames], axis=-1)
  for options, expected in (
    (PLAIN, np.zeros_like(frames)),
    (PLAIN._replace(keep_outside=True), colour),
  ):
    treated = treatment.enhance(
      opened(colour), model(lambda f: 255 - f), options
    )
    outside = ~treated.sector.mask()
    made = np.stack([shot.made for shot in treated.shots])
    np.testing.assert_array_equal(made[:, outside], expected[:, outside])
    assert not treated.blanked


def test_persistence_calms_a_network_that_flickers():
  random = np.random.default_rng(0)
  frames, found = np.repeat(fan(64, 80)[:1], 12, axis=0), {}
  for on in (False, True):

    def restless(f):
      level = random.normal(0, 20, f.shape)
      return np.clip(f + level, 0, 255)

    options = PLAIN._replace(persistence=on)
    treated = treatment.enhance(opened(frames), model(restless), options)
    made = np.stack([shot.made for shot in treated.shots]).astype(float)
    found[on] = np.abs(np.diff(made, axis=0)).mean()
  assert found[True] < 0.65 * found[False]


def test_frames_are_decoded_no_further_than_needed():
  taken = []

  def play():
    for frame in np.repeat(fan(64, 80)[:1], 60, axis=0):
      taken.append(None)
      yield frame

  source = opened(fan(64, 80))
  source = Film(clip=source.clip, times=40.0 * np.arange(60), play=play)
  options = PLAIN._replace(persistence=True)
  treated = treatment.enhance(source, model(lambda f: f), options)
  for number, _ in enumerate(treated.shots):
    assert len(taken) <= min(60, number + 4 + 8)
  assert number == 59


@pytest.mark.parametrize('suffix', ['.mp4', '.gif', '.png'])
def test_side_by_side(tmp_path, suffix):
  frames = fan(64, 80, 1)
  source = opened(frames)
  treated = treatment.enhance(source, model(lambda f: 255 - f), PLAIN)
  path, pushed = tmp_path / f'a{suffix}', []
  style = output.Style(side_by_side=True)
  enhancer = model(lambda f: f)
  output.write(
    path,
    source,
    treated,
    model=enhancer,
    key=b'k',
    style=style,
    also=[pushed.append],
  )
  with film.opened(path) as made:
    assert made.clip.frames.shape[1:] == (64, 160)
  assert len(pushed) == 1
  assert set(output.provenance(enhancer)) == {
    'version',
    'step',
    'config_sha256',
    'weights_sha256',
  }


def test_the_sector_decides_what_changes():
  frames = fan(96, 128)
  treated = treatment.enhance(opened(frames), model(lambda f: 0 * f), PLAIN)
  inside = treated.sector.mask()
  assert sector.crop_mask(treated.sector, 32).any()
  for shot in treated.shots:
    assert not shot.made[~inside].any()
