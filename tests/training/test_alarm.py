"""What goes wrong is named, and what is done is what was asked for."""

import jax
import numpy as np
import pytest
import tiny

from configs import cyclegan
from echogan_jax import report
from echogan_jax.command import BadInput
from echogan_jax.data import pipeline
from echogan_jax.training import (
  alarm,
  checkpoint,
  follow,
  log,
  loop,
  recipe,
)

SETTINGS = cyclegan.get_config().train.alarms.to_dict()
ALARMS = alarm.create(SETTINGS, 'lsgan')
BAD = 3  # the step whose batch is poisoned


@pytest.fixture
def poisoned(monkeypatch):
  """Make the batch of one step not a number, wherever a run starts."""
  original = pipeline.batches

  def batches(*, start_step, **flags):
    for number, batch in enumerate(original(start_step=start_step, **flags)):
      if start_step + number + 1 == BAD:
        image = batch['low'].image.astype(np.float32) * np.nan
        batch['low'] = batch['low']._replace(image=image)
      yield batch

  monkeypatch.setattr(pipeline, 'batches', batches)


def trained(ingested, workdir, steps, **alarms):
  config = tiny.config(ingested, num_steps=steps, log_every=2)
  config.train.alarms.update(alarms)
  return loop.train(config, workdir)


def steps(workdir):
  return sorted(int(p.name) for p in (workdir / 'checkpoints').iterdir())


def test_stop_names_step_and_culprit_and_keeps_the_batch(
  ingested, tmp_path, poisoned
):
  with pytest.raises(BadInput, match='step 3: loss/.* not finite') as caught:
    trained(ingested, tmp_path, 9)
  assert 'nonfinite=skip' in str(caught.value)
  assert steps(tmp_path) == [2]
  with np.load(tmp_path / 'alarms' / 'step_3.npz') as kept:
    assert np.isnan(kept['low_image']).all()
    assert kept['high_mask'].shape == (1, 32, 32, 1)
    assert any(text.startswith('loss/cycle=nan') for text in kept['metrics'])
  (line,) = log.read(tmp_path, 'alarms.jsonl')
  assert line['step'] == 3 and line['action'] == 'stop'
  # the answer that was named works in the same workdir
  assert trained(ingested, tmp_path, 6, nonfinite='skip') == 6
  (change,) = recipe.read(tmp_path)['changed']
  assert change == {'step': 2, 'was': {'train.alarms.nonfinite': 'stop'}}
  report.main([f'--workdir={tmp_path}'])
  assert (
    'loss/judge_low not finite (step 3)'
    in (tmp_path / 'report.html').read_text()
  )


def test_skip_leaves_out_that_step_alone(ingested, tmp_path, poisoned):
  assert trained(ingested, tmp_path, 4, nonfinite='skip') == 4
  for line in log.read(tmp_path):
    assert np.isfinite(
      [v for v in line.values() if not isinstance(v, list)]
    ).all()
  states = []
  with checkpoint.opened(tmp_path, keep=3) as manager:
    game = loop._game(tiny.config(ingested))
    like = game.create()
    state = checkpoint.restore(manager, like)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(state))
    states.append(state)
  assert int(states[0].step) == 4
  assert int(states[0].generators.optimizer[0].count) == 3


def test_a_network_that_is_bad_itself_is_not_skipped_for_ever(
  ingested, tmp_path, monkeypatch
):
  monkeypatch.setattr(follow, '_SKIPS', 3)
  original = pipeline.batches

  def batches(*, start_step, **flags):
    for number, batch in enumerate(original(start_step=start_step, **flags)):
      bad = start_step + number + 1 in (1, 4, 5, 6)
      image = batch['low'].image * np.float32(np.nan if bad else 1.0)
      batch['low'] = batch['low']._replace(image=image)
      yield batch

  monkeypatch.setattr(pipeline, 'batches', batches)
  assert trained(ingested, tmp_path, 4, nonfinite='skip') == 4
  # the row is known again after a stop
  with pytest.raises(BadInput, match='step 6: .* 3 steps in a row'):
    trained(ingested, tmp_path, 9, nonfinite='skip')


def test_warn_goes_on(ingested, tmp_path, poisoned, caplog):
  assert trained(ingested, tmp_path, 4, nonfinite='warn') == 4
  assert 'step 3: loss/' in caplog.text
  first, *_ = log.read(tmp_path, 'alarms.jsonl')
  assert (first['step'], first['action']) == (3, 'warn')


def test_a_collapse_stops_and_the_run_can_go_on_from_there(ingested, tmp_path):
  forced = {'judge': 1e9, 'after': 0, 'correlation': -2.0, 'deviation': 0.0}
  with pytest.raises(BadInput, match='step 10: discriminator collapse') as what:
    trained(ingested, tmp_path, 20, **forced)
  assert 'collapse=warn' in str(what.value)
  assert steps(tmp_path)[-1] == 10 and (tmp_path / 'alarms').is_dir()
  with pytest.raises(BadInput, match='step 10: discriminator collapse'):
    trained(ingested, tmp_path, 10, **forced)  # to call again is no answer
  assert trained(ingested, tmp_path, 12, **forced, collapse='warn') == 12
  found = log.read(tmp_path, 'alarms.jsonl')
  assert [line['step'] for line in found] == [10, 10]  # one for each judge
  assert log.read(tmp_path)[-1]['alarms'] == [x['alarm'] for x in found]


def test_a_discriminator_that_has_won_rests(ingested, tmp_path):
  weights = []
  for name, judge in (('rest', 1e9), ('play', -1e9)):
    workdir = tmp_path / name
    trained(ingested, workdir, 2, collapse='skip', judge=judge, after=0)
    with checkpoint.opened(workdir, keep=3) as manager:
      like = loop._game(tiny.config(ingested)).create()
      weights.append(checkpoint.restore(manager, like).discriminators.params)
  rested, played = (jax.tree.leaves(w['high']) for w in weights)
  start = jax.tree.leaves(like.discriminators.params['high'])
  assert all(np.array_equal(a, b) for a, b in zip(start, rested, strict=True))
  assert not all(map(np.array_equal, start, played))


def line(**changes):
  return {
    'step': 1000,
    'loss/judge_low': 0.2,
    'loss/judge_high': 0.2,
    'watch/correlation': 0.9,
    'watch/deviation': 0.3,
  } | changes


@pytest.mark.parametrize(
  ('key', 'value', 'name'),
  [
    ('loss/judge_high', 0.001, 'discriminator collapse (high)'),
    ('loss/judge_low', 0.001, 'discriminator collapse (low)'),
    ('watch/correlation', -0.2, 'inverted output'),
    ('watch/deviation', 0.001, 'dead output'),
  ],
)
def test_alarms_need_five_bad_steps_in_a_row(key, value, name):
  bad = [line(**{key: value})] * 5
  assert list(alarm.raised(bad, ALARMS)) == [name]
  assert not alarm.raised(bad[:4], ALARMS)
  assert not alarm.raised([*bad[:4], line()], ALARMS)
  assert not alarm.raised([bad[0] | {'step': 999}, *bad[1:]], ALARMS)
  one_sided = [
    {k: v for k, v in values.items() if 'low' not in k} for values in bad
  ]
  found = list(alarm.raised(one_sided, ALARMS))
  assert found == ([name] if 'low' not in name else [])


def test_a_critic_has_no_loss_at_which_it_has_won():
  bad = [line(**{'loss/judge_low': -3.0})] * 5
  assert not alarm.raised(bad, alarm.create(SETTINGS, 'wgan'))


@pytest.mark.parametrize(
  ('name', 'action'),
  [('nonfinite', 'ignore'), ('collapse', ''), ('inversion', 'skip')],
)
def test_unknown_actions_are_named(name, action, ingested, tmp_path):
  with pytest.raises(BadInput, match=f'alarms.{name}={action}: choose one of'):
    trained(ingested, tmp_path, 2, **{name: action})
  assert not tmp_path.joinpath('config.json').exists() and recipe.LAYOUT
