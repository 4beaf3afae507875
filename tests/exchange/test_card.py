"""The model card: true to the workdir, silent about people and places."""

import json
import shutil

import pytest

from echogan_jax import evaluate
from echogan_jax.command import BadInput
from echogan_jax.exchange import card, markdown
from echogan_jax.training import enhancer

FILE = {'format': 'ONNX', 'sizes': 'any', 'use': 'run()'}


@pytest.fixture
def copy(workdir, tmp_path):
  shutil.copytree(workdir, tmp_path / 'copy')
  return tmp_path / 'copy'


def described(workdir):
  return card.describe(workdir, enhancer.load(workdir))


def metrics(workdir, **changed):
  model = enhancer.load(workdir)
  found = {
    'step': model.step,
    'split': 'test',
    'method': 'network',
    'config_sha256': model.config_sha256,
    'data_sha256': model.config['data_sha256'],
    'images': 40,
    'studies': 12,
    'patients': 11,
    'metrics': {'psnr/input': 15.25, 'psnr/enhanced': 18.5, 'invention': 0.5},
    'changes': {
      'psnr': {'mean': 3.25, 'low': 2.0, 'high': 4.5, 'patients': 11}
    },
    'skipped': {'fid': 'see /home/someone/inception.npz'},
  }
  path = workdir / 'eval' / 'test' / 'metrics.json'
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(found | changed))
  return path


def test_it_tells_what_the_run_recorded(copy, ingested):
  shutil.rmtree(copy / 'eval', ignore_errors=True)
  model, found = enhancer.load(copy), described(copy)
  assert found['step'] == 4
  assert found['weights_sha256'] == model.weights_sha256
  assert found['config_sha256'] == model.config_sha256
  assert found['network']['generator'] == 'resnet'
  assert found['network']['size'] == 32
  training = found['training']
  audit = json.loads((ingested / 'audit.json').read_text())
  assert training['data']['patients'] == audit['patients']
  assert training['data']['frames'] == audit['frames']
  assert training['losses']['cycle'] == 10.0
  assert not training['synthetic']  # `phantom` was run by hand
  assert 'never evaluated' in found['limits'][-1]
  assert 'not for diagnosis' in found['intended_use'].lower()


def test_it_names_no_place(copy, ingested):
  metrics(copy)
  found = described(copy) | {'file': FILE}
  text = json.dumps(found) + markdown.render(found)
  assert str(copy.parent) not in text
  assert str(ingested) not in text
  assert 'someone' not in text


def test_only_measurements_of_this_checkpoint_count(copy):
  metrics(copy)
  found = described(copy)
  (one,) = found['evaluations']
  assert (one['split'], one['patients'], one['images']) == ('test', 11, 40)
  assert one['metrics']['psnr']['change'] == [3.25, 2.0, 4.5]
  assert one['of_the_training_data']
  assert one['verdict']['headline']
  told = markdown.render(found | {'file': FILE})
  assert '| psnr | 15.25 | 18.5 |  | +3.25 (+2 to +4.5) |' in told
  assert '40 frames of 11 patients' in told
  metrics(copy, step=2)
  found = described(copy)
  assert not found['evaluations']
  assert 'never evaluated: others were, of steps 2' in found['limits'][-1]
  metrics(copy, method='median')
  assert not described(copy)['evaluations']
  metrics(copy, metrics=[])
  with pytest.raises(BadInput, match='damaged'):
    described(copy)


def test_data_that_changed_are_not_described(copy):
  path = copy / 'config.json'
  config = json.loads(path.read_text())
  path.write_text(json.dumps(config | {'data_sha256': 'another'}))
  assert 'changed' in described(copy)['training']['data']
  config['data']['dir'] = '/nowhere'
  config['before'] = ['phantom --output={workdir}/phantom']
  path.write_text(json.dumps(config))
  metrics(copy)
  found = described(copy)
  assert 'not where they were' in found['training']['data']
  assert 'synthetic phantoms' in found['limits'][-1]


def test_imported_weights_say_where_they_are_from(copy):
  path = copy / 'config.json'
  config = json.loads(path.read_text())
  imported = {'flags': '--netG resnet_9blocks', 'sha256': {'enhance': 'ab'}}
  kept = {k: config[k] for k in ('data', 'model', 'layout')}
  path.write_text(json.dumps(kept | {'imported': imported}))
  found = described(copy)
  assert found['training']['imported_from'] == '--netG resnet_9blocks'
  assert found['training']['data'] == 'not on record'
  assert '- sha256.enhance: ab' in markdown.render(found | {'file': FILE})


def test_what_evaluate_writes_can_be_told(copy, ingested):
  options = ['--frames=2', '--perceptual=1', '--probes=0', '--clips=0']
  where = [f'--workdir={copy}', f'--data={ingested}', '--split=all']
  evaluate.main([*where, *options, '--pictures=0'])
  (one,) = described(copy)['evaluations']
  assert one['split'] == 'all'
  assert one['metrics']
