"""Stop anywhere, go on, and nothing differs: through disk and pipeline."""

import json
import resource
import shutil
import signal
import types

import jax
import numpy as np
import pytest
import tiny

from echogan_jax import losses, models
from echogan_jax.command import BadInput
from echogan_jax.data import files, pipeline
from echogan_jax.training import (
  checkpoint,
  enhancer,
  follow,
  interrupt,
  log,
  loop,
  parallel,
  recipe,
  rng,
  state,
)


def fresh(config):
  return state.create(
    models.create(config.model.to_dict()),
    state.rules(**config.state),
    key=rng.root(5),
    size=config.data.size,
  )


def saved(workdir, config):
  """Return the newest state on disk."""
  with checkpoint.opened(workdir, keep=3) as manager:
    return checkpoint.restore(manager, fresh(config))


def same(one, other):
  pairs = zip(
    jax.tree_util.tree_leaves_with_path(one),
    jax.tree.leaves(other),
    strict=True,
  )
  for (path, a), b in pairs:
    np.testing.assert_array_equal(a, b, err_msg=jax.tree_util.keystr(path))


@pytest.fixture(scope='module')
def whole(ingested, tmp_path_factory):
  """Train five steps without a stop."""
  workdir = tmp_path_factory.mktemp('whole')
  config = tiny.config(ingested, num_steps=5)
  assert loop.train(config, workdir) == 5
  return workdir, saved(workdir, config)


@pytest.mark.parametrize('stop', [1, 3])
def test_resuming_is_bit_exact(whole, ingested, tmp_path, stop):
  for steps in (stop, 5):
    assert loop.train(tiny.config(ingested, num_steps=steps), tmp_path) == steps
  same(whole[1], saved(tmp_path, tiny.config(ingested)))
  assert int(whole[1].pools['low'].count) == 3


def test_steps_in_one_dispatch_are_logged_saved_and_resumed_alike(
  ingested, tmp_path, monkeypatch
):
  monkeypatch.setattr(loop, '_ONE_BY_ONE', ())
  returned, count = [], follow.Follower.count

  def noted(self, step, metrics):
    returned.append(step)
    count(self, step, metrics)

  monkeypatch.setattr(follow.Follower, 'count', noted)

  def trained(name, together, *ends):
    for end in ends:
      config = tiny.config(ingested, num_steps=end, log_every=3)
      config.checkpoint.every = 6
      config.parallel.steps_per_call = together
      assert loop.train(config, tmp_path / name) == end
    return log.read(tmp_path / name), saved(tmp_path / name, config)

  alone, _ = trained('alone', 1, 7)
  assert returned == [1, 2, 3, 4, 5, 6, 7]
  returned.clear()
  lines, whole = trained('whole', 3, 7)
  assert returned == [1, 2, 3, 6, 7]  # a picture is due after the first
  assert [line['step'] for line in lines] == [3, 6, 7]
  for line, other in zip(lines, alone, strict=True):
    for name, value in line.items():
      np.testing.assert_allclose(value, other[name], rtol=0.02, err_msg=name)
  same(whole, trained('parts', 3, 6, 7)[1])


def test_what_is_computed_twice_is_the_same(whole, ingested, tmp_path):
  config = tiny.config(ingested, num_steps=2)
  config.parallel.remat = True
  loop.train(config, tmp_path)
  lines = zip(log.read(tmp_path), log.read(whole[0]), strict=False)
  for line, other in lines:
    for name, value in line.items():
      np.testing.assert_allclose(value, other[name], rtol=1e-3, err_msg=name)


def test_sigterm_saves_and_leaves_and_the_run_goes_on(
  whole, ingested, tmp_path, monkeypatch
):
  original = pipeline.batches

  def interrupted(**flags):
    for number, batch in enumerate(original(**flags)):
      if number == 2:
        signal.raise_signal(signal.SIGTERM)
      yield batch

  monkeypatch.setattr(pipeline, 'batches', interrupted)
  config = tiny.config(ingested, num_steps=5)
  assert loop.train(config, tmp_path) == 3
  monkeypatch.undo()
  assert loop.train(config, tmp_path) == 5
  same(whole[1], saved(tmp_path, config))
  steps = [line['step'] for line in log.read(tmp_path)]
  assert steps == [1, 2, 3, 4, 5]


@pytest.mark.parametrize('moment', ['count', 'picture'])
def test_no_moment_of_a_signal_loses_the_step(
  ingested, tmp_path, monkeypatch, moment
):
  original = getattr(follow.Follower, moment)

  def signalled(self, done, *rest, **flags):
    if done == 1:
      signal.raise_signal(signal.SIGTERM)
    return original(self, done, *rest, **flags)

  monkeypatch.setattr(follow.Follower, moment, signalled)
  config = tiny.config(ingested, num_steps=5)
  stopped = loop.train(config, tmp_path)
  assert 1 <= stopped < 5
  assert int(saved(tmp_path, config).step) == stopped


def test_other_data_are_refused(whole, ingested, monkeypatch):
  other = types.SimpleNamespace(fingerprint=lambda folder: 'another')
  monkeypatch.setattr(loop, 'manifest', other)
  with pytest.raises(BadInput, match='data_sha256=.* not another'):
    loop.train(tiny.config(ingested, num_steps=6), whole[0])


@pytest.mark.parametrize(
  ('key', 'value'),
  [
    ('checkpoint.every', 0),
    ('train.log_every', 0),
    ('data.batch_size', 0),
    ('losses.ssim.window', 10),
    ('losses.illumination.grids', (5,)),
  ],
)
def test_values_that_cannot_work_are_named(ingested, tmp_path, key, value):
  config = tiny.config(ingested)
  config.losses.ssim.weight = config.losses.illumination.weight = 1.0
  config.update_from_flattened_dict({key: value})
  with pytest.raises(BadInput, match=key):
    loop.train(config, tmp_path)
  # and the right value may follow in the same workdir
  recipe.check(tmp_path, tiny.config(ingested).to_dict())


def test_a_domain_with_few_frames_can_be_sampled(ingested, monkeypatch):
  found = pipeline.examples(ingested, 'train', 5)
  low = jax.tree.map(lambda x: x[:2], found['low'])
  monkeypatch.setattr(
    pipeline, 'examples', lambda *words, **flags: found | {'low': low}
  )
  config = tiny.config(ingested)
  made = models.create(config.model.to_dict())
  sample = loop._sampler(made, config.data.to_dict(), 5)
  picture = sample(fresh(config).generators.params)
  assert picture.shape == (6 * 32, 2 * 32)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(
  whole, ingested, tmp_path, caplog
):
  config = tiny.config(ingested, num_steps=4)
  loop.train(config, tmp_path)
  files = [
    p for p in (tmp_path / 'checkpoints' / '4').rglob('*') if p.is_file()
  ]
  for path in files:
    if path.parent.name == 'd' or path.name == 'manifest.ocdbt':
      path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  config.train.num_steps = 4
  assert loop.train(config, tmp_path) == 4  # again from 2, and saved again
  assert 'checkpoint 4 is damaged' in caplog.text
  assert (tmp_path / 'damaged' / '4').is_dir()
  config.train.num_steps = 5
  assert loop.train(config, tmp_path) == 5
  same(whole[1], saved(tmp_path, config))


def test_a_file_that_cannot_grow_loses_no_checkpoint(ingested, tmp_path):
  config = tiny.config(ingested)
  first = fresh(config).replace(step=np.int32(1))
  with checkpoint.opened(tmp_path, keep=3) as manager:
    checkpoint.save(manager, first)
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
  try:
    with pytest.raises(BadInput, match='checkpoint 1 is complete') as caught:
      with checkpoint.opened(tmp_path, keep=3) as manager:
        checkpoint.save(manager, first.replace(step=np.int32(2)))
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  assert 'File too large' in str(caught.value)
  same(first, saved(tmp_path, config))


def test_a_disk_that_fills_while_it_trains_is_one_error(
  ingested, tmp_path, monkeypatch
):
  # TensorBoard's file is the first to meet the limit
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  original = follow.Follower.look

  def full(self, **flags):
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    return original(self, **flags)

  monkeypatch.setattr(follow.Follower, 'look', full)
  try:
    with pytest.raises((BadInput, OSError)):
      loop.train(tiny.config(ingested, num_steps=40), tmp_path)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  monkeypatch.undo()
  assert loop.train(tiny.config(ingested, num_steps=4), tmp_path) == 4


def test_a_signal_in_the_last_step_is_no_end(ingested, tmp_path, monkeypatch):
  original = follow.Follower.count

  def signalled(self, done, *rest):
    if done == 2:
      signal.raise_signal(signal.SIGTERM)
      signal.raise_signal(signal.SIGTERM)  # as a wrapper and its group do
    return original(self, done, *rest)

  monkeypatch.setattr(follow.Follower, 'count', signalled)
  config = tiny.config(ingested, num_steps=2)
  with pytest.raises(interrupt.Stopped):
    loop.train(config, tmp_path)
  assert int(saved(tmp_path, config).step) == 2
  monkeypatch.undo()
  assert loop.train(config, tmp_path) == 2


def test_what_a_workdir_holds(whole):
  workdir, _ = whole
  assert {p.name for p in (workdir / 'checkpoints').iterdir()} == {
    '2',
    '4',
    '5',
  }
  assert {p.name for p in (workdir / 'samples').iterdir()} == {
    'step_1.png',
    'step_5.png',
  }
  assert list(workdir.glob('events.out.tfevents.*'))
  lines = [
    json.loads(line)
    for line in (workdir / 'metrics.jsonl').read_text().splitlines()
  ]
  assert [line['step'] for line in lines] == [1, 2, 3, 4, 5]
  for name in (
    'loss/adversarial',
    'loss/cycle',
    'loss/identity',
    'loss/judge_low',
    'loss/judge_high',
    'watch/correlation',
  ):
    assert all(np.isfinite(line[name]) for line in lines)
  assert 'key' not in (workdir / 'config.json').read_text()


def test_another_config_is_refused_and_nothing_lost(whole, ingested):
  workdir, before = whole
  config = tiny.config(ingested, num_steps=6)
  config.losses.ssim.weight = 1.0
  with pytest.raises(BadInput, match='losses.ssim.weight=0.0, not 1.0'):
    loop.train(config, workdir)
  same(before, saved(workdir, tiny.config(ingested)))


def test_a_difference_that_is_accepted_is_kept_for_good(
  whole, ingested, tmp_path
):
  workdir = shutil.copytree(whole[0], tmp_path / 'run')
  config = tiny.config(ingested, num_steps=6)
  config.state.learning_rate, config.seed = 1e-4, 3
  with pytest.raises(BadInput, match='seed=0, not 3 .and 1 more.*accept_diff'):
    loop.train(config, workdir)
  config.train.accept_difference = True
  assert loop.train(config, workdir) == 6
  found = recipe.read(workdir)
  was = {'seed': 0, 'state.learning_rate': 2e-4}
  assert found['changed'] == [{'step': 5, 'was': was}]
  assert found['seed'] == 3
  assert loop.train(config, workdir) == 6  # and no difference is left
  assert recipe.read(workdir)['changed'] == found['changed']


@pytest.mark.parametrize(
  ('key', 'value'),
  [('model.resnet.features', 3), ('state.pool_size', 4), ('data.size', 40)],
)
def test_other_networks_are_refused_whatever_is_accepted(
  whole, ingested, key, value
):
  config = tiny.config(ingested, num_steps=6)
  config.train.accept_difference = True
  config.update_from_flattened_dict({key: value})
  with pytest.raises(BadInput, match=f'{key}=.* not {value}') as caught:
    loop.train(config, whole[0])
  assert 'accept_difference' not in str(caught.value)


def test_a_loss_with_networks_of_its_own_cannot_join_later(whole, ingested):
  config = tiny.config(ingested, num_steps=6)
  config.train.accept_difference = True
  config.losses.task.weight = 1.0
  with pytest.raises(BadInput, match='of other networks: its helpers/task'):
    loop.train(config, whole[0])
  same(whole[1], saved(whole[0], tiny.config(ingested)))


def test_a_workdir_of_the_first_version_is_read_but_not_trained(
  whole, ingested, tmp_path
):
  workdir = shutil.copytree(whole[0], tmp_path / 'run')
  config = recipe.read(workdir)
  del config['layout']
  (workdir / 'config.json').write_text(json.dumps(config))
  for path in workdir.glob('checkpoints/*/note'):
    shutil.rmtree(path)
  with pytest.raises(BadInput, match='another version .*layout 1, not 2'):
    loop.train(tiny.config(ingested, num_steps=6), workdir)
  assert enhancer.load(workdir).step == 5


@pytest.mark.parametrize('mode', parallel.MODES)
def test_a_state_from_disk_goes_to_any_mode_and_number_of_devices(whole, mode):
  for count in (1, 2, 8):
    devices = jax.devices()[:count]
    placed = parallel.place(whole[1], mode, devices)
    same(whole[1], placed)
    used = set() if mode == 'single' else set(devices)
    assert placed.step.devices() >= used


def test_two_runs_do_not_share_a_workdir(whole, ingested):
  with files.alone(whole[0]):
    with pytest.raises(BadInput, match='another run is writing'):
      loop.train(tiny.config(ingested, num_steps=6), whole[0])


def test_data_that_do_not_fit_leave_no_workdir(tmp_path, ingested):
  config = tiny.config(tmp_path / 'nowhere')
  with pytest.raises(BadInput, match='echogan_jax.ingest'):
    loop.train(config, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()
  config = tiny.config(ingested)
  config.data.size = 20
  with pytest.raises(BadInput, match='too small'):
    loop.train(config, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def test_toggles_reach_the_gradient(ingested, tmp_path):
  config = tiny.config(ingested, num_steps=1)
  config.losses.ssim.weight = 1.0
  config.losses.illumination.weight = 1.0
  loop.train(config, tmp_path)
  (line,) = log.read(tmp_path)
  assert line['loss/ssim'] > 0 and line['loss/illumination'] > 0
  assert losses.build(config.losses.to_dict()).needs


def test_the_log_drops_what_a_dead_attempt_wrote(tmp_path):
  first = log.Log(tmp_path, step=0)
  for step in (1, 2, 3):
    first.scalars(step, {'loss': 0.5})
  first.close()
  with (tmp_path / 'metrics.jsonl').open('a') as file:
    file.write('{"step": 4, "loss')  # torn by a kill
  second = log.Log(tmp_path, step=2)
  second.scalars(3, {'loss': 0.5})
  second.close()
  assert [found['step'] for found in log.read(tmp_path)] == [1, 2, 3]
