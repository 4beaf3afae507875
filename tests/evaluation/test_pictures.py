"""What a person looks at: the right cases, in the right colours."""

import itertools

import numpy as np
import pytest
from PIL import Image

from echogan_jax.evaluation import frame, pictures, truth
from echogan_jax.evaluation.case import Case
from echogan_jax.evaluation.clips import Played

SIZE = 48
INSIDE = np.hypot(*(np.indices((SIZE, SIZE)) - 23.5)) < 22


def case(**changes):
  random = np.random.default_rng(0)
  grey = np.where(INSIDE, random.integers(60, 120, (SIZE, SIZE)), 0)
  grey = grey.astype(np.uint8)
  target = (grey + 60 * INSIDE).astype(np.uint8)
  made = Case({'patient': 'a'}, grey, grey, INSIDE, target)
  return made._replace(**changes)


def offer(gains, count):
  gallery = pictures.Gallery(len(gains), count)
  for n, gain in enumerate(gains):
    values = {'psnr/input': 20.0, 'psnr/enhanced': 20.0 + (gain or 0)}
    sheet = frame.Sheet({} if gain is None else values, {})
    gallery.offer(case()._replace(row={'patient': str(n)}), sheet)
  return [(one.kind, int(one.case.row['patient'])) for one in gallery.shown()]


def test_the_worst_and_the_best_are_kept():
  gains = [3, -1, 5, 0, 7, -4, 2, 1, 6, 4, 8, -2]
  found = offer(gains, 9)
  assert found[:6] == [
    *(('worst', 5), ('worst', 11), ('worst', 1)),
    *(('best', 10), ('best', 4), ('best', 8)),
  ]
  assert len(found) == 9 and {kind for kind, _ in found[6:]} == {'typical'}
  assert len({number for _, number in found}) == 9


@pytest.mark.parametrize('count', [0, 1, 2, 5, 9])
def test_no_more_than_asked_for_and_none_twice(count):
  for total in (1, 2, 3, 20):
    for gains in ([None] * total, list(range(total))):
      found = offer(gains, count)
      assert len(found) == min(count, total)
      assert len({number for _, number in found}) == len(found)


def test_without_truth_cases_are_spread_evenly():
  assert offer([None] * 9, 3) == [('typical', n) for n in (0, 4, 8)]


def test_one_colour_for_more_and_one_for_less():
  grey = np.full((2, 2), 100, np.uint8)
  values = np.array([[2.0, -2.0], [0.0, 1.0]])
  inside = np.array([[True, True], [True, False]])
  found = pictures.paint(grey, values, inside).tolist()
  assert found[0] == [[230, 120, 20], [40, 110, 230]]
  assert found[1] == [[100] * 3] * 2


def coloured(picture):
  return picture.astype(int)[..., 0] - picture[..., 2]  # orange above 0


def test_maps_of_an_untouched_picture_are_plain():
  found = pictures.maps(case())
  assert list(found) == ['change', 'recovery', 'invention', 'resolution']
  for name in ('change', 'recovery', 'invention'):
    assert not coloured(found[name]).any(), name


def test_maps_say_where():
  made = case().input.copy()
  made[10:16, 20:26] += 60  # recovered
  made[30:36, 20:26] -= 60  # the wrong way
  found = pictures.maps(case(enhanced=made))
  right, wrong = np.s_[10:16, 20:26], np.s_[30:36, 20:26]
  assert (coloured(found['change'])[right] > 0).all()
  assert (coloured(found['change'])[wrong] < 0).all()
  assert (coloured(found['recovery'])[right] < 0).all()
  assert (coloured(found['recovery'])[wrong] > 0).all()
  outside = ~INSIDE
  for name in ('change', 'recovery', 'invention'):
    assert not coloured(found[name])[outside].any()


def test_fewer_maps_where_less_is_known():
  assert list(pictures.maps(case(target=None))) == ['change']
  assert list(pictures.maps(case(target=case().input))) == ['change']


def test_a_sector_too_small_for_patches_has_no_map_of_them():
  small = np.zeros_like(INSIDE)
  small[20:30, 20:30] = True
  found = pictures.maps(case(inside=small))
  assert 'recovery' in found and 'resolution' not in found


def test_strips_are_written_and_listed(tmp_path):
  sheet = frame.Sheet(
    {'psnr/input': 9.0, 'recovery': 0.5, 'mae/input': 1.0}, {}
  )
  some = [
    pictures.Shown('worst', case(), sheet),
    pictures.Shown('worst', case(target=None), sheet),
    pictures.Shown('best', case(), sheet),
  ]
  found = pictures.write(some, tmp_path)
  assert [one['file'] for one in found] == [
    f'pictures/{name}.png' for name in ('worst_0', 'worst_1', 'best_0')
  ]
  for one, shown in zip(found, some, strict=True):
    for file, columns in (('file', 'columns'), ('maps', 'map_columns')):
      with Image.open(tmp_path / one[file]) as picture:
        assert picture.size == (SIZE * len(one[columns]), SIZE)
    strip = np.asarray(Image.open(tmp_path / one['file']))
    np.testing.assert_array_equal(strip[:, :SIZE], shown.case.input)
    assert one['values'] == {'psnr/input': 9.0, 'recovery': 0.5}
  assert found[0]['columns'] == ['input', 'enhanced', 'truth']
  assert found[1]['columns'] == ['input', 'enhanced']


def test_clips_play(tmp_path):
  frames = np.stack([case().input] * 3)
  frames[1] //= 2
  clip = truth.Truth(
    input=frames,
    target=frames // 2,
    labels=frames,
    displacement=np.zeros((*frames.shape, 2), np.float32),
    inside=INSIDE,
    mm=1.0,
    frame_time=50.0,
  )
  sheet = frame.Sheet({}, {})
  areas = {'truth': [9.0, 4.5, 9.0]}
  some = [Played({'patient': p}, clip, frames, sheet, areas) for p in 'ab']
  found = pictures.play(some, tmp_path)
  assert [one['patient'] for one in found] == ['a', 'b']
  assert found[0]['lv_area_cm2'] == areas
  with Image.open(tmp_path / found[1]['file']) as film:
    assert film.n_frames == 3 and film.size == (3 * SIZE, SIZE)
    assert film.info['duration'] == 50
  assert pictures.play([], tmp_path) == []


def test_the_middle_is_not_kept():
  gallery = pictures.Gallery(100, 3)
  for gain in itertools.islice(itertools.cycle((1.0, -1.0, 0.0)), 100):
    values = {'psnr/input': 0.0, 'psnr/enhanced': gain}
    gallery.offer(case(), frame.Sheet(values, {}))
  assert len(gallery._worst) + len(gallery._best) <= 2


def test_one_patient_is_not_all_of_the_worst():
  gallery = pictures.Gallery(6, 6)
  for gain, patient in ((-5, 'a'), (-4, 'a'), (-1, 'b'), (3, 'c'), (9, 'c')):
    values = {'psnr/input': 0.0, 'psnr/enhanced': float(gain)}
    one = case()._replace(row={'patient': patient})
    gallery.offer(one, frame.Sheet(values, {}))
  kinds = {'worst': [], 'best': [], 'typical': []}
  for one in gallery.shown():
    kinds[one.kind].append(one.case.row['patient'])
  assert kinds['worst'] == ['a', 'b'] and kinds['best'][0] == 'c'
