"""Outlines and volumes against reference numbers and closed forms."""

import numpy as np
import pytest

from echogan_jax.data import anatomy, phantom
from echogan_jax.metrics.segmentation import (
  asd,
  dice,
  ejection_fraction,
  largest,
  septum,
  volume,
)

EMPTY = np.zeros((8, 8), bool)


@pytest.fixture(scope='module')
def studies():
  return [phantom.simulate([7, s], size=96, frames=12) for s in range(2)]


def box(rows, columns, side=40):
  region = np.zeros((side, side), bool)
  region[slice(*rows), slice(*columns)] = True
  return region


def ellipse(long, short, tilt=0.0, *, centre=(48.3, 47.6), cut=1.0):
  """Half axes in pixels, tilt in radians; `cut` of the long one is kept."""
  y, x = np.indices((96, 96)) - np.reshape(centre, (2, 1, 1))
  along = x * np.sin(tilt) + y * np.cos(tilt)
  across = x * np.cos(tilt) - y * np.sin(tilt)
  return ((along / long) ** 2 + (across / short) ** 2 < 1) & (
    along < cut * long
  )


def test_dice_and_distance_are_the_challenges(reference):
  golden = reference('challenge_metrics')
  pairs = zip(golden['seg/pred'] > 0, golden['seg/label'] > 0, strict=True)
  for i, (found, truth) in enumerate(pairs):
    assert abs(dice(found, truth) - golden['seg/Dice_f64'][i]) < 1e-10
    expected = golden['seg/ASD_f64'][i]
    assert abs(asd(found, truth) - expected) < 1e-10
    assert abs(asd(found, truth, spacing=0.5) - expected / 2) < 1e-10


def test_dice_of_boxes():
  truth = box((10, 20), (10, 20))
  assert dice(truth, truth) == 1.0
  assert dice(box((10, 20), (15, 25)), truth) == 0.5
  assert dice(box((30, 35), (0, 5)), truth) == 0.0
  assert dice(np.zeros_like(truth), truth) == 0.0
  with pytest.raises(ValueError, match='empty'):
    dice(EMPTY, EMPTY)


def test_distance_of_outlines_and_of_regions():
  inner, outer = box((10, 30), (10, 30)), box((7, 33), (7, 33))
  assert asd(inner, inner) == asd(inner, inner, outlines=True) == 0.0
  # all of the inner outline is 3 away; the outer's corners are farther
  sides, corners = 4 * 20, 0.0
  for i in range(4):
    for j in range(4):
      if max(i, j) == 3:
        corners += 4 * np.hypot(i, j) - (4 * 3 if min(i, j) == 0 else 0)
  outwards = (3 * sides + corners) / 100
  assert asd(inner, outer, outlines=True) == pytest.approx((3 + outwards) / 2)
  assert asd(inner, outer) == pytest.approx(outwards / 2)
  assert asd(inner, outer) == asd(outer, inner)
  for pair in ((EMPTY, ~EMPTY), (~EMPTY, EMPTY)):
    with pytest.raises(ValueError, match='empty'):
      asd(*pair)


def test_the_septum_is_the_wall_beside_the_right_ventricle():
  labels = np.zeros((40, 40), np.uint8)
  labels[box((5, 35), (14, 26))] = anatomy.MYOCARDIUM
  labels[box((9, 35), (18, 22))] = anatomy.LEFT_VENTRICLE
  assert not septum(labels).any()
  labels[box((12, 35), (4, 14))] = anatomy.RIGHT_VENTRICLE
  found = septum(labels)
  assert found[14:31, 14:18].all()
  assert not found[:, 18:].any() and not found[:8].any()
  filled = np.full((8, 8), anatomy.MYOCARDIUM, np.uint8)
  assert not septum(filled).any()


def test_the_phantoms_septum_is_one_side_of_its_wall(studies):
  for study in studies:
    labels = study.mask[0]
    wall, found = labels == anatomy.MYOCARDIUM, septum(labels)
    assert not (found & ~wall).any()
    assert 0.15 < found.sum() / wall.sum() < 0.5
    assert dice(largest(found), found) > 0.95
    columns = np.indices(labels.shape)[1]
    cavity = columns[labels == anatomy.LEFT_VENTRICLE].mean()
    assert columns[found].mean() < cavity - 5


def test_the_largest_part_is_kept():
  big, small = box((5, 15), (5, 15)), box((15, 18), (15, 18))
  np.testing.assert_array_equal(largest(big | small), big)
  np.testing.assert_array_equal(largest(EMPTY), EMPTY)


@pytest.mark.parametrize('tilt', [0.0, 0.4, 1.2, 2.5])
def test_volume_of_an_ellipsoid(tilt):
  for long, short in ((35, 20), (30, 24), (20, 12)):
    found = volume(ellipse(long, short, tilt), mm=0.8)
    expected = 4 / 3 * np.pi * long * short**2 * 0.8**3 / 1000
    assert found == pytest.approx(expected, rel=0.03)


def test_volume_is_measured_to_the_middle_of_the_base():
  for tilt in (0.0, 0.35):
    region = ellipse(40, 18, tilt, cut=0.6)
    length = 40 * 1.6
    expected = 8 * region.sum() ** 2 / (3 * np.pi * length) / 1000
    assert volume(region) == pytest.approx(expected, rel=0.02)


def test_volume_of_the_ventricle_alone():
  region = ellipse(30, 15)
  stray = region | box((2, 6), (2, 6), 96)
  assert volume(stray) == volume(region)
  with pytest.raises(ValueError, match='empty'):
    volume(EMPTY)


def test_ejection_fraction():
  assert ejection_fraction([90.0, 120.0, 48.0, 70.0]) == pytest.approx(60)
  assert ejection_fraction([80.0, 80.0]) == 0.0
  for volumes in ([80.0], [0.0, 0.0]):
    with pytest.raises(ValueError, match='two volumes'):
      ejection_fraction(volumes)


def test_ejection_fraction_of_the_phantoms_masks_is_the_drawn_one(studies):
  errors = []
  for study in studies:
    volumes = [
      volume(mask == anatomy.LEFT_VENTRICLE, mm=study.mm_per_pixel)
      for mask in study.mask
    ]
    assert volumes[0] == pytest.approx(study.anatomy['edv_ml'], rel=0.08)
    errors.append(ejection_fraction(volumes) - 100 * study.anatomy['ef'])
  assert np.abs(errors).max() < 3 and abs(np.mean(errors)) < 1.5
