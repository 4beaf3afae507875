"""An experiment, which is data, becomes the commands that a person types.

A module of this folder is an experiment if it has `VARIANTS`: by name, which
keys of the config a variant sets, where the key `config` names another file
of configs/ than `BASE`. It may have `BASE` ('cyclegan'), `SEEDS` (0, 1, 2) and
`PREPARE`: by variant, the commands that make its data, in which {output} is
the experiment's folder, and {phantom} and {data} are the variant's own;
`HOLDOUT`: the commands that make the data {holdout_data} and their truth
{holdout} that all variants are evaluated on, instead of their own; `METRICS`:
the columns of its table; `finish(runs, split, output)`: what is made of all.

A variant with the key `method` is no training: a filter that is evaluated.
"""

import contextlib
import importlib
import json
import pathlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from echogan_jax.command import BadInput
from echogan_jax.data import manifest
from echogan_jax.training import recipe
from experiments import small

_HOLDOUT = ('{holdout}', '{holdout_data}')
_HERE = pathlib.Path(__file__).parent
Words = tuple[str, ...]  # of one command


class Source(NamedTuple):
  """The data of a run: what `ingest` wrote, its truth, what makes both."""

  data: pathlib.Path
  truth: pathlib.Path | None
  prepare: tuple[Words, ...] = ()
  judged: pathlib.Path | None = None  # what is evaluated on, if not the data

  def evaluation(self, split: str) -> Words:
    """Return the flags of evaluate that say on what."""
    data = self.judged or self.data
    truth = [f'--truth={self.truth}'] if self.truth else []
    return (f'--data={data}', f'--split={split}', *truth)


class Run(NamedTuple):
  """One variant trained from one seed."""

  variant: str
  seed: int
  file: str  # of configs/
  overrides: dict[str, Any]
  config: ConfigDict  # with the overrides
  workdir: pathlib.Path
  source: Source

  def commands(self, split: str) -> tuple[Words, Words]:
    """Return what trains, and what evaluates on a split."""
    train = (
      *('python', '-m', 'echogan_jax.main'),
      *(f'--config=configs/{self.file}.py', f'--workdir={self.workdir}'),
      *(f'--config.{key}={value}' for key, value in self.overrides.items()),
    )
    evaluate = (
      *('python', '-m', 'echogan_jax.evaluate', f'--workdir={self.workdir}'),
      *self.source.evaluation(split),
    )
    return train, evaluate

  def found(self, split: str) -> dict[str, float] | None:
    """Return the metrics of the finished run, None before.

    Those of another step, config or data than asked for do not count.
    """
    path = self.workdir / 'eval' / split / 'metrics.json'
    with contextlib.suppress(OSError, ValueError, BadInput):
      measured = json.loads(path.read_text(encoding='utf-8'))
      digest = manifest.fingerprint(self.source.data)
      asked = self.config.to_dict() | {'data_sha256': digest}
      recipe.check(self.workdir, asked)
      judged = self.source.judged
      same = not judged or measured['data_sha256'] == manifest.fingerprint(
        judged
      )
      if same and measured['step'] == self.config.train.num_steps:
        return measured['metrics']
    return None

  @property
  def failure(self) -> pathlib.Path:
    """Where it is noted that a command of this run failed."""
    return self.workdir.with_name(f'{self.workdir.name}.failed')


class Rival(NamedTuple):
  """What is only evaluated: a filter, or a network that lies in a workdir."""

  variant: str
  workdir: pathlib.Path  # where its metrics go
  source: Source
  trained: pathlib.Path | None = None
  seed: int = 0

  def commands(self, split: str) -> tuple[Words]:
    """Return what evaluates it on a split."""
    what = f'--method={self.variant}'
    if self.trained:
      what = f'--workdir={self.trained}'
    words = ('python', '-m', 'echogan_jax.evaluate', what)
    place = self.workdir / 'eval' / split
    return ((*words, *self.source.evaluation(split), f'--output={place}'),)

  def found(self, split: str) -> dict[str, float] | None:
    """Return its metrics on these data, None before."""
    path = self.workdir / 'eval' / split / 'metrics.json'
    with contextlib.suppress(OSError, ValueError, KeyError, BadInput):
      measured = json.loads(path.read_text(encoding='utf-8'))
      digest = recipe.sha256(self.trained) if self.trained else ''
      same = manifest.fingerprint(self.source.data) == measured['data_sha256']
      if same and measured['config_sha256'] == digest:
        return measured['metrics']
    return None

  @property
  def failure(self) -> pathlib.Path:
    """Where it is noted that its evaluation failed."""
    return self.workdir.with_name(f'{self.workdir.name}.failed')


def names() -> list[str]:
  """Return the names of the experiments."""
  paths = sorted(_HERE.glob('*.py'))
  return [p.stem for p in paths if '\nVARIANTS = ' in p.read_text('utf-8')]


def load(name: str) -> Any:
  """Return the module of an experiment.

  Raises:
    BadInput: there is none of this name.
  """
  if name not in names():
    raise BadInput(f'no experiment {name!r}: choose {", ".join(names())}')
  return importlib.import_module(f'experiments.{name}')


def make(
  name: str,
  output: pathlib.Path,
  *,
  seeds: Sequence[int] = (),
  variants: Sequence[str] = (),
  source: Source | None = None,
  settings: Mapping[str, Any] | None = None,
) -> list[Run | Rival]:
  """Return every run of an experiment, seed by seed.

  Args:
    name: of the experiment.
    output: its folder.
    seeds: by default those of the experiment.
    variants: by default all.
    source: data to train on at full scale; by default it is made here, at
      the laptop scale.
    settings: keys of the config to set in every run, the last word.

  Raises:
    BadInput: a name, a key or a value is unknown.
  """
  module = load(name)
  unknown = set(variants) - set(module.VARIANTS)
  if unknown:
    raise BadInput(
      f'{name} has no variant {", ".join(sorted(unknown))}: choose '
      f'{", ".join(module.VARIANTS)}'
    )
  if source and hasattr(module, 'PREPARE'):
    raise BadInput(f'{name} makes its own data: leave --data out')
  runs = []
  for seed in seeds or getattr(module, 'SEEDS', (0, 1, 2)):
    for variant in variants or module.VARIANTS:
      used = source or _source(module, variant, output)
      given = dict(module.VARIANTS[variant])
      if 'method' in given:
        runs.append(Rival(given['method'], output / variant, used))
        continue
      file = given.pop('config', getattr(module, 'BASE', 'cyclegan'))
      overrides = {} if source else dict(small.OVERRIDES)
      overrides |= given | {'seed': seed, 'data.dir': str(used.data)}
      overrides |= settings or {}
      config = resolve(file, overrides)
      workdir = output / variant / f'seed_{seed}'
      runs.append(Run(variant, seed, file, overrides, config, workdir, used))
  return runs


def resolve(file: str, overrides: Mapping[str, Any]) -> ConfigDict:
  """Return a config of configs/ with keys set.

  Raises:
    BadInput: the file, a key or the type of a value is wrong.
  """
  try:
    config = importlib.import_module(f'configs.{file}').get_config().lock()
    config.update_from_flattened_dict(overrides)
  except (LookupError, AttributeError, TypeError, ImportError) as error:
    reason = str(error.args[0]).replace('\\', '')
    raise BadInput(f'configs/{file}.py: {reason}') from error
  return config


def _source(module: Any, variant: str, output: pathlib.Path) -> Source:
  """Return what is made at the laptop scale, shared unless a variant's own."""
  lines, folder = small.PREPARE, output.parent / 'small'
  if hasattr(module, 'PREPARE'):
    lines, folder = module.PREPARE[variant], output / variant
  lines = (*lines, *getattr(module, 'HOLDOUT', ()))
  places = {
    '{output}': str(output),
    '{phantom}': str(folder / 'phantom'),
    '{data}': str(folder / 'data'),
    **{mark: str(output / mark.strip('{}')) for mark in _HOLDOUT},
  }
  prepare = []
  for line in lines:
    words = shlex.split(line)
    for mark, place in places.items():
      words = [word.replace(mark, place) for word in words]
    prepare.append(('python', '-m', *words))
  truth, judged = folder / 'phantom', None
  if hasattr(module, 'HOLDOUT'):
    truth, judged = (pathlib.Path(places[p]) for p in _HOLDOUT)
  return Source(folder / 'data', truth, tuple(prepare), judged)
