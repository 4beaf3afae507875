"""Generators of pytorch-CycleGAN as workdirs that every verb takes."""

import hashlib
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from echogan_jax import enhance, evaluate, import_torch, models, report
from echogan_jax.command import BadInput
from echogan_jax.data import dicom
from echogan_jax.exchange import pytorch
from echogan_jax.models import torch_file
from echogan_jax.models.resnet import ResNet
from echogan_jax.models.unet import UNet
from echogan_jax.training import enhancer, loop

NETWORK = ResNet(features=8, blocks=2)


def weights(network, seed):
  blank = jnp.zeros((1, 32, 32, 1))
  like = jax.eval_shape(network.init, jax.random.key(0), blank)['params']
  random = np.random.default_rng(seed)
  return jax.tree.map(
    lambda leaf: random.normal(0, 0.1, leaf.shape).astype(np.float32), like
  )


def save(path, network, seed=0):
  torch_file.write(path, pytorch.state_dict(network, weights(network, seed)))
  return path


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
  folder = tmp_path_factory.mktemp('pth')
  return {
    letter: save(folder / f'named_for_its_owner_{letter}.pth', NETWORK, seed)
    for seed, letter in enumerate('AB')
  }


@pytest.fixture(scope='module')
def imported(saved, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('runs') / 'imported'
  flags = [f'--generator={saved["A"]}', f'--workdir={workdir}', '--size=32']
  import_torch.main(flags)
  return workdir


def test_the_workdir_enhances_as_the_file_does(imported):
  model = enhancer.load(imported)
  assert (model.size, model.step, set(model.ema)) == (32, 0, {'enhance'})
  random = np.random.default_rng(0)
  frames = random.integers(0, 256, (3, 32, 32), dtype=np.uint8)
  found = model.translate(frames, np.ones((32, 32), bool))
  x = jnp.array(frames[..., None] / 127.5 - 1, jnp.float32)
  y = jax.jit(NETWORK.apply)({'params': weights(NETWORK, 0)}, x)
  expected = (np.asarray(y)[..., 0] + 1) * 127.5
  assert np.abs(found - expected).max() < 0.51
  assert found.std() > 20


def test_the_config_tells_origin_and_architecture_and_no_name(imported, saved):
  text = (imported / 'config.json').read_text()
  config = json.loads(text)
  digest = hashlib.sha256(saved['A'].read_bytes()).hexdigest()
  assert config['imported']['sha256'] == {'enhance': digest}
  assert '--netG resnet_2blocks --ngf 8' in config['imported']['flags']
  assert (
    config['model']['resnet'].items() >= {'features': 8, 'blocks': 2}.items()
  )
  for path in (p for p in imported.rglob('*') if p.is_file()):
    assert b'named_for_its_owner' not in path.read_bytes(), path


def test_both_directions_are_kept(saved, tmp_path):
  flags = [f'--generator={saved["A"]}', f'--reverse={saved["B"]}']
  import_torch.main([*flags, f'--workdir={tmp_path / "w"}'])
  model = enhancer.load(tmp_path / 'w')
  assert model.size == 256 and set(model.generators) == {'enhance', 'degrade'}
  for seed, name in enumerate(('enhance', 'degrade')):
    kept = weights(NETWORK, seed)
    jax.tree.map(np.testing.assert_array_equal, model.ema[name], kept)


def test_it_goes_back_to_the_same_file(imported, saved, tmp_path):
  pytorch.write(tmp_path / 'back.pth', enhancer.load(imported))
  assert (tmp_path / 'back.pth').read_bytes() == saved['A'].read_bytes()


def test_a_clip_is_enhanced(imported, phantom, tmp_path):
  source = sorted((phantom / 'studies').rglob('*.dcm'))[0]
  target = tmp_path / 'enhanced.dcm'
  flags = [f'--workdir={imported}', f'--input={source}', f'--output={target}']
  enhance.main(flags)
  assert (dicom.read(target).frames != dicom.read(source).frames).any()


def test_it_is_measured_and_reported_on_or_says_why_not(
  imported, ingested, tmp_path
):
  output = tmp_path / 'eval'
  flags = [f'--workdir={imported}', f'--data={ingested}', '--split=all']
  flags += [f'--output={output}', '--frames=2', '--perceptual=1', '--probes=0']
  evaluate.main(flags)
  found = json.loads((output / 'metrics.json').read_text())
  assert found['step'] == 0 and found['images'] == 2
  with pytest.raises(BadInput, match='nothing is logged yet'):
    report.main([f'--workdir={imported}'])


def test_it_is_no_run_to_go_on_with(imported, ingested):
  config = tiny.config(ingested)
  config.train.accept_difference = True
  before = (imported / 'config.json').read_bytes()
  with pytest.raises(
    BadInput, match='holds weights that were imported, no run'
  ):
    loop.train(config, imported)
  assert (imported / 'config.json').read_bytes() == before
  assert enhancer.load(imported).step == 0


@pytest.mark.parametrize('kept', ['config.json', 'checkpoints/7/ema'])
def test_a_workdir_that_holds_a_run_is_left_alone(saved, tmp_path, kept):
  (tmp_path / kept).parent.mkdir(parents=True, exist_ok=True)
  (tmp_path / kept).write_text('{}')
  with pytest.raises(BadInput, match='holds a run: choose another --workdir'):
    import_torch.main([f'--generator={saved["B"]}', f'--workdir={tmp_path}'])
  assert [p for p in tmp_path.rglob('*') if p.is_file()] == [tmp_path / kept]
  assert (tmp_path / kept).read_text() == '{}'


def test_flags_that_do_not_fit_are_explained(saved, tmp_path):
  unet = save(tmp_path / 'unet.pth', UNet(features=2, downs=5))
  for flags, message in (
    ([f'--reverse={unet}'], 'resnet_2blocks .* but --reverse like .* unet_32'),
    ([f'--reverse={saved["A"]}'], 'is the same file as --generator'),
    (['--size=30'], '--size=30: ResNet needs a multiple of 4; try 32'),
    (['--size=0'], '--size=0 is too small, pixels needed: ResNet 8'),
    (['--reverse=nowhere.pth'], '--reverse nowhere.pth does not exist'),
  ):
    flags = [f'--generator={saved["A"]}', f'--workdir={tmp_path / "w"}', *flags]
    with pytest.raises(BadInput, match=message):
      import_torch.main(flags)
    assert not (tmp_path / 'w').exists()


def test_a_unet_is_imported_at_its_own_size(tmp_path):
  path = save(tmp_path / 'unet.pth', UNet(features=2, downs=5, colours=3))
  import_torch.main([f'--generator={path}', f'--workdir={tmp_path / "w"}'])
  model = enhancer.load(tmp_path / 'w')
  assert model.size == 32
  network = models.generators(model.config['model']).generator
  assert network == UNet(features=2, downs=5, colours=3)


def test_it_is_a_program_that_fails_in_one_line(tmp_path):
  (tmp_path / 'net.pth').write_bytes(b'PK no archive')
  flags = [f'--generator={tmp_path / "net.pth"}', f'--workdir={tmp_path / "w"}']
  ended = subprocess.run(
    [sys.executable, '-m', 'echogan_jax.import_torch', *flags],
    capture_output=True,
    text=True,
  )
  assert ended.returncode == 2 and ended.stdout == ''
  assert ended.stderr.count('\n') == 1
  assert 'net.pth is damaged, or no PyTorch checkpoint' in ended.stderr
