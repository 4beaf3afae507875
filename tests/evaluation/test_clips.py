"""Whole clips: flicker, areas and ejection fractions of known beats."""

import numpy as np
import pytest

from echogan_jax.data.sector import Sector
from echogan_jax.evaluation import case as cases
from echogan_jax.evaluation import clips, judge, truth
from echogan_jax.evaluation.case import Case


@pytest.fixture(scope='module')
def source(ingested, phantom):
  return cases.source(ingested, 'train', 32, str(phantom))


@pytest.fixture(scope='module')
def beats(source):
  """Return the truth of each low-quality clip, in the rows' order."""
  return [
    truth.read(
      source.truth / f'{row["source_sha256"]}.npz',
      Sector.from_json(row['sector']),
      source.size,
    )
    for row in cases.rows(source, 'low')
  ]


def recall(beats, field):
  """Return what answers with a field of the clip that it is shown."""

  def answer(frames, inside):
    (beat,) = (
      b
      for b in beats
      if any(np.array_equal(shown, frames) for shown in (b.input, b.target))
    )
    assert np.array_equal(inside, np.broadcast_to(beat.inside, frames.shape))
    return getattr(beat, field)

  return answer


def reader(draw):
  """Return a judge that draws what it is told to."""

  def read(frames, inside):
    return judge.Drawn(draw(frames, inside), np.zeros((len(frames), 0)))

  return judge.Judge('none', 32, (), {}, read)


def same(frames, inside):
  return frames


def dark(frames, inside):
  return ((frames < 60) & inside).astype(np.uint8)


def played(source, translate, draw=None, count=9):
  rows, judge_ = cases.rows(source, 'low'), draw and reader(draw)
  return list(clips.measure(source, rows, translate, judge_, count=count))


def test_the_truth_plays_like_the_truth(source, beats):
  found = played(source, recall(beats, 'target'), dark)
  assert len(found) == len(beats)
  for one in found:
    values = one.sheet.values
    np.testing.assert_array_equal(one.enhanced, one.truth.target)
    for name in ('flicker', 'ef', 'ef_error', 'lv_area_bias'):
      assert values[f'{name}/enhanced'] == values[f'{name}/target'], name
    assert values['flicker/enhanced'] != values['flicker/input']
    distance = abs(values['ef/enhanced'] - values['ef/truth'])
    np.testing.assert_allclose(values['ef_error/enhanced'], distance)


def test_a_judge_that_knows_has_no_bias(source, beats):
  for one in played(source, same, recall(beats, 'labels'), count=3):
    values = one.sheet.values
    assert values['flicker/enhanced'] == values['flicker/input']
    assert abs(values['ef_error/input']) < 1e-9
    assert 0 < values['ef/truth'] < 100
    assert values['lv_area_bias/enhanced'] == 0
    pixels = (one.truth.labels == clips.LV).sum((1, 2))
    expected = pixels * (one.truth.mm / 10) ** 2  # cm²
    assert set(one.areas) == {'truth', 'input', 'enhanced', 'target'}
    for curve in one.areas.values():
      np.testing.assert_allclose(curve, expected)


def test_half_a_ventricle_is_half_too_small(source, beats):
  def half(frames, inside):
    drawn = (recall(beats, 'labels')(frames, inside) == clips.LV).copy()
    for mask in drawn:
      rows = np.flatnonzero(mask.any(1))
      mask[rows[len(rows) // 2] :] = False
    return drawn.astype(np.uint8)

  (one,) = played(source, same, half, count=1)
  assert -75 < one.sheet.values['lv_area_bias/input'] < -25


def test_a_ventricle_that_is_not_found_has_a_reason(source):
  (one,) = played(source, same, lambda f, inside: np.zeros_like(f), count=1)
  assert one.sheet.values['lv_area_bias/enhanced'] == -100
  assert 'ef/truth' in one.sheet.values
  assert 'ef/enhanced' not in one.sheet.values
  assert 'empty ventricle' in one.sheet.reasons['ef/enhanced']


def test_without_a_judge_flicker_is_left(source):
  (one,) = played(source, same, count=1)
  assert set(one.sheet.values) == {
    *('flicker/input', 'flicker/enhanced', 'flicker/target')
  }


def test_a_clip_of_one_frame_has_no_flicker(source, tmp_path):
  row = cases.rows(source, 'low')[0]
  name = f'{row["source_sha256"]}.npz'
  with np.load(source.truth / name) as file:
    arrays = dict(file)
  for array in ('degraded', 'clean', 'mask', 'displacement'):
    arrays[array] = arrays[array][:1]
  np.savez(tmp_path / name, **arrays)
  (one,) = played(source._replace(truth=tmp_path), same, dark)
  assert 'two frames' in one.sheet.reasons['flicker/input']
  assert 'two volumes' in one.sheet.reasons['ef/truth']


def test_clips_without_truth_do_not_count(source, tmp_path):
  rows = cases.rows(source, 'low')
  name = f'{rows[-1]["source_sha256"]}.npz'
  (tmp_path / name).write_bytes((source.truth / name).read_bytes())
  np.savez(tmp_path / f'{rows[0]["source_sha256"]}.npz', mask=np.zeros(3))
  (one,) = played(source._replace(truth=tmp_path), same, count=1)
  assert one.row == rows[-1]


def test_new_patients_come_first():
  names = [('a', 1), ('a', 1), ('a', 2), ('b', 3), ('a', 4), ('b', 5)]
  rows = [
    {'patient': p, 'source_sha256': str(c), 'frame': str(n)}
    for n, (p, c) in enumerate(names)
  ]
  order = clips._first_of_clips(rows)
  assert [r['source_sha256'] for r in order] == ['1', '3', '2', '5', '4']
  assert order[0]['frame'] == '0'


def still(level, frame=0, clip='c', **changes):
  grey = np.full((8, 8), 50, np.uint8)
  row = {'clip': clip, 'frame': str(frame)}
  made = Case(row, grey, grey + np.uint8(level), np.ones((8, 8), bool))
  return made._replace(**changes)


def test_flicker_without_truth():
  between = clips.flicker_between
  assert between(still(9), still(9, 1)) == 0
  assert between(still(9), still(4, 1)) == 5
  assert between(None, still(9)) is None
  assert between(still(9), still(4, 1, 'd')) is None


def test_a_truth_makes_no_difference_to_flicker():
  goal = still(0).input
  pair = still(9, target=goal), still(4, 1, target=goal)
  assert clips.flicker_between(*pair) == 5


@pytest.mark.parametrize('frame', [2, 3, 5, 7])
def test_only_neighbours_flicker(frame):
  assert clips.flicker_between(still(9, 3), still(4, frame)) is None
  assert clips.flicker_between(still(9, 9), still(4, 10)) == 5
