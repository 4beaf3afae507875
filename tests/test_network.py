"""No verb opens a network port or fetches anything at run time."""

import socket

import pytest
import tiny

from echogan_jax import (
  enhance,
  evaluate,
  export,
  import_torch,
  ingest,
  phantom,
  report,
)
from echogan_jax.training import loop

_ASKING = ('connect', 'connect_ex', 'bind', 'listen', 'sendto', 'sendmsg')


@pytest.fixture
def tried(monkeypatch):
  """Refuse every way out of the machine, and record who tried one."""
  found = []

  def refuse(name, original=None):
    def ask(*args, **options):
      mine = args and isinstance(args[0], socket.socket)
      if mine and args[0].family == socket.AF_UNIX:  # other processes of ours
        return original(*args, **options)
      found.append((name, args[1:] if mine else args))
      raise OSError(f'{name}: no network here')

    return ask

  for name in _ASKING:
    asked = refuse(name, getattr(socket.socket, name))
    monkeypatch.setattr(socket.socket, name, asked, raising=False)
  for name in ('create_connection', 'getaddrinfo', 'gethostbyname'):
    monkeypatch.setattr(socket, name, refuse(name))
  return found


def test_the_guard_sees_who_asks(tried):
  with socket.socket() as one, pytest.raises(OSError, match='no network'):
    one.connect(('127.0.0.1', 9))
  with pytest.raises(OSError, match='no network'):
    socket.create_connection(('localhost', 9))
  assert [name for name, _ in tried] == ['connect', 'create_connection']


def test_no_verb_asks_the_network(tried, tmp_path):
  studies, data = tmp_path / 'studies', tmp_path / 'data'
  run, out = tmp_path / 'run', tmp_path / 'enhanced'
  made = ['--studies=16', '--seed=3', '--size=64', '--frames=3', '--workers=1']
  phantom.main([f'--output={studies}', *made])
  taken = [f'--input={studies}', f'--output={data}', '--size=32']
  ingest.main([*taken, '--workers=1'])
  loop.train(tiny.config(data, num_steps=2), run)
  few = ['--frames=2', '--perceptual=1', '--clips=0', '--probes=0']
  asked = [f'--workdir={run}', f'--data={data}', f'--truth={studies}']
  evaluate.main([*asked, '--split=all', *few, '--pictures=1'])
  clip = next(studies.rglob('*.dcm'))
  enhance.main([f'--workdir={run}', f'--input={clip}', f'--output={out}.gif'])
  report.main([f'--workdir={run}'])
  assert (run / 'report.html').is_file()
  for suffix in ('pth', 'stablehlo'):
    export.main([f'--workdir={run}', f'--output={run}.{suffix}'])
  again = tmp_path / 'again'
  import_torch.main([f'--generator={run}.pth', f'--workdir={again}'])
  assert tried == []
