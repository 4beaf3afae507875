"""Whole programs, killed or told to stop, end in the same bits."""

import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from echogan_jax import ingest

ROOT = pathlib.Path(__file__).parents[1]
STEPS, EVALUATED = 60, 20
FLAGS = (
  f'--config.train.num_steps={STEPS}',
  '--config.train.log_every=4',
  '--config.checkpoint.every=3',
  f'--config.eval.every={EVALUATED}',
  '--config.eval.perceptual=0',
)
# what is sent, and when: while it starts, steps, saves or evaluates
MOMENTS = (
  *[(signal.SIGKILL, when) for when in ('steps', 'save', 'evaluation')] * 2,
  (signal.SIGTERM, 'start'),
  (signal.SIGKILL, 'start'),
  (signal.SIGTERM, 'steps'),
  (signal.SIGINT, 'evaluation'),
  (signal.SIGKILL, 'save'),
  (signal.SIGKILL, 'evaluation'),
  (signal.SIGKILL, 'steps'),
)
NICE = 30  # seconds that a polite end may take


@pytest.fixture(scope='module')
def data(phantom, tmp_path_factory):
  """Ingest with patients to validate on."""
  folder = tmp_path_factory.mktemp('endurance') / 'data'
  flags = [f'--input={phantom}', f'--output={folder}', '--size=32']
  ingest.main([*flags, '--workers=1', '--validation=0.3'])
  return folder


def start(data, workdir, *flags, devices=2):
  """Start training as a person does."""
  words = [f'--workdir={workdir}', f'--config.data.dir={data}', *FLAGS, *flags]
  many = f'{os.environ["XLA_FLAGS"]} --xla_force_host_platform_device_count='
  return subprocess.Popen(
    [sys.executable, '-m', 'echogan_jax.main']
    + ['--config=tests/shrunk.py', *words],
    cwd=ROOT,
    env=os.environ
    | {'PYTHONPATH': f'{ROOT / "tests"}', 'XLA_FLAGS': f'{many}{devices}'},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def ended(process, status=0):
  """Wait for a program's end; return what it said."""
  said, problems = process.communicate(timeout=300)
  assert process.returncode == status, problems[-2000:]
  return said


def outcome(workdir):
  """Return what must be the same: hashes of all state, and the log's bytes."""
  last = workdir / 'checkpoints' / str(STEPS)
  note = json.loads((last / 'note' / 'metadata').read_text())
  hashes = {name: note[name]['sha256'] for name in ('state', 'ema')}
  return hashes, (workdir / 'metrics.jsonl').read_bytes()


def lines(workdir):
  path = workdir / 'metrics.jsonl'
  found = path.read_bytes().splitlines() if path.exists() else []
  return [json.loads(line) for line in found if line.endswith(b'}')]


def reached(workdir, when, since):
  """Return whether a run is at such a moment."""
  found = lines(workdir)
  if when == 'save':
    return any((workdir / 'checkpoints').glob('*.orbax-checkpoint-tmp*'))
  if when == 'evaluation':
    due = found and found[-1]['step'] % EVALUATED == 0
    return due and not any(key.startswith('eval/') for key in found[-1])
  return len(found) > since


def disturb(process, workdir, number, when, chance):
  """Send a signal at a moment; return whether it came before the end."""
  since, begun = len(lines(workdir)), time.monotonic()
  wait = chance.uniform(2, 12) if when == 'start' else chance.uniform(0, 0.3)
  while process.poll() is None:
    if when == 'start' and time.monotonic() > begun + wait:
      break
    if when != 'start' and reached(workdir, when, since):
      time.sleep(0 if when == 'save' else wait)
      break
    time.sleep(0.001)
  if process.poll() is not None:
    return False
  process.send_signal(number)
  sent = time.monotonic()
  if number == signal.SIGKILL:
    process.wait()
    return process.returncode == -number
  said = ended(process)
  assert time.monotonic() - sent < NICE
  assert 'the same command goes on' in said or (workdir / 'finished').exists()
  return True


@pytest.fixture(scope='module')
def whole(data, tmp_path_factory):
  """Train without a stop."""
  workdir = tmp_path_factory.mktemp('whole') / 'run'
  assert f'at step {STEPS}' in ended(start(data, workdir))
  assert (workdir / 'finished').exists()
  return workdir


def survive(data, workdir, moments, seed, *flags):
  """Run to the end through all disturbances; return how many were kills."""
  chance, kills = random.Random(seed), 0
  for number, when in moments:
    process = start(data, workdir, *flags)
    came = disturb(process, workdir, number, when, chance)
    kills += came and number == signal.SIGKILL
    if (workdir / 'finished').exists():
      break
  ended(start(data, workdir, *flags))
  assert not list((workdir / 'checkpoints').glob('*tmp*'))
  return kills


def endure(data, workdir, expected, moments, kills, *flags):
  """Check as many runs as so many kills take: a lucky one ends early."""
  came = 0
  while came < kills:
    shutil.rmtree(workdir, ignore_errors=True)
    came += survive(data, workdir, moments, came, *flags)
    assert outcome(workdir) == expected


def test_twenty_steps_and_more_are_the_same_in_another_process(
  whole, data, tmp_path
):
  ended(start(data, tmp_path))
  assert outcome(tmp_path) == outcome(whole)
  steps = [line['step'] for line in lines(whole)]
  assert steps == sorted({*range(4, STEPS + 1, 4), *range(20, STEPS + 1, 20)})
  evaluated = [
    line['step']
    for line in lines(whole)
    if any(key.startswith('eval/') for key in line)
  ]
  assert evaluated == list(range(EVALUATED, STEPS + 1, EVALUATED))


def test_no_kill_and_no_signal_changes_a_bit(whole, data, tmp_path):
  endure(data, tmp_path / 'parts', outcome(whole), MOMENTS, 5)


@pytest.mark.slow
@pytest.mark.parametrize('mode', ['single', 'pmap', 'sharded'])
def test_fifty_kills_in_every_mode(mode, data, tmp_path):
  flags = [f'--config.parallel.mode={mode}', '--config.data.batch_size=2']
  whole, parts = tmp_path / 'whole', tmp_path / 'parts'
  ended(start(data, whole, *flags))
  kills = [m for m in MOMENTS if m[0] == signal.SIGKILL and m[1] != 'start']
  endure(data, parts, outcome(whole), kills * 10, 50, *flags)


@pytest.mark.slow
def test_a_run_goes_on_in_other_modes_on_other_numbers_of_devices(
  data, tmp_path
):
  for steps, mode, devices in (
    (20, 'single', 1),
    (30, 'pmap', 2),
    (40, 'sharded', 4),
    (STEPS, 'single', 2),
  ):
    flags = [f'--config.parallel.mode={mode}', '--config.data.batch_size=4']
    flags += [f'--config.train.num_steps={steps}']
    said = ended(start(data, tmp_path, *flags, devices=devices))
    assert f'at step {steps}' in said
  found = [line['step'] for line in lines(tmp_path)]
  assert found == sorted({*range(4, STEPS + 1, 4)})


def both(data, workdir, *flags):
  """Start two processes that find each other on this machine."""
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    place = f'127.0.0.1:{free.getsockname()[1]}'
  flags = [*flags, f'--config.parallel.coordinator={place}']
  flags += ['--config.parallel.processes=2']
  return [
    start(data, workdir, *flags, f'--config.parallel.process={i}', devices=1)
    for i in range(2)
  ]


@pytest.mark.parametrize(
  'mode', ['sharded', pytest.param('pmap', marks=pytest.mark.slow)]
)
def test_two_processes_end_in_the_bits_of_one(mode, data, tmp_path):
  one, two = tmp_path / 'one', tmp_path / 'two'
  flags = [f'--config.parallel.mode={mode}', '--config.data.batch_size=2']
  ended(start(data, one, *flags))
  # told to stop, one of them takes the other along; then they go on
  pair = both(data, two, *flags)
  while len(lines(two)) < 2:
    assert pair[0].poll() is None and pair[1].poll() is None
    time.sleep(0.01)
  pair[1].send_signal(signal.SIGTERM)
  sent = time.monotonic()
  for process in pair:
    assert 'the same command goes on' in ended(process)
  assert time.monotonic() - sent < NICE
  assert not (two / 'finished').exists()
  # one is told before any has asked
  pair = both(data, two, *flags)
  while 'training on' not in pair[1].stdout.readline():
    assert pair[1].poll() is None
  pair[1].send_signal(signal.SIGTERM)
  for process in pair:
    assert 'the same command goes on' in ended(process)
  for process in both(data, two, *flags):
    ended(process)
  assert outcome(one) == outcome(two)
  assert (two / 'finished').exists()
