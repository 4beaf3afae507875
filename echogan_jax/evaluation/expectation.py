"""How much a network changes what on patients that it was measured on.

Where it changes a new patient more abruptly than that, something unusual
happened: perhaps the network invented, perhaps the patient is unusual. It is a
hint: without a truth nothing tells invention for certain. On simulated
patients with a truth it finds the tenth of pixels with most invention with an
AUC of 0.76 (the size of the change alone: 0.69).
"""

import json
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, UInt8

from echogan_jax.command import BadInput
from echogan_jax.data.files import replacing
from echogan_jax.data.select import SPLITS
from echogan_jax.evaluation.case import Case
from echogan_jax.metrics import change
from echogan_jax.training.enhancer import Enhancer

_NAME = 'expectation.json'
_QUANTILE = 0.99
_LEAST = 1.0  # grey level: below it nothing is a change


class Expectation(NamedTuple):
  """What `change.abruptness` is at most in 99 % of pixels, in grey levels.

  Attributes:
    limit: that.
    frames: that it was measured on.
    config_sha256: of the network's run.
    step: of its checkpoint.
  """

  limit: float
  frames: int
  config_sha256: str = ''
  step: int = 0


def calibrate(model: Enhancer, cases: Sequence[Case]) -> Expectation:
  """Return what is to be expected of a network, from cases it enhanced."""
  found = [
    change.abruptness(case.input, case.enhanced, case.inside)[case.inside]
    for case in cases
  ]
  limit = float(np.quantile(np.concatenate(found), _QUANTILE))
  limit = max(_LEAST, limit)
  return Expectation(limit, len(cases), model.config_sha256, model.step)


def excess(
  before: UInt8[np.ndarray, 'size size'],
  after: UInt8[np.ndarray, 'size size'],
  inside: Bool[np.ndarray, 'size size'],
  expected: Expectation,
) -> Float64[np.ndarray, 'size size']:
  """Return how many times the expected a change is; above 1 is beyond it."""
  return change.abruptness(before, after, inside) / expected.limit


def write(expected: Expectation, output: pathlib.Path) -> None:
  """Keep it beside the metrics of the split."""
  with replacing(output / _NAME) as part:
    part.write_text(json.dumps(expected._asdict()) + '\n')


def read(workdir: pathlib.Path, model: Enhancer) -> Expectation:
  """Return that of a network, of the validation split if there is one.

  Raises:
    BadInput: this checkpoint was not evaluated, or the file is damaged.
  """
  for split in ('validation', *SPLITS, 'all'):
    path = workdir / 'eval' / split / _NAME
    if path.exists():
      try:
        found = json.loads(path.read_text())
        found = Expectation(**found)
        if not _LEAST <= found.limit <= 255:
          raise ValueError('no grey level')
      except (ValueError, TypeError) as error:
        raise BadInput(f'{path} is damaged: evaluate again') from error
      if found[2:] == (model.config_sha256, model.step):
        return found
  raise BadInput(
    f'{workdir}: what to expect of step {model.step} is not known; run first '
    f'python -m echogan_jax.evaluate --workdir={workdir} --split=validation'
  )
