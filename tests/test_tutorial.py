"""Every command of the README's tutorial, in its order, on miniature data."""

import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import urllib.request

import pydicom
import pytest
import SimpleITK

ROOT = pathlib.Path(__file__).parents[1]
SMALL = {
  'data.size': 32,
  'model.resnet.features': 2,
  'model.resnet.blocks': 1,
  'model.resunet.features': 2,
  'model.resunet.downs': 3,
  'model.patch70.features': 2,
  'state.constant_steps': 1,
  'state.decay_steps': 1,
  'train.num_steps': 2,
  'train.log_every': 1,
  'train.samples': 1,
  'checkpoint.every': 2,
}
# added to the words of a verb: the same commands, in seconds
SMALLER = {
  'echogan_jax.phantom': (
    *('--studies=16', '--seed=3', '--size=64', '--frames=3', '--workers=1'),
  ),
  'echogan_jax.ingest': (
    *('--size=32', '--workers=1', '--validation=0.3', '--test=0.4'),
  ),
  'echogan_jax.main': [f'--config.{k}={v}' for k, v in SMALL.items()],
  'echogan_jax.evaluate': (
    *('--frames=2', '--perceptual=1', '--clips=1', '--probes=0'),
  ),
  'echogan_jax.serve': ('--port=0',),
  'experiments.run': ['--set', *(f'{k}={v}' for k, v in SMALL.items())],
}


def commands(title):
  """Return the lines of one part of the tutorial, as words."""
  text = (ROOT / 'README.md').read_text(encoding='utf-8')
  part = text.split(f'\n### {title}\n')[1]
  part = re.split(r'\n##', part)[0]
  blocks = re.findall(r'\n```\n(.*?)\n```', part, re.DOTALL)
  lines = [line for block in blocks for line in block.splitlines()]
  assert all(line.startswith('python -m ') for line in lines), lines
  return [shlex.split(line)[2:] for line in lines]


@pytest.fixture
def home(tmp_path):
  """Return a folder that looks like the repository's root."""
  for name in ('echogan_jax', 'configs', 'experiments'):
    (tmp_path / name).symlink_to(ROOT / name)
  return tmp_path


def start(words, home):
  verb, *flags = words
  return subprocess.Popen(
    [sys.executable, '-m', verb, *flags, *SMALLER.get(verb, ())],
    cwd=home,
    env=os.environ | {'TMPDIR': str(home)},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def run(words, home):
  process = start(words, home)
  said, complaints = process.communicate()
  assert process.returncode == 0, f'{shlex.join(words)}\n{complaints}'
  return said


def test_from_a_folder_of_dicom_to_a_clip_in_the_viewer(home):
  for words in commands(
    'From a folder of DICOM to an enhanced clip in your viewer'
  ):
    if words[0] == 'echogan_jax.serve':
      answered(words, home)
    else:
      run(words, home)
  assert 'html' in (home / 'runs/clinic/report.html').read_text()
  sources = sorted((home / 'CLINIC').rglob('*.dcm'))
  made = sorted((home / 'ENHANCED').rglob('*.dcm'))
  assert len(made) == len(sources) == 16
  for path in made:
    # GDCM, which many viewers read with, shows what pydicom reads
    shown = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))
    dataset = pydicom.dcmread(path)
    assert (shown == dataset.pixel_array).all() and shown.std() > 5
    assert 'DERIVED' in dataset.ImageType
  assert (home / 'CLIP.mp4').stat().st_size > 1000
  assert (home / 'clinic.stablehlo').stat().st_size > 1000


def answered(words, home):
  """Open the page, and end it as a person does."""
  process = start(words, home)
  try:
    address = process.stdout.readline().split()[0]
    with urllib.request.urlopen(address) as page:
      assert b'gradio' in page.read().lower()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
  finally:
    process.kill()
    process.communicate()


def test_from_camus_to_an_ablation_table(home):
  for words in commands('From CAMUS to an ablation table'):
    said = run(words, home)
  assert 'table.md' in said
  table = (home / 'runs/upsampling/table.md').read_text()
  assert '| deconv |' in table and '| resize |' in table
  assert (home / 'runs/upsampling/table.csv').stat().st_size > 100
