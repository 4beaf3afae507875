"""The model card: what an exported file is, from its workdir alone.

No path and no name of a file is in it: those may name people.
"""

import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax

import echogan_jax
from echogan_jax import models
from echogan_jax.data import limits, manifest
from echogan_jax.page import records, verdict
from echogan_jax.training.enhancer import Enhancer

Card = dict[str, Any]  # as JSON holds it

WHAT = (
  'Translates technically limited greyscale echocardiograms towards the look '
  'of diagnostic ones. Pre- and post-processing are inside the file.'
)
USE = (
  'Research only. Not for diagnosis, and no medical device: read the result '
  'beside the input, never instead of it.'
)
_LIMITS = (
  'It can invent structures and remove them (hallucination), findings '
  'included.',
  'Measurements on the result, areas and ejection fraction among them, can '
  'differ from those on the input.',
  'Greyscale B-mode inside the sector only: colour Doppler, M-mode, spectra '
  'and text were never shown to it. Outside the sector every pixel is the '
  "input's own, burned-in names included: clear them first.",
  'Each frame is enhanced alone, so that a clip can flicker.',
)
_COUNTED = ('version', 'files', 'patients', 'studies', 'frames')


def describe(workdir: pathlib.Path, model: Enhancer) -> Card:
  """Return the card of a run's checkpoint, but for what its format adds.

  Args:
    workdir: of the run.
    model: what was loaded from there.

  Raises:
    BadInput: an evaluation in the workdir is damaged.
  """
  training = _training(model.config)
  evaluations, others = _evaluations(workdir, model)
  return {
    'name': 'echogan_jax enhancer',
    'what': WHAT,
    'intended_use': USE,
    'version': echogan_jax.__version__,
    'step': model.step,
    'weights_sha256': model.weights_sha256,
    'config_sha256': model.config_sha256,
    'network': _network(model),
    'input': _input(model.size),
    'output': {
      'enhanced': 'uint8 [batch, height, width, 1], grey levels 0 to 255; '
      'outside the sector those of `frames`',
      'values': 'float32 [batch, height, width, 1] in [-1, 1]: what the '
      'network says of every pixel, before rounding',
    },
    'training': training,
    'evaluations': evaluations,
    'limits': [
      *_LIMITS,
      f'Trained on {model.size} x {model.size} pixels: other sizes were not '
      'measured.',
      _validation(training, evaluations, others),
    ],
  }


def _network(model: Enhancer) -> dict[str, Any]:
  options = model.config['model']
  name = options['generator']
  leaves = jax.tree.leaves(model.ema['enhance'])
  return {
    'generator': name,
    **options[name],
    'dtype': options['dtype'],
    'parameters': sum(leaf.size for leaf in leaves),
    'size': model.size,
    'multiple': models.generators(options).generator.multiple,
  }


def _input(size: int) -> dict[str, str]:
  return {
    'frames': 'uint8 [batch, height, width, 1], grey levels 0 to 255: the '
    'square around the sector, black outside of it, scaled to '
    f'{size} x {size} pixels without distortion',
    'inside': 'bool [batch, height, width, 1], true inside the sector',
  }


def _training(config: Mapping[str, Any]) -> dict[str, Any]:
  """Return what is on record of the training, or of where weights are from."""
  if 'imported' in config:
    return {
      'imported_from': config['imported']['flags'],
      'sha256': dict(config['imported']['sha256']),
      'data': 'not on record',
    }
  losses = {name: one['weight'] for name, one in config['losses'].items()}
  return {
    'steps': config['train']['num_steps'],
    'batch_size': config['data']['batch_size'],
    'seed': config['seed'],
    'losses': {name: weight for name, weight in losses.items() if weight},
    'data_sha256': config.get('data_sha256', ''),
    'synthetic': any(
      line.split()[:1] == ['phantom'] for line in config.get('before', ())
    ),
    'data': _data(config),
  }


def _data(config: Mapping[str, Any]) -> dict[str, Any] | str:
  folder = pathlib.Path(config['data']['dir'])
  try:
    if manifest.fingerprint(folder) != config.get('data_sha256'):
      return 'not on record: the data have changed since'
    path = limits.regular(folder / 'audit.json', limits.TABLE)
    audit = records.writable(json.loads(path.read_text()))
    return {name: audit[name] for name in _COUNTED} | {
      'format': audit['settings']['format']
    }
  except Exception:  # they are gone or damaged: the model is what it is
    return 'not on record: the data are not where they were'


def _evaluations(
  workdir: pathlib.Path, model: Enhancer
) -> tuple[list[dict[str, Any]], list[int]]:
  """Return what was measured of this step, and which others were measured."""
  found, others = [], []
  for path in sorted(workdir.glob('eval/*/metrics.json')):
    one = records.evaluation(path)
    about = one.about
    if about.get('method', 'network') != 'network':
      continue
    ours = about.get('config_sha256') == model.config_sha256
    if ours and about.get('step') == model.step:
      found.append(_evaluation(one, model.config.get('data_sha256')))
    else:
      others.append(about.get('step'))
  return found, others


def _evaluation(
  one: records.Evaluation, trained_on: str | None
) -> dict[str, Any]:
  said = verdict.verdict(one)._asdict()
  del said['tone']
  return {
    'split': one.about.get('split'),
    'patients': one.about.get('patients'),
    'studies': one.about.get('studies'),
    'images': one.about.get('images'),
    'of_the_training_data': one.about.get('data_sha256') == trained_on,
    'verdict': said,
    'metrics': dict(_measured(one)),
    'not_measured': sorted(one.skipped),
  }


def _measured(one: records.Evaluation) -> Iterator[tuple[str, dict[str, Any]]]:
  """Yield each metric with its values and the change, interval included."""
  rows: dict[str, dict[str, Any]] = {}
  for key, value in one.metrics.items():
    name, _, what = key.partition('/')
    rows.setdefault(name, {})[what or 'enhanced'] = value
  for name, row in sorted(rows.items()):
    if change := one.changes.get(name):
      row['change'] = [change.value, change.low, change.high]
    yield name, row


def _validation(
  training: Mapping[str, Any], evaluations: list, others: list
) -> str:
  if not evaluations:
    steps = ', '.join(str(step) for step in sorted({*others} - {None}))
    return (
      'This checkpoint was never evaluated'
      f'{f": others were, of steps {steps}" if steps else ""}.'
    )
  if training.get('synthetic'):
    return (
      'Trained and measured on synthetic phantoms: never validated on '
      'clinical data.'
    )
  return (
    'Measured as told here and nowhere else: no reader study, no prospective '
    'validation is on record.'
  )
