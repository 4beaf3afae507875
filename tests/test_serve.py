"""The page of `serve`, as a person uses it and as an attacker would."""

import http.client
import importlib.util
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import browser
import clinic
import numpy as np
import pydicom
import pytest

from echogan_jax import serve
from echogan_jax.command import BadInput
from echogan_jax.data import dicom, sector

ROOT = pathlib.Path(__file__).parents[1]
# the program, and on stderr every address that it wants
WATCHED = """
import runpy, sys
asks = ('socket.connect', 'socket.bind', 'socket.sendto', 'socket.getaddrinfo')
def hook(event, args):
  if event in asks:
    print('ASKED', event, *args[-1:], file=sys.stderr, flush=True)
sys.addaudithook(hook)
sys.argv[:] = ['serve', *sys.argv[1:]]
runpy.run_module('echogan_jax.serve', run_name='__main__')
"""
PRYING = (
  '/gradio_api/file=/etc/passwd',
  '/gradio_api/file=..%2f..%2f..%2fetc/passwd',
  '/gradio_api/file=http://192.0.2.1/',
  '/gradio_api/file/etc/passwd',
  '/gradio_api/proxy=http://192.0.2.1/',
  '/gradio_api/openapi.json',
  '/monitoring',
  '/docs',
)
ALERT = 'document.querySelector("#words [role=alert]")'
VIEWER = 'document.querySelector(".viewer")'
GREY = """(() => {
  const canvas = document.querySelector('.viewer canvas');
  const {width, height} = canvas;
  const rgb = canvas.getContext('2d').getImageData(0, 0, width, height).data;
  return [height, width, ...rgb.filter((_, n) => n % 4 === 0)];
})()"""


@pytest.fixture(scope='module')
def served(workdir, tmp_path_factory):
  """Start the verb; yield its address. At the end it must leave nothing."""
  folder = tmp_path_factory.mktemp('served')
  said = folder / 'stderr'
  with said.open('w') as stderr:
    process = subprocess.Popen(
      [sys.executable, '-c', WATCHED, f'--workdir={workdir}', '--port=0'],
      cwd=folder,
      env=os.environ | {'PYTHONPATH': str(ROOT), 'TMPDIR': str(folder)},
      stdout=subprocess.PIPE,
      stderr=stderr,
      text=True,
    )
  try:
    line = process.stdout.readline()
    assert line.startswith('http://127.0.0.1:'), said.read_text()
    yield line.split()[0]
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
  finally:
    process.kill()
    process.communicate()
  words = said.read_text()
  asked = set(re.findall('ASKED (.*)', words))
  # urllib3 tries at its import whether this machine has IPv6
  own = {"socket.bind ('127.0.0.1', 0)", "socket.bind ('::1', 0)"}
  assert asked <= own, asked - own
  assert 'Traceback' not in words and 'Erika' not in words
  # no upload, and no file by which ONNX Runtime knows us again
  assert list(folder.iterdir()) == [said]


@pytest.fixture(scope='module')
def tab(served, tmp_path_factory):
  with browser.opened(tmp_path_factory.mktemp('browser')) as found:
    found.size(1280, 800)
    found.open(served)
    found.wait('document.querySelector("#clip input[type=file]")')
    yield found


def start(tab, path):
  """Drop a file in place of the one before, and press Start."""
  tab.run('document.querySelector("#clip [aria-label=Clear]")?.click()')
  tab.wait('document.querySelector("#clip input[type=file]")')
  tab.choose('#clip input[type=file]', path)
  tab.wait(
    '/[KM]?B/.test(document.querySelector("#clip .file-preview")?.innerText)'
  )
  tab.run('document.querySelector("#start").click()')


def seen(tab, wipe):
  """Return what the canvas shows with the wipe at a percentage."""
  tab.run(
    f'(() => {{ const wipe = {VIEWER}.querySelector(".wipe input");'
    f'wipe.value = {wipe}; wipe.oninput(); }})()'
  )
  height, width, *grey = tab.run(GREY)
  return np.array(grey, np.float64).reshape(height, width)


def step(tab, key, expected):
  """Press an arrow key on the canvas and wait for the frame."""
  tab.run(f'{VIEWER}.querySelector("canvas").focus()')
  tab.press(key)
  tab.wait(f'{VIEWER}.dataset.frame === "{expected}"')


def cut(frames, clip):
  """Return what the page shows of frames: the sector's part, black outside."""
  place = sector.find(clip)
  xs, ys = zip(*place.polygon, strict=True)
  window = np.s_[:, min(ys) : max(ys) + 1, min(xs) : max(xs) + 1]
  return np.where(place.mask(), frames, 0)[window].astype(np.float64)


def test_a_clip_is_dropped_watched_and_taken_home(tab, phantom, tmp_path):
  original = next(phantom.rglob('*.dcm'))
  named = tmp_path / 'Muster_Erika.dcm'
  named.write_bytes(original.read_bytes())
  clip = dicom.read(original)
  start(tab, named)
  tab.wait(f'{VIEWER}.dataset.ready', 60)
  assert tab.run('document.querySelector("#words").innerText').startswith(
    f'{len(clip.times)} frames of '
  )
  tab.run(f'{VIEWER}.querySelector(".play").click()')
  tab.wait(f'{VIEWER}.querySelector(".play").textContent === "Play"')
  tab.run(f'{VIEWER}.querySelector(".seek").value = 0')
  tab.run(f'{VIEWER}.querySelector(".seek").oninput()')
  tab.wait(f'{VIEWER}.dataset.frame === "0"')
  step(tab, 'ArrowRight', 1)
  time.sleep(0.2)
  before, after = seen(tab, 100), seen(tab, 0)
  half = seen(tab, 50)

  tab.run('document.querySelector("#result").click()')
  result = tab.folder / 'enhanced.dcm'
  end = time.monotonic() + 20
  while not result.exists() and time.monotonic() < end:
    tab.run('1')
    time.sleep(0.1)
  made = pydicom.dcmread(result)
  assert made.ImageType[0] == 'DERIVED' and made.SyntheticData == 'YES'
  assert made.PatientName != pydicom.dcmread(original).PatientName

  for shown, frames in ((before, clip.grey), (after, made.pixel_array)):
    wanted = cut(frames, clip)
    near = shown[: wanted.shape[1], : wanted.shape[2]]
    errors = np.abs(wanted - near).mean(axis=(1, 2))
    assert errors.argmin() == 1 and errors[1] < 4, errors
  assert np.abs(before - after).mean() > 1
  middle = before.shape[1] // 2
  np.testing.assert_array_equal(half[:, : middle - 1], before[:, : middle - 1])
  np.testing.assert_array_equal(half[:, middle + 1 :], after[:, middle + 1 :])

  box = tab.run(
    f'(({{x, y, width, height}}) => [x, y, width, height])('
    f'{VIEWER}.querySelector("canvas").getBoundingClientRect())'
  )
  x, y, width, height = box
  row = y + height / 2
  tab.drag((x + width / 2, row), (x + width / 4, row))
  moved = float(tab.run(f'{VIEWER}.querySelector(".wipe input").value'))
  assert moved == pytest.approx(25, abs=1)

  tab.press('c')
  assert tab.run(f'{VIEWER}.querySelector(".changed").checked')
  assert 'not evaluated' in tab.run(
    f'{VIEWER}.querySelector(".legend").innerText'
  )
  tab.picture(tmp_path / 'desktop.png')
  tab.size(390, 844, mobile=True)
  assert tab.run('document.documentElement.scrollWidth') <= 390
  tab.picture(tmp_path / 'phone.png')
  tab.size(1280, 800)


def test_what_is_no_clip_is_said_in_a_sentence(tab, tmp_path):
  path = tmp_path / 'Beispiel_Erika.dcm'
  path.write_text('no DICOM at all')
  start(tab, path)
  tab.wait(f'{ALERT}?.innerText.length')
  line = tab.run(f'{ALERT}.innerText')
  assert line.endswith('.') and 'Traceback' not in line
  assert 'Erika' not in line and '/' not in line
  assert tab.run(f'{VIEWER}.hidden')
  assert not tab.run('document.querySelector("#result")?.offsetParent')


def test_a_clip_of_another_modality_is_refused(tab, tmp_path):
  path = tmp_path / 'clip.dcm'
  clinic.write_clip(path, 1, Modality='CT')
  start(tab, path)
  tab.wait(f'{ALERT}?.innerText.includes("not_ultrasound")')


def test_the_page_asks_nobody_else_and_complains_of_nothing(tab, served):
  asked = [u for u in tab.requests if not u.startswith(('data:', 'blob:'))]
  assert asked and all(url.startswith(served) for url in asked)
  assert tab.errors == []


def answer(served, method, path, **headers):
  """Return the status that a request gets."""
  asked = http.client.HTTPConnection(served.removeprefix('http://'))
  asked.request(method, path, headers=headers)
  status = asked.getresponse().status
  asked.close()
  return status


def test_nothing_but_the_page_can_be_fetched(served):
  assert answer(served, 'GET', '/') == 200
  for path in PRYING:
    assert answer(served, 'GET', path) == 403, path


def test_no_other_site_can_use_the_page(served):
  assert answer(served, 'GET', '/config', Host='evil.example') == 403
  foreign = {'Origin': 'http://evil.example'}
  assert answer(served, 'POST', '/gradio_api/queue/join', **foreign) == 403
  assert answer(served, 'POST', '/gradio_api/run/begin') == 403
  assert answer(served, 'PUT', '/') == 403


def test_what_is_missing_is_one_line(workdir, tmp_path, monkeypatch):
  with pytest.raises(BadInput, match='does not exist'):
    serve.main([f'--workdir={tmp_path}/none', '--port=0'])
  with pytest.raises(BadInput, match='config.json'):
    serve.main([f'--workdir={tmp_path}', '--port=0'])
  with socket.create_server(('127.0.0.1', 0)) as taken:
    port = taken.getsockname()[1]
    with pytest.raises(BadInput, match=f'--port={port}: .*choose another'):
      serve.main([f'--workdir={workdir}', f'--port={port}'])
  with pytest.raises(BadInput, match='--port=70000'):
    serve.main([f'--workdir={workdir}', '--port=70000'])
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(BadInput, match=r"pip install 'echogan_jax\[serve\]'"):
    serve.main([f'--workdir={workdir}', '--port=0'])
