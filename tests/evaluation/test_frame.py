"""One frame: closed forms, and reasons for all that cannot be measured."""

import numpy as np
import pytest

from echogan_jax.evaluation import frame, judge
from echogan_jax.evaluation.case import Case
from echogan_jax.metrics import contrast, segmentation

SIZE = 64
AWAY = np.hypot(*(np.indices((SIZE, SIZE)) - 31.5))
RIGHT = np.arange(SIZE) > 31


def case(**changes):
  """Return a heart in a round sector: bright wall, dark cavities, haze."""
  labels = np.zeros((SIZE, SIZE), np.uint8)
  labels[AWAY < 20] = 2
  labels[AWAY < 12] = 1
  labels[(AWAY >= 20) & (AWAY < 26) & RIGHT] = 4
  labels[(AWAY >= 20) & (AWAY < 26) & ~RIGHT] = 3
  random = np.random.default_rng(0)
  speckle = random.integers(-20, 21, (SIZE, SIZE))
  inside = AWAY < 30
  target = np.where(labels == 2, 150, 40) + speckle
  haze = 30 + random.integers(0, 20, (SIZE, SIZE))
  target, poor = (np.where(inside, f, 0) for f in (target, target + haze))
  found = Case(
    row={'patient': 'a', 'clip': 'c', 'frame': '0'},
    input=poor.astype(np.uint8),
    enhanced=None,
    inside=inside,
    target=target.astype(np.uint8),
    labels=labels,
    findings={'effusion': True},
    mm=2.0,
  )
  return found._replace(**{'enhanced': found.input} | changes)


def read(frames, inside):
  """Call bright pixels wall and dark ones cavity, hazy pictures ill."""
  drawn = np.where(frames > 105, 2, 1).astype(np.uint8) * inside
  chance = frames.mean((1, 2), where=inside) / 255
  return judge.Drawn(drawn, chance[:, None].astype(np.float64))


READER = judge.Judge('none', SIZE, ('effusion',), {}, read)


def measure(one):
  (sheet,) = frame.measure([one], READER)
  assert np.isfinite(list(sheet.values.values())).all()
  assert not set(sheet.values) & set(sheet.reasons)
  return sheet


@pytest.fixture(scope='module')
def perfect():
  return measure(case(enhanced=case().target))


def pairs(values, first, second):
  return [
    (name, value, values[name.replace(first, second)])
    for name, value in values.items()
    if name.endswith(first) and name.replace(first, second) in values
  ]


def test_the_truth_recovers_all_and_invents_nothing(perfect):
  for region in ('', '_lv', '_myocardium', '_la', '_rv'):
    np.testing.assert_allclose(perfect.values[f'recovery{region}'], 1)
    assert perfect.values[f'invention{region}'] < 1e-9
  assert perfect.values['mae/enhanced'] == 0
  np.testing.assert_allclose(perfect.values['ssim/enhanced'], 1, atol=1e-5)
  np.testing.assert_allclose(perfect.values['frc/enhanced'], 0.5)
  assert 'psnr/enhanced' not in perfect.values
  assert 'equal' in perfect.reasons['psnr/enhanced']


def test_the_truth_reads_like_the_truth(perfect):
  both = pairs(perfect.values, '/enhanced', '/target')
  names = {name.partition('/')[0] for name, *_ in both}
  assert {'dice_lv', 'asd_lv', 'p_effusion', 'gcnr', 'speckle_snr'} <= names
  for name, value, expected in both:
    assert value == expected, name
  for name in ('ks_cavity', 'ks_septum'):
    assert perfect.values[name] == perfect.values[f'{name}/target'] > 0


def test_the_identity_changes_nothing():
  values = measure(case()).values
  for name, value, expected in pairs(values, '/enhanced', '/input'):
    assert value == expected, name
  for name in ('recovery', 'invention', 'difference', 'ks_cavity', 'inversion'):
    assert values[name] == 0, name
  np.testing.assert_allclose(values['correlation'], 1)


def test_recovery_and_invention_are_the_gain_in_psnr():
  one = case()
  half = one.input // 2 + one.target // 2
  values = measure(case(enhanced=np.where(RIGHT, half, 90))).values
  gain = values['psnr/enhanced'] - values['psnr/input']
  left = (1 - values['recovery']) ** 2 + values['invention'] ** 2
  np.testing.assert_allclose(gain, -10 * np.log10(left))


def test_regions_are_told_apart():
  one = case()
  made = np.where(one.labels == 1, one.target, one.input)
  values = measure(case(enhanced=made)).values
  np.testing.assert_allclose(values['recovery_lv'], 1)
  assert values['recovery_myocardium'] == values['invention_rv'] == 0
  assert 0 < values['recovery'] < 1
  assert values['ks_cavity'] > 0 == values['ks_septum']


def test_inverted_pictures_are_noticed():
  one = case()
  values = measure(case(enhanced=np.where(one.inside, 255 - one.input, 0)))
  values = values.values
  np.testing.assert_allclose(values['correlation'], -1)
  assert values['inversion'] > 0.8
  np.testing.assert_allclose(values['cnr/enhanced'], -values['cnr/input'])
  assert values['cnr/input'] > 0


def test_the_septum_is_a_part_of_the_wall():
  one = case()
  septum = segmentation.septum(one.labels) & one.inside
  lit = np.where(septum, one.input + 30, one.input).astype(np.uint8)
  values = measure(case(enhanced=lit)).values
  cavity = one.labels == 1
  for name in ('cnr', 'gcnr'):
    expected = getattr(contrast, name)(lit[septum], lit[cavity])
    assert values[f'{name}_septum/enhanced'] == expected
  risen = values['cnr_septum/enhanced'] - values['cnr_septum/input']
  # light on a part of the wall makes the whole of it uneven
  assert risen > 0 and risen > values['cnr/enhanced'] - values['cnr/input']


def test_overlap_of_what_the_judge_draws():
  values = measure(case()).values
  one = case()
  found = (one.input <= 105) & one.inside
  truth = one.labels == 1
  dice = 2 * (found & truth).sum() / (found.sum() + truth.sum())
  np.testing.assert_allclose(values['dice_lv/input'], dice)
  assert values['dice_la/input'] == 0  # it never draws the atrium


def test_distances_are_in_mm():
  near, far = (measure(case(mm=mm)) for mm in (2.0, 4.0))
  name = 'asd_myocardium/input'
  np.testing.assert_allclose(far.values[name], 2 * near.values[name])
  name = 'asd_lv_224/input'
  assert far.values[name] == near.values[name]
  lost = measure(case(mm=None))
  assert 'asd_lv/input' not in lost.values
  assert 'size of a pixel' in lost.reasons['asd_lv']


def test_without_truth_there_are_reasons():
  sheet = measure(case(target=None, labels=None, findings={}))
  names = {name.partition('/')[0] for name in sheet.values}
  assert names == {
    *('checkerboard_db', 'high_frequency_db'),
    *('correlation', 'difference', 'inversion'),
  }
  for name in ('recovery', 'psnr', 'ssim', 'mae', 'lpips', 'frc', 'gcnr'):
    assert '--truth' in sheet.reasons[name], name
  for name in ('ks_septum', 'speckle_snr', 'dice_lv', 'asd_lv', 'findings'):
    assert '--truth' in sheet.reasons[name], name


def test_labels_alone_are_enough_for_the_judge():
  sheet = measure(case(target=None))
  assert 'dice_lv/enhanced' in sheet.values
  assert not any(name.endswith('/target') for name in sheet.values)


def test_findings_alone_are_enough_for_verdicts():
  sheet = measure(case(labels=None))
  assert {'p_effusion/input', 'p_effusion/target'} <= set(sheet.values)
  assert 'gcnr/input' not in sheet.values


def test_a_poor_picture_that_is_its_truth():
  sheet = measure(case(target=case().input))
  for name in ('recovery', 'invention', 'recovery_lv'):
    assert 'nothing to recover' in sheet.reasons[name]
  assert 'psnr/input' in sheet.reasons
  assert sheet.values['mae/input'] == 0


@pytest.mark.parametrize('distance', [1, 2])
def test_there_is_nothing_to_recover_within_a_grey_level(distance):
  one = case()
  pixels = np.flatnonzero(one.inside)[::2]  # half: a root mean square of 0.7 d
  target = one.input.copy()
  target.flat[pixels] += np.uint8(distance)
  values = measure(case(target=target)).values
  for name in ('recovery', 'invention'):
    assert (name in values) == (distance > 1)


def test_empty_tissues_are_told_of():
  blank = np.zeros((SIZE, SIZE), np.uint8)
  sheet = measure(case(labels=blank))
  for name in ('gcnr/enhanced', 'cnr/input', 'speckle_snr/input', 'ks_cavity'):
    assert 'empty' in sheet.reasons[name]
  assert 'recovery_lv' not in sheet.values
  assert 'dice_lv/enhanced' not in sheet.values


def test_a_judge_that_sees_nothing_scores_nothing():
  blind = READER._replace(
    read=lambda frames, inside: judge.Drawn(
      np.zeros_like(frames), np.zeros((len(frames), 1))
    )
  )
  (sheet,) = frame.measure([case()], blind)
  assert sheet.values['dice_lv/enhanced'] == 0
  assert 'asd_lv/enhanced' not in sheet.values
  assert 'empty' in sheet.reasons['asd_lv/enhanced']


def test_company_changes_nothing(perfect):
  alone = case(target=None, labels=None, findings={})
  several = [case(), alone, case(enhanced=case().target)]
  sheets = frame.measure(several, READER)
  assert sheets[2].values.keys() == perfect.values.keys()
  for name, value in sheets[2].values.items():
    np.testing.assert_allclose(value, perfect.values[name], atol=1e-6)
  assert sheets[1].values == measure(alone).values


def test_what_is_not_a_number_is_not_called_equal():
  sheet = frame.Sheet({}, {})
  sheet.note('far', np.inf)
  sheet.note('lost', np.nan)
  assert not sheet.values and 'equal' in sheet.reasons['far']
  assert 'equal' not in sheet.reasons['lost']
