import dataclasses

import numpy as np
import pytest

from echogan_jax.command import BadInput
from echogan_jax.data import anatomy, motion, tissue, valves


@pytest.fixture(scope='module')
def heart():
  return anatomy.draw(np.random.default_rng(3))


@pytest.fixture(scope='module')
def body(heart):
  return tissue.draw(heart, np.random.default_rng(4))


def grid(step=1.0):
  x, y = np.arange(-60, 80, step), np.arange(0, 180, step)
  return np.stack(np.meshgrid(x, y), axis=-1)


def test_the_drawn_volume_is_the_volume_of_the_shape(heart):
  u, v = np.meshgrid(np.arange(-50, 50, 0.25), np.arange(0, heart.base, 0.25))
  inner, _ = motion.shells(heart, u, v, motion.beat(heart, 0))
  width = (inner < 1).sum(axis=1) * 0.25
  volume = np.pi / 4 * (width**2).sum() * 0.25 / 1000
  assert volume == pytest.approx(heart.edv_ml, rel=0.02)


def test_beat_keeps_the_wall_and_ejects_the_drawn_fraction(heart):
  start, end = motion.beat(heart, 0), motion.beat(heart, 0.38)
  volume = [b.radius**2 * b.length for b in (start, end)]
  wall = [
    b.outer**2 * b.base - v for b, v in zip((start, end), volume, strict=True)
  ]
  assert 1 - volume[1] / volume[0] == pytest.approx(heart.ef, abs=1e-6)
  assert wall[1] == pytest.approx(wall[0])
  assert start.base - end.base == pytest.approx(heart.mapse_mm)
  assert end.outer - end.radius > 1.1 * heart.wall_mm


def test_one_beat_closes_to_a_loop(heart):
  assert motion.beat(heart, 1) == motion.beat(heart, 0)
  points = grid(10)
  np.testing.assert_allclose(
    motion.material(heart, points, 1), points, atol=1e-9
  )


def test_follow_undoes_material(heart):
  points = grid(10)
  there = motion.follow(heart, points, 0.3)
  assert np.abs(there - points).max() > 5
  back = motion.material(heart, there, 0.3)
  assert np.median(np.abs(back - points)) < 0.01


def test_the_motion_never_tears(heart):
  points = grid(1.0)
  moved = motion.material(heart, points, 0.38) - points
  for axis in (0, 1):
    assert np.abs(np.diff(moved, axis=axis)).max() < 1.5


def test_chambers_are_where_an_apical_view_shows_them(body):
  rows, columns = {}, {}
  for label in range(1, 6):
    where = np.nonzero(body.label == label)
    rows[label], columns[label] = (index.mean() for index in where)
  assert columns[anatomy.RIGHT_VENTRICLE] < columns[anatomy.LEFT_VENTRICLE]
  assert columns[anatomy.RIGHT_ATRIUM] < columns[anatomy.LEFT_ATRIUM]
  assert rows[anatomy.LEFT_VENTRICLE] < rows[anatomy.LEFT_ATRIUM]
  assert rows[anatomy.RIGHT_VENTRICLE] < rows[anatomy.RIGHT_ATRIUM]


def test_the_atria_have_their_drawn_sizes(heart, body):
  x, y = np.meshgrid(np.arange(-100, 110, 0.5), np.arange(0, 215, 0.5))
  points = np.stack([x, y], axis=-1)
  label = body.labels_at(motion.material(heart, points, 0.38))
  along = motion.to_heart(heart, points, 0.38)[1]
  left = label == anatomy.LEFT_ATRIUM
  area, length = left.sum() / 4, np.ptp(along[left])
  volume = 8 * area**2 / (3 * np.pi * length) / 1000
  expected = heart.la_ml_per_m2 * heart.body_surface_m2
  assert volume == pytest.approx(expected, rel=0.12)
  area = (label == anatomy.RIGHT_ATRIUM).sum() / 400
  assert area == pytest.approx(heart.ra_cm2, rel=0.12)


def test_lookups_agree_with_the_raster(body):
  points = grid(10)
  labels = body.labels_at(points)
  blood = body.amplitude_at(points)[labels == anatomy.LEFT_VENTRICLE]
  muscle = body.amplitude_at(points)[labels == anatomy.MYOCARDIUM]
  assert np.median(muscle) > 10 * np.median(blood)


def test_valves_open_in_diastole(heart, body):
  points = grid(0.5)
  annulus = motion.to_heart(heart, points)[1] - heart.base

  def height(phase):
    lit = valves.amplitude(heart, body.hinges, points, phase) > 1
    return -annulus[lit].min()

  assert height(0.55) > height(0.2) + 5


def test_findings_can_be_forced_and_change_the_picture():
  rng = np.random.default_rng
  no = anatomy.draw(rng(1), prevalence=dict.fromkeys(anatomy.PREVALENCE, 0))
  yes = anatomy.draw(rng(1), prevalence=dict.fromkeys(anatomy.PREVALENCE, 1))
  assert set(no.labels().values()) == {0}
  assert all(value >= 1 for value in yes.labels().values())
  assert no.effusion_mm == no.thrombus_mm == 0
  assert 5 <= yes.effusion_mm <= 20 and 6 <= yes.thrombus_mm <= 20
  assert no.ef == yes.ef

  clear = dataclasses.replace(no, effusion_mm=15.0, thrombus_mm=15.0)
  before, after = (tissue.draw(h, rng(2)).amplitude for h in (no, clear))
  assert (after < before / 10).sum() * tissue.STEP**2 > 500  # fluid, mm2
  assert (after > before * 10).sum() * tissue.STEP**2 > 50  # clot


def test_unknown_findings_and_impossible_chances_are_refused():
  rng = np.random.default_rng(0)
  with pytest.raises(BadInput, match='no finding called tumour.*effusion'):
    anatomy.draw(rng, prevalence={'tumour': 0.5})
  with pytest.raises(BadInput, match='lvh is 2: give 0 to 1'):
    anatomy.draw(rng, prevalence={'lvh': 2})
