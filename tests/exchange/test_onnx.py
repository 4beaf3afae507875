"""ONNX files: made by jax2onnx in an environment of its own, run by another."""

import json
import subprocess
import sys
import sysconfig
import venv

import numpy as np
import onnxruntime
import pytest

from echogan_jax import models
from echogan_jax.command import BadInput
from echogan_jax.exchange import card, onnx
from echogan_jax.training import enhancer


@pytest.fixture(scope='module')
def python(tmp_path_factory):
  """Make an environment of jax2onnx and what it pins, before what is here."""
  home = tmp_path_factory.mktemp('onnx') / 'env'
  venv.create(home, with_pip=False, symlinks=True)
  (site,) = home.glob('lib/python3*/site-packages')
  (site / 'outer.pth').write_text(sysconfig.get_path('purelib') + '\n')
  interpreter = home / 'bin' / 'python'
  pip = [sys.executable, '-m', 'pip', f'--python={interpreter}', 'install']
  subprocess.run([*pip, '-q', '--no-compile', 'jax2onnx'], check=True)
  return str(interpreter)


@pytest.fixture(scope='module')
def model(workdir):
  return enhancer.load(workdir)


def compare(path, translate, play, shapes):
  """Hold a file to (frames, inside) -> enhanced and frames -> values."""
  session = onnxruntime.InferenceSession(path)
  draw = np.random.default_rng(2)
  for shape in shapes:
    frames = draw.integers(0, 256, shape, np.uint8)
    inside = draw.random(shape) < 0.5
    feed = {'frames': frames[..., None], 'inside': inside[..., None]}
    enhanced, values = session.run(['enhanced', 'values'], feed)
    expected = play(frames / np.float32(127.5) - 1)
    np.testing.assert_allclose(values[..., 0], expected, atol=1e-4)
    steps = enhanced[..., 0].astype(int) - translate(frames, inside)
    assert np.abs(steps).max() <= 1
    assert np.mean(steps == 0) > 0.999
    assert np.array_equal(enhanced[..., 0][~inside], frames[~inside])
  return session


def test_onnxruntime_gets_what_we_get(python, workdir, model, tmp_path):
  path = tmp_path / 'model.onnx'
  about = card.describe(workdir, model)
  params = model.ema['enhance']
  # the graph computes in float32 all the same
  config = dict(model.config['model']) | {'dtype': 'bfloat16'}
  told = onnx.write(path, config, params, about, python=python)
  assert 'each a multiple of 4' in told
  shapes = ((2, 32, 32), (3, 40, 40))
  play = model.generators['enhance']
  session = compare(path, model.translate, play, shapes)
  meta = session.get_modelmeta().custom_metadata_map
  kept = json.loads(meta['card.json'])
  assert kept['weights_sha256'] == model.weights_sha256
  assert kept['file']['sizes'] == told
  assert 'onnxruntime.InferenceSession' in meta['card.md']
  assert str(tmp_path).encode() not in path.read_bytes()


class Converter:
  """Stands for jax2onnx: records the shapes it was asked for."""

  def __init__(self, flexible):
    self.flexible, self.asked = flexible, []

  def to_onnx(self, call, inputs, **names):
    shape = ', '.join(map(str, inputs[0].shape))
    self.asked.append(shape)
    if 'height' in shape and not self.flexible:
      raise TypeError('no such thing')
    return shape


@pytest.fixture
def convert(model, tmp_path, monkeypatch):
  made = models.generators(model.config['model']).generator
  for i in range(2):
    (tmp_path / f'sample_{i}.npz').touch()

  def run(flexible, errors):
    converter = Converter(flexible)
    monkeypatch.setitem(sys.modules, 'jax2onnx', converter)
    monkeypatch.setattr(
      onnx, '_differences', lambda graph, paths: [errors[graph]] * len(paths)
    )
    return onnx._convert(lambda *sample: sample, made, 32, tmp_path)

  return run


ANY, FIXED = 'batch, height, width, 1', 'batch, 32, 32, 1'


def test_sizes_are_fixed_only_where_they_have_to_be(convert):
  assert convert(True, {ANY: 1e-6, FIXED: 0})[0] == ANY
  for flexible, error in ((False, 0), (True, 0.5)):
    graph, told = convert(flexible, {ANY: error, FIXED: 1e-6})
    assert graph == FIXED
    assert told.endswith('32 pixels, the side it was trained on')


def test_a_graph_that_is_not_the_network_is_refused(convert):
  with pytest.raises(BadInput, match='cannot convert .* differs .* by 0.5'):
    convert(False, {FIXED: 0.5})


def test_an_interpreter_without_jax2onnx_says_so(workdir, model, tmp_path):
  path = tmp_path / 'model.onnx'
  about = card.describe(workdir, model)
  config, params = model.config['model'], model.ema['enhance']
  with pytest.raises(BadInput, match='^ONNX needs jax2onnx'):
    onnx.write(path, config, params, about, python=sys.executable)
  assert not path.exists()
