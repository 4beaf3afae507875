"""What the page says first, on constructed numbers."""

import pytest

from echogan_jax.page import records, tables
from echogan_jax.page.verdict import verdict


@pytest.fixture
def judged(tmp_path, made_up):
  """Return the verdict on the made-up evaluation with some parts changed."""

  def judge(**parts):
    made_up.write(tmp_path, made_up.evaluation() | parts)
    return verdict(records.evaluation(tmp_path / 'metrics.json'))

  return judge


def change(mean, low, high):
  return {'mean': mean, 'low': low, 'high': high, 'patients': 10}


def test_help_without_harm(judged):
  found = judged()
  assert found.tone == 'help' and not found.worse and not found.unchecked
  assert found.better[0] == (
    'Undoes 38 % of the degradation (35 to 41) and invents 41 % of its size: '
    'together 26 % less error than the input has.'
  )
  assert any('(Dice): 0.71 → 0.83' in line for line in found.better)
  assert any('in 2 of 40 patients without it' in line for line in found.unsure)


@pytest.mark.parametrize(
  ('parts', 'guard'),
  [
    ({'changes': {'dice_lv': change(-0.1, -0.2, -0.01)}}, 'outlines'),
    ({'changes': {'asd_la': change(2.0, 1.0, 3.0)}}, 'outlines'),
    ({'intervals': {'inversion': [0.2, 0.3]}}, 'dark turned bright'),
  ],
)
def test_one_harm_outweighs_every_help(judged, made_up, parts, guard):
  whole = made_up.evaluation()
  found = judged(**{name: whole[name] | part for name, part in parts.items()})
  assert found.tone == 'harm' and guard in found.headline
  assert found.better and len(found.worse) == 1


def test_a_worse_ejection_fraction_or_new_findings_are_harm(judged, made_up):
  whole = made_up.evaluation()
  ef = whole['agreement']['ef'] | {'enhanced': made_up.limits(-12, 9)}
  assert 'ejection' in judged(agreement={'ef': ef}).headline
  rate = {'added': made_up.rate(20, 40, 0.35, 0.65)}
  effusion = whole['findings']['effusion'] | rate
  found = judged(findings={'effusion': effusion})
  assert found.tone == 'harm' and 'findings' in found.headline


def test_what_guards_nobody_is_not_harm(judged, made_up):
  changes = made_up.evaluation()['changes']
  found = judged(changes=changes | {'gcnr': change(-0.1, -0.2, -0.05)})
  assert found.tone == 'mixed' and 'gCNR' in found.worse[0]


def test_an_interval_about_zero_is_not_certain(judged, made_up):
  found = judged(
    changes={'dice_lv': change(0.1, -0.1, 0.3)}, intervals={}, agreement={}
  )
  assert found.tone == 'unsure' and not found.better and not found.worse
  assert 'ejection fraction' in found.unchecked


def test_help_is_not_called_where_harm_was_not_looked_for(judged):
  found = judged(findings={})
  assert found.tone == 'unsure' and found.better
  assert found.unchecked == ['findings added or hidden']


def test_a_bias_that_changed_its_sign_is_no_help(judged, made_up):
  metrics = made_up.evaluation()['metrics']
  values = {'lv_area_bias/input': -9.0, 'lv_area_bias': 5.0}
  found = judged(
    metrics=metrics | values, changes={'lv_area_bias': change(14, 12, 16)}
  )
  assert any('Area of the left' in line for line in found.unsure)


def test_the_table_is_grouped_and_marks_only_what_is_certain(tmp_path, made_up):
  whole = made_up.evaluation()
  whole['changes']['ssim'] = change(0.1, -0.1, 0.3)
  whole['metrics']['novel/enhanced'] = 0.5
  made_up.write(tmp_path, whole)
  found = records.evaluation(tmp_path / 'metrics.json')
  groups = dict(tables.metrics(found))
  assert list(groups)[0] == 'Against the truth' and list(groups)[-1] == 'Other'
  rows = {row['name']: row for rows in groups.values() for row in rows}
  assert rows['psnr']['status'] == 'better' and rows['psnr']['arrow'] == '↑'
  assert rows['ssim']['status'] == rows['checkerboard_db']['status'] == 'unsure'
  assert rows['recovery']['ends'] == '0.350 to 0.410'
  assert rows['fd_vgg16']['references'] == [('floor', '0.600')]
