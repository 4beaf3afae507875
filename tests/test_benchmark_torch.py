"""What the comparison with PyTorch says where it cannot be made."""

import functools
import sys

import pytest

from echogan_jax.command import BadInput
from experiments import benchmark_torch

SHRUNK = '--config=tests/shrunk.py'


class NoTorch:
  @staticmethod
  def find_spec(name, *_):
    if name == 'torch':
      raise ImportError('no torch')


@pytest.mark.parametrize(
  ('words', 'says'),
  [
    ([], '--config=FILE is needed'),
    ([SHRUNK, '--config.model.generator=unet'], 'only CycleGAN'),
    ([SHRUNK], r'pip install -e \.\[torch\]'),
  ],
)
def test_what_cannot_be_compared_is_one_line(words, says, monkeypatch):
  monkeypatch.delitem(sys.modules, 'torch', raising=False)
  monkeypatch.setattr(sys, 'meta_path', [NoTorch, *sys.meta_path])
  with pytest.raises(BadInput, match=says):
    benchmark_torch.main(words)


def test_calls_take_turns(monkeypatch):
  order, clock = [], iter(range(1000))
  calls = [functools.partial(order.append, name) for name in 'ab']
  monkeypatch.setattr(benchmark_torch.time, 'perf_counter', lambda: next(clock))
  times = benchmark_torch._in_turn(calls, 2)
  assert times == [[1.0, 1.0], [1.0, 1.0]]
  assert ''.join(order) == 'aaabbb' + 'abab'
