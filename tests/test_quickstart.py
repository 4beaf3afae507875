"""The README's first command, shrunk: every verb in a row, then again."""

import json
import os
import pathlib
import subprocess
import sys

import pydicom

ROOT = pathlib.Path(__file__).parents[1]
SMALLER = """
import tiny
from configs import quickstart


def get_config():
  full = quickstart.get_config()
  before = '\\n'.join(full.before)
  for large, small in (
    ('--studies=120', '--studies=24'),
    ('--frames=8', '--frames=4'),
    ('--size=64', '--size=32'),
  ):
    before = before.replace(large, small)
  after, dir = full.after, full.data.dir
  config = tiny.shrink(full, dir, num_steps=2)
  config.before, config.after = tuple(before.split('\\n')), after
  return config
"""


def test_one_command_goes_all_the_way_and_resumes(tmp_path):
  config, workdir = tmp_path / 'smaller.py', tmp_path / 'run'
  config.write_text(SMALLER)
  words = [f'--config={config}', f'--workdir={workdir}']
  for _ in range(2):
    found = subprocess.run(
      [sys.executable, '-m', 'echogan_jax.main', *words],
      cwd=ROOT,
      env=os.environ | {'PYTHONPATH': str(ROOT / 'tests')},
      capture_output=True,
      text=True,
    )
    assert found.returncode == 0, found.stderr
    last = found.stdout.splitlines()[-1]
    assert pathlib.Path(last) == (workdir / 'report.html').resolve()
    assert 'Traceback' not in found.stderr
  page = (workdir / 'report.html').read_text()
  assert page.count('<svg') == 1 and 'data:image/gif' in page
  values = json.loads((workdir / 'eval/test/metrics.json').read_text())
  assert {'psnr/enhanced', 'ssim/enhanced', 'gcnr/target'} <= set(
    values['metrics']
  )
  clip = pydicom.dcmread(workdir / 'enhanced' / 'clip.dcm')
  assert clip.NumberOfFrames == 24 and clip.ImageType[0] == 'DERIVED'
  steps = (workdir / 'metrics.jsonl').read_text().splitlines()
  assert len(steps) == 2  # the second time found nothing left to train
