"""StableHLO files, read where nothing of ours is installed."""

import json
import subprocess
import sys
import zipfile

import jax
import numpy as np
import pytest
import tiny

from echogan_jax import models
from echogan_jax.command import BadInput
from echogan_jax.exchange import card, deployed, stablehlo
from echogan_jax.models.sampling import UPS
from echogan_jax.training import enhancer

_READER = """
import pathlib, sys, zipfile
import jax.export, numpy
file = jax.export.deserialize(pathlib.Path(sys.argv[1]).read_bytes())
for name in sys.argv[2:]:
  sample = dict(numpy.load(name))
  enhanced, values = file.call(sample['frames'], sample['inside'])
  numpy.savez(name, enhanced=enhanced, values=values)
assert 'echogan_jax' not in sys.modules
"""


@pytest.fixture(scope='module')
def model(workdir):
  return enhancer.load(workdir)


def generator(config):
  return models.generators(config).generator


@pytest.fixture(scope='module')
def path(workdir, model, tmp_path_factory):
  path = tmp_path_factory.mktemp('stablehlo') / 'model.stablehlo'
  stablehlo.write(
    path,
    generator(model.config['model']),
    model.ema['enhance'],
    card.describe(workdir, model),
  )
  return path


def test_another_program_gets_what_we_get(model, path, tmp_path):
  draw = np.random.default_rng(1)
  given = {}
  for count, side in ((2, 32), (3, 40)):
    frames = draw.integers(0, 256, (count, side, side, 1), np.uint8)
    inside = draw.random(frames.shape) < 0.5
    name = tmp_path / f'{side}.npz'
    np.savez(name, frames=frames, inside=inside)
    given[name] = frames[..., 0], inside[..., 0]
  # -I: this folder and ours are not where Python looks
  command = [sys.executable, '-I', '-c', _READER, path, *given]
  subprocess.run(command, check=True, cwd=tmp_path)
  for name, (frames, inside) in given.items():
    found = np.load(name)
    enhanced, values = found['enhanced'][..., 0], found['values'][..., 0]
    ours = model.generators['enhance'](frames / np.float32(127.5) - 1)
    np.testing.assert_allclose(values, ours, atol=1e-4)
    steps = enhanced.astype(int) - model.translate(frames, inside)
    assert np.abs(steps).max() <= 1
    assert np.mean(steps == 0) > 0.999
    assert np.array_equal(enhanced[~inside], frames[~inside])
    assert np.mean(enhanced[inside] != frames[inside]) > 0.5


def test_the_card_is_in_the_file(path):
  shown = subprocess.run(
    [sys.executable, '-m', 'zipfile', '-t', path], capture_output=True
  )
  assert shown.returncode == 0
  with zipfile.ZipFile(path) as archive:
    assert archive.namelist() == ['card.json', 'card.md']
    about = json.loads(archive.read('card.json'))
    told = archive.read('card.md').decode()
  assert about['file']['platforms'] == ['cpu', 'cuda', 'tpu']
  assert about['file']['sizes'] in told
  assert about['weights_sha256'] in told


@pytest.mark.parametrize(
  ('network', 'up'),
  [(name, 'deconv') for name in models.GENERATORS]
  + [('resnet', up) for up in UPS[1:]],
)
def test_every_network_takes_any_batch_and_size(network, up):
  config = tiny.config('').model.to_dict() | {'generator': network}
  config['resnet']['up'] = up
  made = generator(config)
  blank = jax.ShapeDtypeStruct((1, 32, 32, 1), np.float32)
  like = jax.eval_shape(made.init, jax.random.key(0), blank)['params']
  params = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like)
  call = jax.jit(deployed.deployed(made, params))
  file = stablehlo._export(call, made)
  times = made.multiple
  for aval, dtype in zip(file.out_avals, ('uint8', 'float32'), strict=True):
    assert f'{aval}' == f'{dtype}[batch,{times}*rows,{times}*columns,1]'
  assert file.platforms == ('cpu', 'cuda', 'tpu')


def test_a_file_that_is_not_the_network_is_refused(
  workdir, model, tmp_path, monkeypatch
):
  right = deployed.deployed

  def wrong(made, params):
    call = right(made, params)
    times = iter((1.0, 1.01))  # traced for the file, then to compare
    return lambda *sample: (call(*sample)[0], next(times) * call(*sample)[1])

  monkeypatch.setattr(deployed, 'deployed', wrong)
  with pytest.raises(BadInput, match='another network'):
    stablehlo.write(
      tmp_path / 'wrong',
      generator(model.config['model']),
      model.ema['enhance'],
      card.describe(workdir, model),
    )


def test_pictures_may_differ_by_a_level_here_and_there():
  grey, values = np.full((1, 64, 64, 1), 9, np.uint8), np.zeros((1, 64, 64, 1))
  near, far = grey.copy(), grey.copy()
  near[0, 0, 0], far[0, 0, 0] = 10, 11
  assert deployed.difference((near, values + 0.5), (grey, values)) == 0.5
  assert deployed.difference((far, values), (grey, values)) == np.inf
  assert deployed.difference((grey - 1, values), (grey, values)) == np.inf
  nothing = np.full_like(values, np.nan)
  assert deployed.difference((grey, nothing), (grey, nothing)) == np.inf
