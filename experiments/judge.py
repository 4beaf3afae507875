"""Make the judge of evaluation from nothing, and say how well it reads.

  python -m experiments.judge --output=judge.npz

simulates patients of its own, trains and writes the file that
`echogan_jax.evaluation.judge.load` takes. The package ships the one that
configs/judge.py describes. Run from the repository root.
"""

import functools
import json
import pathlib
from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from configs import judge as recipe
from echogan_jax import command
from echogan_jax.command import BadInput
from echogan_jax.data import files
from echogan_jax.evaluation import judge
from echogan_jax.training import judge as training

_EVERY = 50  # steps between what is printed


def main(argv: Sequence[str]) -> None:
  """Simulate, train, examine on patients held out, write."""
  config = recipe.get_config()
  parser = command.parser('', __doc__)
  parser.prog = 'python -m experiments.judge'
  parser.add_argument('--output', type=pathlib.Path, default='judge.npz')
  parser.add_argument('--patients', type=int, default=config.patients)
  parser.add_argument('--steps', type=int, default=config.train.steps)
  flags = parser.parse_args(argv)
  config.patients, config.train.steps = flags.patients, flags.steps
  if min(flags.patients, flags.steps) < 1:
    raise BadInput('--patients and --steps start at 1')
  learned = training.simulate(
    config.patients, seed=config.seed, frames=config.frames, size=config.size
  )
  params = training.train(learned, **config.model, **config.train, report=_tell)
  card = {'config': config.to_dict()}
  made = judge.assemble(judge.pack(params, training.FINDINGS, card))
  card['held_out'] = _examined(made, config)
  files.write_npz(flags.output, judge.pack(params, training.FINDINGS, card))
  made = judge.load(flags.output)
  print(json.dumps(made.card['held_out'], indent=2))
  print(f'{flags.output}: SHA-256 {made.sha256}')


def _examined(
  made: judge.Judge, config: ConfigDict
) -> dict[str, dict[str, float]]:
  """Return how well a judge reads other patients, well and badly seen."""
  held_out, frames = config.held_out, config.frames
  other = training.simulate(
    held_out.patients, seed=held_out.seed, frames=frames, size=held_out.size
  )
  truth = judge.Drawn(other.tissues, other.findings.astype(np.float64))
  examine = functools.partial(
    judge.examine, made.read, truth=truth, findings=made.findings, beat=frames
  )
  return {
    'clean': examine(other.clean, other.inside),
    'degraded': examine(other.degraded, other.inside),
  }


def _tell(step: int, parts: dict[str, float]) -> None:
  if step % _EVERY == 0:
    said = (f'{name} {value:.3f}' for name, value in parts.items())
    print(step, *said, flush=True)


if __name__ == '__main__':
  command.run(main)
