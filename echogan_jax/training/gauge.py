"""How fast a config trains and enhances here, and what that is a share of."""

import itertools
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from echogan_jax.models.convolution import form
from echogan_jax.training import built, parallel, rng
from echogan_jax.training.enhancer import translator

_FRAMES = 32  # a clip
_PATIENCE = 2.0  # seconds that a round should last at least


def measure(config: ConfigDict, *, rounds: int = 5) -> dict[str, Any]:
  """Train for a while, from the start, and measure.

  The step is timed on one batch that stays, in turn with batches as they
  come; medians over the rounds.

  Args:
    config: whose `data.dir` has frames.
    rounds: of each kind.

  Returns:
    the keys of `benchmark` in the contract; units are seconds and bytes.
    `flop_per_step` counts the convolutions as sums, not by the form they are
    computed in; `share_of_peak` is of the largest product of matrices
    measured in the same process. `idle_share` is the part of a step that the
    device waits for input.

  Raises:
    BadInput: the config or its data cannot be used.
  """
  made = built.build(config)
  mode, batch_size = config.parallel.mode, config.data.batch_size
  batches = made.batches(start_step=0, share=parallel.share())
  first = next(batches)
  now = parallel.place(made.create(), mode)
  key = parallel.place(rng.stream(rng.root(config.seed), 'train'), mode)
  flop = count(made.step, now, first, key)

  def steps(now: Any, source: Any, number: int) -> tuple[Any, float]:
    began = time.perf_counter()
    for batch in itertools.islice(source, number):
      now, _ = made.run(now, [batch], key)
    jax.block_until_ready(now)
    return now, (time.perf_counter() - began) / number

  held = itertools.repeat(first)
  now, cold = steps(now, held, 1)
  now, warm = steps(now, held, 1)
  number = max(1, round(_PATIENCE / warm))
  kept, fresh = [], []
  for _ in range(rounds):
    for source, times in ((held, kept), (batches, fresh)):
      now, seconds = steps(now, source, number)
      times.append(seconds)
  seconds, peak = statistics.median(kept), matrix_peak(config.model.dtype)
  used = 1 if mode == 'single' else jax.device_count()
  return {
    'device': jax.devices()[0].device_kind,
    'devices': used,
    'seconds_per_step': seconds,
    'spread': [min(kept), max(kept)],
    'pairs_per_second': batch_size / seconds,
    'frames_per_second': _enhance(made, now, config.data.size),
    'compile_seconds': max(cold - seconds, 0.0),
    'peak_memory_bytes': _memory(),
    'flop_per_step': flop,
    'matrix_peak': peak,
    'share_of_peak': flop / seconds / peak / used,
    'input_pairs_per_second': _input(batches, batch_size),
    'idle_share': max(0.0, 1 - seconds / statistics.median(fresh)),
  }


def count(call: Callable, *args: Any) -> float:
  """Return the floating-point operations of a call: nothing is compiled."""
  with form('plain'):
    # a function of its own, so that no other trace of it is taken for this
    lowered = jax.jit(lambda *args: call(*args)).lower(*args)
  return float(lowered.cost_analysis()['flops'])


def matrix_peak(dtype: str) -> float:
  """Measure the fastest product of matrices: operations in a second."""
  side = 2048 if jax.default_backend() == 'cpu' else 8192
  matrix = jnp.ones((side, side), dtype)
  product = jax.jit(jnp.matmul)
  product(matrix, matrix).block_until_ready()
  times = []
  for _ in range(10):
    began = time.perf_counter()
    product(matrix, matrix).block_until_ready()
    times.append(time.perf_counter() - began)
  return 2 * side**3 / min(times)


def _enhance(made: built.Built, now: Any, size: int) -> float:
  frames = np.zeros((_FRAMES, size, size), np.uint8)
  inside = np.ones((size, size), bool)
  translate, own = translator(made.models), jax.device_get(now.ema['enhance'])
  translate(own, frames, inside)
  times = []
  for _ in range(3):
    began = time.perf_counter()
    translate(own, frames, inside)
    times.append(time.perf_counter() - began)
  return _FRAMES / statistics.median(times)


def _input(batches: Any, batch_size: int) -> float:
  """Return how many pairs come in a second when nothing else is done."""
  for _ in itertools.islice(batches, 8):  # what had been prepared
    pass
  began, number = time.perf_counter(), 0
  while number < 50 or time.perf_counter() - began < _PATIENCE:
    next(batches)
    number += 1
  return number * batch_size / (time.perf_counter() - began)


def _memory() -> int:
  stats = jax.local_devices()[0].memory_stats() or {}
  if 'peak_bytes_in_use' in stats:
    return stats['peak_bytes_in_use']
  most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return most * (1 if sys.platform == 'darwin' else 1024)
