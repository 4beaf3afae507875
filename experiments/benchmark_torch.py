"""The training step and the enhancer beside PyTorch's, in turn, on one machine.

  pip install -e '.[torch]'
  python -m experiments.benchmark_torch --config=configs/cyclegan.py \
    [--config.KEY=VALUE ...] [--output=FILE.json] [--rounds=5] [--compiled=1]

A plain CycleGAN step as one writes it in PyTorch, channels last: the layers
and passes of `configs/cyclegan.py`, image pools, two Adam optimizers. On a GPU
with automatic mixed precision where the config says bfloat16. `--compiled=1`
gives it `torch.compile`. Ours also keeps the average of the weights, reads
uint8 and masks what is outside the sector. A B A B in one process; a ratio
above 1 says that ours is faster.
"""

import json
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from echogan_jax import command, configured

# both share the card
os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
_FRAMES = (1, 16)  # enhanced in one call


def main(argv: Sequence[str]) -> None:
  """Measure both, print and write the ratios."""
  if '--help' in argv:
    print(__doc__)
    return
  config, given = configured.read(argv, 'output', 'rounds', 'compiled')
  if config is None:
    raise command.BadInput('--config=FILE is needed')
  model = config.model
  kinds = model.generator, model.discriminator, model.resnet.up
  if kinds != ('resnet', 'patch70', 'deconv'):
    raise command.BadInput(f'{kinds}: only CycleGAN is written in PyTorch')
  try:
    sides = _Torch(config, compiled=bool(given['compiled'])), _Jax(config)
  except ImportError as error:
    raise command.BadInput(f'{error}: pip install -e .[torch]') from error
  rounds = int(given['rounds'] or 5)
  found: dict[str, Any] = {'device': sides[1].device, 'rounds': rounds}
  tasks = {'step': 'step'} | {f'enhance_{n}': n for n in _FRAMES}
  for name, task in tasks.items():
    theirs, ours = _in_turn([side.call(task) for side in sides], rounds)
    found[name] = {
      'torch': theirs,
      'jax': ours,
      'ratio': statistics.median(theirs) / statistics.median(ours),
    }
    print(
      f'{name:10s} torch {statistics.median(theirs):.4g} s, '
      f'jax {statistics.median(ours):.4g} s, ratio {found[name]["ratio"]:.2f}',
      flush=True,
    )
  if given['output']:
    path = pathlib.Path(given['output'])
    path.write_text(json.dumps(found, indent=2) + '\n', encoding='utf-8')


def _in_turn(
  calls: Sequence[Callable[[], None]], rounds: int
) -> list[list[float]]:
  """Return the seconds of each call, in rounds of about a second each."""
  numbers = []
  for call in calls:
    for _ in range(3):  # compilation, and what it left to do
      began = time.perf_counter()
      call()
    numbers.append(max(1, round(1 / (time.perf_counter() - began))))
  times: list[list[float]] = [[] for _ in calls]
  for _ in range(rounds):
    for call, number, own in zip(calls, numbers, times, strict=True):
      began = time.perf_counter()
      for _ in range(number):
        call()
      own.append((time.perf_counter() - began) / number)
  return times


class _Jax:
  """Ours, on a batch of noise."""

  def __init__(self, config: Any):
    import jax
    import numpy as np

    from echogan_jax.shapes import DOMAINS, Frames
    from echogan_jax.training import built, rng

    made = built.build(config)
    self._made, self._run = made, made.run
    self._now, self._key = made.create(), rng.root(0)
    self._size, random = config.data.size, np.random.default_rng(0)
    shape = (config.data.batch_size, self._size, self._size, 1)
    self._batch = {
      domain: Frames(
        random.integers(0, 256, shape, np.uint8), np.full(shape, 255, np.uint8)
      )
      for domain in DOMAINS
    }
    self._wait = jax.block_until_ready
    self.device = jax.devices()[0].device_kind

  def call(self, task: str | int) -> Callable[[], None]:
    """Return what does the task and waits for its end."""
    if task == 'step':
      return self._step
    import jax
    import jax.numpy as jnp

    generator = self._made.models.generator
    params = self._now.generators.params['enhance']
    x = jnp.zeros((task, self._size, self._size, 1))
    enhance = jax.jit(lambda p, x: generator.apply({'params': p}, x))
    return lambda: self._wait(enhance(params, x))

  def _step(self) -> None:
    self._now, metrics = self._run(self._now, [self._batch], self._key)
    self._wait((self._now, metrics))


class _Torch:
  """Theirs: idiomatic, with what their documentation says makes it fast."""

  def __init__(self, config: Any, *, compiled: bool):
    import torch

    self._torch = torch
    self._device = 'cuda' if torch.cuda.is_available() else 'cpu'
    self._mixed = config.model.dtype == 'bfloat16'
    torch.backends.cudnn.benchmark = True
    resnet, patch = config.model.resnet, config.model.patch70

    def placed(network: Any) -> Any:
      network = network.to(self._device, memory_format=torch.channels_last)
      return torch.compile(network) if compiled else network

    self._g = {
      d: placed(_generator(torch, resnet.features, resnet.blocks))
      for d in ('high', 'low')
    }
    self._d = {d: placed(_judge(torch, patch.features)) for d in self._g}
    self._size = config.data.size
    self._real = {d: self._noise(config.data.batch_size) for d in self._g}
    self._pool = {d: [] for d in self._g}
    self._pool_size = config.state.pool_size
    state, weights = config.state, config.losses
    self._cycle, self._same = weights.cycle.weight, weights.identity.weight
    self._adam = [
      torch.optim.Adam(
        [p for network in player.values() for p in network.parameters()],
        lr=state.learning_rate,
        betas=(state.beta1, state.beta2),
      )
      for player in (self._g, self._d)
    ]

  def _noise(self, count: int) -> Any:
    shape = (count, 1, self._size, self._size)
    noise = self._torch.rand(shape, device=self._device) * 2 - 1
    return noise.to(memory_format=self._torch.channels_last)

  def call(self, task: str | int) -> Callable[[], None]:
    """Return what does the task and waits for its end."""
    if task == 'step':
      return self._step
    x = self._noise(task)

    def enhance() -> None:
      with self._torch.inference_mode(), self._cast():
        self._g['high'](x)
      self._wait()

    return enhance

  def _cast(self) -> Any:
    return self._torch.autocast(
      self._device, self._torch.bfloat16, enabled=self._mixed
    )

  def _wait(self) -> None:
    if self._device == 'cuda':
      self._torch.cuda.synchronize()

  def _step(self) -> None:
    fake = self._move_generators()
    self._move_judges(fake)
    self._wait()

  def _move_generators(self) -> dict[str, Any]:
    absolute = self._torch.nn.functional.l1_loss
    real, other = self._real, {'high': 'low', 'low': 'high'}
    for network in self._d.values():
      network.requires_grad_(False)
    self._adam[0].zero_grad(set_to_none=True)
    with self._cast():
      fake = {d: self._g[d](real[other[d]]) for d in self._g}
      cycled = {d: self._g[d](fake[other[d]]) for d in self._g}
      same = {d: self._g[d](real[d]) for d in self._g}
      judged = {d: self._d[d](fake[d]) for d in self._g}
      loss = sum(
        ((judged[d] - 1) ** 2).mean()
        + self._cycle * absolute(cycled[d], real[d])
        + self._same * absolute(same[d], real[d])
        for d in self._g
      )
    loss.backward()
    self._adam[0].step()
    return {d: image.detach() for d, image in fake.items()}

  def _move_judges(self, fake: dict[str, Any]) -> None:
    for network in self._d.values():
      network.requires_grad_(True)
    self._adam[1].zero_grad(set_to_none=True)
    with self._cast():
      loss = sum(
        0.5
        * (
          ((self._d[d](self._real[d]) - 1) ** 2).mean()
          + (self._d[d](self._shown(d, fake[d])) ** 2).mean()
        )
        for d in self._d
      )
    loss.backward()
    self._adam[1].step()

  def _shown(self, domain: str, fake: Any) -> Any:
    """Return earlier fakes for half of these, as the original's pool."""
    pool, shown = self._pool[domain], []
    for image in fake.split(1):
      if len(pool) < self._pool_size:
        pool.append(image)
      elif self._torch.rand(()) < 0.5:
        place = int(self._torch.randint(len(pool), ()))
        pool[place], image = image, pool[place]
      shown.append(image)
    return self._torch.cat(shown)


def _generator(torch: Any, features: int, blocks: int) -> Any:
  nn = torch.nn

  class Block(nn.Module):
    def __init__(self, wide: int):
      super().__init__()
      pad, relu = nn.ReflectionPad2d(1), nn.ReLU(True)
      first, second = (nn.Conv2d(wide, wide, 3, bias=False) for _ in range(2))
      norms = (nn.InstanceNorm2d(wide) for _ in range(2))
      self.body = nn.Sequential(
        pad, first, next(norms), relu, pad, second, next(norms)
      )

    def forward(self, x: Any) -> Any:
      return x + self.body(x)

  def settled(layer: Any, wide: int) -> tuple[Any, ...]:
    return layer, nn.InstanceNorm2d(wide), nn.ReLU(True)

  f = features
  stem = nn.Conv2d(1, f, 7, bias=False)
  layers = [nn.ReflectionPad2d(3), *settled(stem, f)]
  for wide in (2 * f, 4 * f):
    down = nn.Conv2d(wide // 2, wide, 3, 2, 1, bias=False)
    layers += settled(down, wide)
  layers += [Block(4 * f) for _ in range(blocks)]
  for wide in (2 * f, f):
    up = nn.ConvTranspose2d(2 * wide, wide, 3, 2, 1, 1, bias=False)
    layers += settled(up, wide)
  layers += [nn.ReflectionPad2d(3), nn.Conv2d(f, 1, 7), nn.Tanh()]
  return nn.Sequential(*layers)


def _judge(torch: Any, features: int) -> Any:
  nn, before = torch.nn, 1
  layers: list[Any] = []
  for i, stride in enumerate((2, 2, 2, 1)):
    wide = features * 2**i
    layers.append(nn.Conv2d(before, wide, 4, stride, 1, bias=not i))
    layers += [nn.InstanceNorm2d(wide)] if i else []
    layers.append(nn.LeakyReLU(0.2, True))
    before = wide
  return nn.Sequential(*layers, nn.Conv2d(before, 1, 4, 1, 1))


if __name__ == '__main__':
  sys.path.insert(0, os.getcwd())
  command.run(main)
