import dataclasses
import math

import numpy as np
import pytest
from scipy import ndimage

from echogan_jax.command import BadInput
from echogan_jax.data import phantom

PLAIN = {'thrombus': 0.0, 'effusion': 0.0}


@pytest.fixture(scope='module')
def study():
  return phantom.simulate(2, size=128, frames=24, prevalence=PLAIN)


@pytest.fixture(scope='module')
def studies():
  return [
    phantom.simulate([1, seed], size=96, frames=2, prevalence=PLAIN)
    for seed in range(10)
  ]


def inner(study, label):
  """A label without its outermost pixels, which the beam's width blurs."""
  same = np.stack([ndimage.binary_erosion(m == label) for m in study.mask])
  return same & study.fan


def gcnr(study, frames):
  counts = [
    np.histogram(frames[inner(study, label)], 64, (0, 256))[0]
    for label in (1, 2)
  ]
  one, two = (count / count.sum() for count in counts)
  return 1 - np.minimum(one, two).sum()


def volume(study, frame):
  """Method of discs on the mask, along the ventricle's axis, ml."""
  y, x = np.nonzero(study.mask[frame] == 1)
  tilt = math.radians(study.anatomy['tilt_degrees'])
  along = x * math.sin(tilt) + y * math.cos(tilt)
  width = np.bincount((along - along.min()).astype(int))
  return np.pi / 4 * (width**2).sum() * study.mm_per_pixel**3 / 1000


def test_a_study_is_what_it_says(study):
  shape = (24, 128, 128)
  for name in ('clean', 'degraded', 'mask'):
    frames = getattr(study, name)
    assert frames.shape == shape and frames.dtype == np.uint8
    assert not frames[:, ~study.fan].any()
  assert study.displacement.shape == (*shape, 2)
  assert study.displacement.dtype == np.float32
  assert not study.displacement[:, ~study.fan].any()
  assert set(np.unique(study.mask)) == set(range(6))
  beat = 24 * study.frame_time
  assert beat == pytest.approx(60000 / study.heart_rate)
  assert all(type(value) is float for value in study.anatomy.values())
  assert all(type(value) is float for value in study.severities.values())
  assert all(type(value) is int for value in study.labels.values())


def test_same_seed_same_bytes_and_other_seeds_differ(studies):
  again = phantom.simulate([1, 0], size=96, frames=2, prevalence=PLAIN)
  for field in dataclasses.fields(again):
    one, two = getattr(again, field.name), getattr(studies[0], field.name)
    np.testing.assert_array_equal(one, two)
  assert (studies[0].clean != studies[1].clean).any()


def test_tissues_order_by_brightness(study):
  blood, muscle = (study.clean[inner(study, label)] for label in (1, 2))
  assert blood.mean() + 60 < muscle.mean()
  for chamber in (3, 4, 5):
    assert study.clean[inner(study, chamber)].mean() < muscle.mean() - 60
  assert np.percentile(study.clean[:, study.fan], 99) > muscle.mean() + 40


def test_clean_separates_cavity_from_wall_and_degraded_does_not(studies):
  clean = [gcnr(study, study.clean) for study in studies]
  poor = [gcnr(study, study.degraded) for study in studies]
  assert np.mean(clean) > 0.9 and min(clean) > 0.85
  assert 0.4 < np.mean(poor) < 0.75
  assert np.std(poor) > 0.05
  assert all(p < c for p, c in zip(poor, clean, strict=True))


def test_ejection_fraction_of_the_mask_is_the_drawn_one(study):
  volumes = [volume(study, frame) for frame in range(24)]
  assert volumes[0] == pytest.approx(study.anatomy['edv_ml'], rel=0.05)
  found = 1 - min(volumes) / volumes[0]
  assert found == pytest.approx(study.anatomy['ef'], abs=0.02)


def test_areas_change_smoothly_around_the_loop(study):
  for label in range(1, 6):
    areas = (study.mask == label).sum(axis=(1, 2)).astype(float)
    steps = np.diff(np.append(areas, areas[0]))
    assert np.abs(steps).max() < 0.25 * areas.max()
  atrium = (study.mask == 3).sum(axis=(1, 2))
  ventricle = (study.mask == 1).sum(axis=(1, 2))
  assert np.corrcoef(atrium, ventricle)[0, 1] < -0.7


def test_the_cavity_ends_where_the_wall_lights_up(study):
  cavity = study.mask == 1
  shells = []
  for steps in (-2, 2):
    op = ndimage.binary_erosion if steps < 0 else ndimage.binary_dilation
    near = np.stack([op(m, iterations=abs(steps)) for m in cavity]) ^ cavity
    sides = near & ((study.mask == 2) | cavity)
    shells.append(study.clean[sides].mean())
  assert shells[1] > 2 * shells[0]


def best_shift(before, after, reach=4):
  """Sub-pixel shift of the best match of a block in a larger window."""
  side = len(before)
  cost = np.empty((2 * reach + 1,) * 2)
  for i, j in np.ndindex(cost.shape):
    cost[i, j] = ((after[i : i + side, j : j + side] - before) ** 2).mean()
  i, j = np.unravel_index(cost.argmin(), cost.shape)
  if not (0 < i < 2 * reach and 0 < j < 2 * reach):
    return None

  def vertex(a, b, c):
    return 0.5 * (a - c) / (a - 2 * b + c)

  return np.array(
    [
      j - reach + vertex(*cost[i, j - 1 : j + 2]),
      i - reach + vertex(*cost[i - 1 : i + 2, j]),
    ]
  )


def test_speckle_follows_the_displacement(study):
  frame, half, reach = 3, 5, 4
  before, after = study.clean[frame : frame + 2].astype(float)
  errors = []
  margin = half + reach + 1
  for y, x in np.argwhere(study.mask[frame] == 2)[::5]:
    if not (margin <= y < 128 - margin and margin <= x < 128 - margin):
      continue
    block = before[y - half : y + half + 1, x - half : x + half + 1]
    wide = half + reach
    window = after[y - wide : y + wide + 1, x - wide : x + wide + 1]
    found = best_shift(block, window, reach)
    if found is None or not study.fan[y, x]:
      continue
    there = np.rint([y, x] + found[::-1]).astype(int)
    true = (
      study.displacement[frame + 1][*there] - study.displacement[frame][y, x]
    )
    errors.append(np.hypot(*(found * study.mm_per_pixel - true)))
  assert len(errors) > 50
  assert np.median(errors) < 0.5


def test_displacement_starts_at_rest_and_pulls_the_base_up(study):
  assert np.abs(study.displacement[0]).max() < 1e-3
  systole = study.displacement[9][study.mask[9] == 3]
  assert systole[:, 1].min() < -0.7 * study.anatomy['mapse_mm']


def test_findings_can_be_forced():
  forced = {'lvh': 1.0, 'effusion': 1.0, 'thrombus': 0.0}
  study = phantom.simulate(3, size=32, frames=1, prevalence=forced)
  assert study.labels['lvh'] == 1
  assert study.anatomy['effusion_mm'] >= 5
  assert study.anatomy['thrombus_mm'] == 0


def test_shifted_patients_and_probes_differ():
  usual, shifted = (
    phantom.simulate(4, size=32, frames=1, setting=setting)
    for setting in phantom.SETTINGS
  )
  for name in ('frequency_mhz', 'sector_degrees', 'elongation'):
    assert usual.anatomy[name] != shifted.anatomy[name]
  assert shifted.anatomy['frequency_mhz'] > 3.4 > usual.anatomy['frequency_mhz']


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'setting': 'odd'}, "setting 'odd' is not one of default, shifted"),
    ({'size': 4}, '16 pixels or more'),
    ({'frames': 0}, 'ask for 1 frame'),
    ({'prevalence': {'tumour': 1}}, 'no finding called tumour'),
  ],
)
def test_bad_input_is_refused_in_one_line(options, message):
  with pytest.raises(BadInput, match=message):
    phantom.simulate(0, **options)
