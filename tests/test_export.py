"""The verb `export`: what it refuses, and that it leaves no half a file."""

import pathlib
import zipfile

import pytest

from echogan_jax import export
from echogan_jax.command import BadInput
from echogan_jax.exchange import onnx


@pytest.fixture(scope='module')
def exported(workdir, tmp_path_factory):
  path = tmp_path_factory.mktemp('exported') / 'new' / 'model.stablehlo'
  export.main([f'--workdir={workdir}', f'--output={path}'])
  return path


def refused(match, *argv):
  with pytest.raises(BadInput, match=match):
    export.main([*map(str, argv)])


def test_the_file_is_alone_in_its_folder(exported):
  assert list(exported.parent.iterdir()) == [exported]


def test_exporting_again_changes_no_byte(exported, workdir, tmp_path, capsys):
  again = tmp_path / 'again.stablehlo'
  again.write_bytes(b'an older file')
  export.main([f'--workdir={workdir}', f'--output={again}'])
  assert again.read_bytes() == exported.read_bytes()
  *told, last = capsys.readouterr().out.splitlines()
  assert last == str(again)
  assert 'multiple of 4' in told[-1]


def test_an_earlier_step_can_be_asked_for(exported, workdir, tmp_path):
  early = tmp_path / 'early.stablehlo'
  export.main([f'--workdir={workdir}', f'--output={early}', '--step=2'])
  first, last = (
    zipfile.ZipFile(path).read('card.md').decode() for path in (early, exported)
  )
  assert '\n- step: 2\n' in first
  assert '\n- step: 4\n' in last


def test_no_file_shows_whose_machine_made_it(exported, workdir):
  content = exported.read_bytes()
  for folder in (workdir, pathlib.Path(export.__file__).parent):
    assert str(folder).encode() not in content
  assert b'.py' not in content


def test_weights_alone_go_into_a_pth(workdir, tmp_path):
  path = tmp_path / 'latest_net_G_A.pth'
  export.main([f'--workdir={workdir}', f'--output={path}'])
  assert zipfile.is_zipfile(path)


def test_bad_input_is_one_line_and_leaves_nothing(workdir, tmp_path):
  at = f'--workdir={workdir}'
  output = f'--output={tmp_path}/model'
  refused('end it in .stablehlo', at, f'{output}.pb')
  refused('does not exist', f'--workdir={tmp_path}/w', f'{output}.stablehlo')
  refused('no config.json|config', f'--workdir={tmp_path}', f'{output}.onnx')
  refused('no checkpoint 3', at, f'{output}.stablehlo', '--step=3')
  refused('is for ONNX', at, f'{output}.pth', '--python=python')
  assert not list(tmp_path.iterdir())
  (tmp_path / 'model.onnx').mkdir()
  refused('no file', at, f'{output}.onnx')


def test_onnx_says_how_to_get_what_it_needs(workdir, tmp_path, monkeypatch):
  at, output = f'--workdir={workdir}', tmp_path / 'model.onnx'
  output.write_bytes(b'an older file')
  monkeypatch.setattr(onnx.importlib.util, 'find_spec', lambda name: None)
  refused('pip install jax2onnx', at, f'--output={output}')
  for python in (tmp_path / 'gone', '/dev/null'):
    refused('is no program', at, f'--output={output}', f'--python={python}')
  refused(
    'No such|cannot|: .*jax2onnx', at, f'--output={output}', '--python=false'
  )
  assert output.read_bytes() == b'an older file'
  assert list(tmp_path.iterdir()) == [output]
