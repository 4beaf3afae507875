"""`main` and what every verb promises: help, one line, status 2."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
import tiny

import echogan_jax.__main__ as listing
from echogan_jax import command, main
from echogan_jax.training import loop

ROOT = pathlib.Path(__file__).parents[1]
CONFIG = '--config=configs/cyclegan.py'


def run(*words):
  command = [sys.executable, '-m', *words]
  return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def refused(*flags):
  """Run `main`; return the one line it prints."""
  found = run('echogan_jax.main', *flags)
  assert found.returncode == 2, found.stderr
  (line,) = found.stderr.splitlines()
  return line


@pytest.mark.parametrize('verb', listing.verbs())
def test_every_verb_has_help(verb):
  found = run(f'echogan_jax.{verb}', '--help')
  assert found.returncode == 0, found.stderr
  assert f'python -m echogan_jax.{verb}' in found.stdout


def test_the_package_lists_its_verbs():
  found = run('echogan_jax')
  lines = found.stdout.splitlines()
  assert found.returncode == 0
  for verb in ('main', 'phantom', 'ingest', 'evaluate', 'enhance', 'report'):
    assert any(f'echogan_jax.{verb} ' in line for line in lines)


def test_bad_input_is_one_line_and_status_2(tmp_path):
  found = run(
    'echogan_jax.main', CONFIG, f'--workdir={tmp_path / "run"}',
    '--config.data.dir=/nowhere',
  )  # fmt: skip
  assert found.returncode == 2
  assert 'Traceback' not in found.stderr
  (line,) = [x for x in found.stderr.splitlines() if x.startswith('error:')]
  assert '/nowhere does not exist' in line and 'echogan_jax.ingest' in line
  assert not (tmp_path / 'run').exists()


def test_misspelt_keys_get_a_suggestion(tmp_path):
  workdir = f'--workdir={tmp_path}'
  said = refused(CONFIG, workdir, '--config.losses.sim.weight=1')
  assert 'ssim' in said or 'Did you mean' in said
  said = refused(CONFIG, workdir, '--config.train.num_stps=1')
  assert 'num_steps' in said


@pytest.mark.parametrize(
  ('flags', 'says'),
  [
    ([CONFIG], '--workdir'),
    (['--config=configs/none.py', '--workdir=w'], 'none.py'),
    ([CONFIG, '--workdir=w', '--config.train.num_steps=many'], 'many'),
    ([CONFIG, '--workdir=w', 'extra'], 'extra'),
    ([CONFIG, '--workdir=w', '--nonsense=1'], 'nonsense'),
  ],
)
def test_bad_flags_are_named(flags, says):
  assert says in refused(*flags)


def test_other_verbs_fail_in_one_line(tmp_path):
  for words in (
    ['evaluate', f'--workdir={tmp_path}', f'--data={tmp_path}'],
    ['report', '--workdir=/nowhere'],
    ['enhance', '--workdir=w', '--input=/nowhere', '--output=o.gif'],
  ):
    found = run(f'echogan_jax.{words[0]}', *words[1:])
    assert found.returncode == 2, words
    assert len(found.stderr.splitlines()) == 1, found.stderr


def test_paths_of_the_wrong_kind_are_one_line(tmp_path):
  file = tmp_path / 'file'
  file.write_text('')
  (tmp_path / 'broken.py').write_text('def get_config(:')
  for words in (
    ['report', f'--workdir={file}'],
    ['main', f'--config={tmp_path / "broken.py"}', '--workdir=w'],
    ['main', '--config=/nowhere/c.py', '--workdir=w'],
  ):
    found = run(f'echogan_jax.{words[0]}', *words[1:])
    assert found.returncode == 2, found.stderr
    assert len(found.stderr.splitlines()) == 1, found.stderr


def test_main_finds_its_configs_from_anywhere(tmp_path):
  words = ['-m', 'echogan_jax.main', f'--config={ROOT}/configs/quickstart.py']
  found = subprocess.run(
    [sys.executable, *words],
    cwd=tmp_path,
    capture_output=True,
    text=True,
    env=os.environ | {'PYTHONPATH': str(ROOT)},
  )
  assert found.returncode == 2 and '--workdir' in found.stderr


def test_main_runs_what_stands_before_and_after(tmp_path, monkeypatch, capsys):
  ran = []

  def train(config, workdir):
    ran.append(('train', config.data.dir))
    return config.train.num_steps

  monkeypatch.setattr(loop, 'train', train)
  monkeypatch.setattr(
    command, 'chain', lambda lines, workdir: ran.append(tuple(lines))
  )
  monkeypatch.chdir(ROOT)
  main.main(['--config=configs/quickstart.py', f'--workdir={tmp_path}'])
  before, trained, after = ran
  assert trained == ('train', f'{tmp_path}/data')
  assert [line.split()[0] for line in before] == [
    'phantom',
    'ingest',
    'phantom',
  ]
  verbs = [line.split()[0] for line in after]
  assert verbs == ['evaluate', 'enhance', 'enhance', 'report']


@pytest.mark.parametrize('name', ['cyclegan', 'quickstart'])
def test_every_config_shrinks_to_the_same_keys(name, ingested):
  keys = json.loads(tiny.config(ingested, name).to_json())
  model = json.loads(tiny.config(ingested).to_json())
  assert keys.keys() == model.keys()
  assert keys['losses'].keys() == model['losses'].keys()


def test_the_other_networks_train_too(ingested, tmp_path):
  config = tiny.config(ingested, num_steps=1)
  config.model.generator, config.model.discriminator = 'unet', 'seed142'
  config.losses.ssim.weight = config.losses.illumination.weight = 1.0
  assert loop.train(config, tmp_path) == 1
