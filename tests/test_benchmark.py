"""The benchmark verb: keys agree with each other and with the contract."""

import json

import pytest
import tiny

from echogan_jax import benchmark, command
from echogan_jax.training import gauge

KEYS = {
  'seconds_per_step',
  'pairs_per_second',
  'frames_per_second',
  'compile_seconds',
  'peak_memory_bytes',
  'flop_per_step',
  'share_of_peak',
  'input_pairs_per_second',
  'idle_share',
}
SHRUNK = '--config=tests/shrunk.py'


def test_what_is_measured_fits_together(ingested, tmp_path, monkeypatch):
  monkeypatch.setattr(gauge, '_PATIENCE', 0.05)
  found = gauge.measure(tiny.config(ingested), rounds=2)
  assert found.keys() > KEYS
  assert found['pairs_per_second'] == pytest.approx(
    tiny.config(ingested).data.batch_size / found['seconds_per_step']
  )
  assert found['share_of_peak'] == pytest.approx(
    found['flop_per_step'] / found['seconds_per_step'] / found['matrix_peak']
  )
  low, high = found['spread']
  assert low <= found['seconds_per_step'] <= high
  assert 0 <= found['idle_share'] < 1
  assert found['compile_seconds'] > found['seconds_per_step']
  assert found['peak_memory_bytes'] > 1e8


def test_the_verb_simulates_what_it_needs_and_writes_what_it_says(
  tmp_path, monkeypatch, capsys
):
  seen = []

  def measure(config):
    seen.append((config.data.dir, (tmp_path / config.data.dir).is_dir()))
    return {'seconds_per_step': 0.25, 'spread': [0.2, 0.3], 'device': 'cpu'}

  monkeypatch.setattr(gauge, 'measure', measure)
  output = tmp_path / 'speed.json'
  benchmark.main([SHRUNK, f'--output={output}'])
  (folder, there), *_ = seen
  assert there and folder.endswith('/data')
  said = capsys.readouterr().out
  assert '0.25' in said and '0.2 to 0.3' in said
  assert json.loads(output.read_text())['seconds_per_step'] == 0.25


@pytest.mark.parametrize(
  ('words', 'says'),
  [
    ([], '--config'),
    ([SHRUNK, '--output=/nowhere/at/all.json'], 'no such folder'),
    ([SHRUNK, '--config.data.sise=3'], 'Did you mean'),
    ([SHRUNK, 'here'], 'not a flag'),
  ],
)
def test_bad_input_is_named(words, says):
  with pytest.raises(command.BadInput, match=says):
    benchmark.main(words)
