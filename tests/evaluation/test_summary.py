"""Summaries: means, paired differences by patient, verdicts, reasons."""

import json

import numpy as np
import pytest

from echogan_jax.evaluation import frame, summary
from echogan_jax.evaluation.clips import Played
from echogan_jax.evaluation.summary import Measured
from echogan_jax.metrics import agreement, dehazing


def sheet(values, **reasons):
  return frame.Sheet(dict(values), reasons)


def measured(patient, values, findings=None, **reasons):
  row = {'patient': patient}
  return Measured(row, findings or {}, sheet(values, **reasons))


def played(patient, **values):
  values = {name.replace('__', '/'): v for name, v in values.items()}
  return Played({'patient': patient}, None, None, sheet(values), {})


def summarise(frames=(), clips=(), extra=None, intervals=None):
  found = summary.summarise(
    list(frames), list(clips), extra or sheet({}), intervals or {}
  )
  json.dumps(found, allow_nan=False)
  assert not set(found['metrics']) & set(found['skipped'])
  return found


def pair(start, end):
  return {'psnr/input': start, 'psnr/enhanced': end, 'recovery': end - start}


UNEVEN = [
  *(measured('a', pair(10 + n, 12 + n)) for n in range(8)),
  measured('b', pair(30, 36)),
  measured('c', pair(31, 39)),
]


def test_metrics_are_means():
  even = [measured(p, pair(n, n * n)) for n, p in enumerate('aabbcc')]
  found = summarise(even)
  for name, value in found['metrics'].items():
    own = [one.sheet.values[name] for one in even]
    np.testing.assert_allclose(value, np.mean(own))
  assert list(found['metrics']) == sorted(found['metrics'])


def test_each_metric_says_of_how_many_it_is():
  frames = [
    *UNEVEN,
    measured('b', {'recovery': 0.5}),
    measured('d', {'p_lvh/input': 0.5}),
  ]
  found = summarise(frames, BEATS[:2], sheet({'identity': 1.0}))
  counts = found['counts']
  assert counts['psnr/input'] == counts['psnr/enhanced'] == 10
  assert counts['recovery'] == 11
  assert counts['ef_error/input'] == counts['flicker/enhanced'] == 2
  assert not {'identity', 'p_lvh/input', 'ef/truth'} & set(counts)


def test_changes_are_enhanced_less_input_by_patient():
  found = summarise(UNEVEN)['changes']
  assert list(found) == ['psnr']
  # 2, 6 and 8: each patient once, however many frames there are
  np.testing.assert_allclose(found['psnr']['mean'], 16 / 3)
  assert found['psnr']['patients'] == 3
  assert found['psnr']['low'] < 16 / 3 < found['psnr']['high']
  worse = [
    measured(one.row['patient'], pair(50, one.sheet.values['psnr/input']))
    for one in UNEVEN
  ]
  assert summarise(worse)['changes']['psnr']['mean'] < 0


def test_a_value_lies_in_its_own_interval():
  """Many frames of one patient must not pull the mean away from it."""
  many = [measured('a', {'recovery': 0.0})] * 200
  rest = [measured(p, {'recovery': 1.0 + n}) for n, p in enumerate('bcdefg')]
  flat = [one.sheet.values['recovery'] for one in many + rest]
  assert np.mean(flat) < 0.2
  found = summarise(many + rest)
  least, most = found['intervals']['recovery']
  assert least <= found['metrics']['recovery'] <= most


def test_unpaired_frames_do_not_enter_differences():
  lone = measured('b', {'psnr/enhanced': 99.0})
  found = summarise([*UNEVEN, lone])
  assert found['changes'] == summarise(UNEVEN)['changes']


def test_one_patient_has_no_interval():
  found = summarise(UNEVEN[:8])
  assert set(found['metrics']) == {'psnr/input', 'psnr/enhanced', 'recovery'}
  assert not found['intervals'] and not found['changes']


def test_reasons_are_told_only_of_what_is_absent():
  frames = [
    measured('a', {'psnr/input': 9.0}, psnr='none', gcnr='empty'),
    measured('b', {'recovery': 0.5}, recovery='flat'),
  ]
  extra = frame.Sheet({'identity': 1.0}, {'identity': 'x', 'survival': 'y'})
  skipped = summarise(frames, extra=extra)['skipped']
  assert skipped['gcnr'] == 'empty' and skipped['survival'] == 'y'
  assert not {'psnr', 'recovery', 'identity'} & set(skipped)
  assert 'whole clips' in skipped['flicker'] and skipped['ef_bias']


def test_what_is_measured_once_is_kept():
  extra = sheet({'fd_vgg16/floor': 1.0})
  found = summarise(extra=extra, intervals={'fd_vgg16/floor': (0.5, 1.5)})
  assert found['metrics'] == {'fd_vgg16/floor': 1.0}
  assert found['intervals'] == {'fd_vgg16/floor': [0.5, 1.5]}


def verdict(patient, ill, **chances):
  """Return a frame whose judge says what it says."""
  values = {f'p_lvh/{what}': chance for what, chance in chances.items()}
  return measured(patient, values, {'lvh': ill})


VERDICTS = [
  verdict('a', False, input=0.1, enhanced=0.9, target=0.1),  # added
  verdict('b', False, input=0.1, enhanced=0.1, target=0.1),
  verdict('c', True, input=0.9, enhanced=0.2, target=0.9),  # removed
  verdict('d', True, input=0.9, enhanced=0.8, target=0.9),
  verdict('e', True, input=0.2, enhanced=0.8, target=0.9),
  # two frames: the mean is below a half
  verdict('f', False, input=0.1, enhanced=0.6, target=0.1),
  verdict('f', False, input=0.1, enhanced=0.1, target=0.1),
]


def test_findings_added_and_removed():
  found = summarise(VERDICTS)
  lvh = found['findings']['lvh']
  assert lvh['prevalence'] == {
    'truth': 0.5,
    'input': 2 / 6,
    'enhanced': 3 / 6,
    'target': 0.5,
  }
  for name, hits in (('added', 1), ('removed', 1), ('removed_input', 1)):
    expected = agreement.rate([n < hits for n in range(3)], list('xyz'))
    assert lvh[name] == expected._asdict(), name
  for name in ('added_input', 'added_target', 'removed_target'):
    assert lvh[name]['value'] == 0 and lvh[name]['count'] == 3
  assert found['metrics']['lvh_added'] == 1 / 3
  added = found['intervals']['lvh_added']
  assert added == [lvh['added']['low'], lvh['added']['high']]
  assert not any(name.startswith('p_') for name in found['metrics'])


def test_where_nobody_is_ill_nothing_is_removed():
  found = summarise([one for one in VERDICTS if not one.findings['lvh']])
  assert 'removed' not in found['findings']['lvh']
  assert 'lvh_removed' not in found['metrics']
  assert 'lvh_removed' in found['skipped']


def test_patients_whose_findings_nobody_knows_are_left_out():
  drawn = measured('z', {'p_lvh/enhanced': 0.9, 'p_lvh/input': 0.9})
  expected = summarise(VERDICTS)['findings']
  assert summarise([*VERDICTS, drawn])['findings'] == expected


def test_a_finding_that_the_judge_does_not_know_is_absent():
  frames = [measured('a', {'psnr/input': 1.0}, {'thrombus': True})]
  assert not summarise(frames)['findings']


BEATS = [
  played(
    patient,
    ef__truth=60.0,
    ef__input=60.0 + 3 * n,
    ef__enhanced=50.0 + n,
    ef_error__input=3.0 * n,
    ef_error__enhanced=10.0 - n,
    lv_area_bias__input=0.0,
    lv_area_bias__enhanced=10.0 * n,
    flicker__input=5.0,
    flicker__enhanced=4.0,
  )
  for n, patient in enumerate('abc')
]


def test_ejection_fractions_agree_or_not():
  found = summarise(clips=BEATS)
  expected = agreement.bland_altman([50, 51, 52], [60] * 3)
  assert found['agreement']['ef']['enhanced'] == expected._asdict()
  assert found['agreement']['ef']['input']['bias'] == 3
  assert found['metrics']['ef_bias'] == -9
  assert found['metrics']['ef_bias/input'] == 3
  assert found['agreement']['lv_area']['enhanced']['bias'] == 10
  assert found['metrics']['lv_area_bias'] == 10
  assert found['metrics']['flicker/enhanced'] == 4
  assert found['changes']['ef_error']['mean'] == 6
  assert not any(name.startswith('ef/') for name in found['metrics'])
  assert 'flicker' not in found['skipped']


def test_one_beat_has_no_limits():
  found = summarise(clips=BEATS[1:2])
  assert not found['agreement'] and not found['changes']
  assert found['metrics']['lv_area_bias'] == 10
  assert 'ef_bias' not in found['metrics'] and 'ef_bias' in found['skipped']


SCORED = {
  **{'fid/enhanced': 100.0, 'fid/input': 140.0},
  **{'cnr_septum/enhanced': 1.2, 'gcnr_septum/enhanced': 0.6},
  **{'cnr_septum/input': 1.1, 'gcnr_septum/input': 0.55},
  # of the whole wall: not the challenge's
  **{'cnr/enhanced': 9.0, 'gcnr/enhanced': 0.9, 'cnr/input': 8.0},
  **{'ks_septum': 0.2, 'ks_cavity': 0.3},
  **{'dice_lv/enhanced': 0.9, 'asd_lv_224/enhanced': 1.0},
  **{'dice_lv/input': 0.87, 'asd_lv_224/input': 1.5},
}


def test_the_challenges_score():
  found = summarise(extra=sheet(SCORED))['metrics']
  vector = dehazing.Vector(100, 1.2, 0.6, 0.2, 0.3, 0.9, 1.0)
  idle = dehazing.Vector(140, 1.1, 0.55, 0, 0, 0.87, 1.5)
  assert found['dehazing_score'] == dehazing.score(vector)
  assert found['dehazing_score_linear/input'] == dehazing.score_linear(idle)


@pytest.mark.parametrize(
  'name', ['fid', 'cnr_septum', 'gcnr_septum', 'ks_septum', 'asd_lv_224']
)
def test_the_score_says_what_it_lacks(name):
  values = {k: v for k, v in SCORED.items() if k.split('/')[0] != name}
  found = summarise(extra=sheet(values))
  assert 'dehazing_score' not in found['metrics']
  assert found['skipped']['dehazing_score'].endswith(f'takes {name}')
