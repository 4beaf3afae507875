"""Which generator of pytorch-CycleGAN or CUT a state_dict is of, if any."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from echogan_jax.command import BadInput

State = Mapping[str, np.ndarray]

_STALE = ('.running_mean', '.running_var', '.num_batches_tracked')
_KNOWN = 'resnet_9blocks, resnet_6blocks, unet_256, unet_128 and the like'


def unwrap(saved: Mapping[str, Any]) -> State:
  """Return the tensors of a checkpoint, by keys without a common prefix.

  Args:
    saved: a state_dict, or mappings around one.

  Raises:
    BadInput: it holds none, or several.
  """
  for _ in range(4):  # not for ever: a pickle can hold itself
    inner = {k: v for k, v in saved.items() if isinstance(v, Mapping) and v}
    if not inner or any(isinstance(v, np.ndarray) for v in saved.values()):
      break
    if len(inner) > 1 and 'state_dict' not in inner:
      listed = ', '.join(shown(key) for key in [*inner][:4])
      raise BadInput(f'holds several networks ({listed}): save one state_dict')
    saved = inner.get('state_dict') or next(iter(inner.values()))
  state = {str(k): v for k, v in saved.items() if isinstance(v, np.ndarray)}
  if not state:
    raise BadInput('holds no tensors: save the state_dict of a generator')
  prefix = next(iter(state)).partition('model.')[0]  # as DataParallel's
  if prefix.endswith('.') and all(key.startswith(prefix) for key in state):
    state = {key.removeprefix(prefix): array for key, array in state.items()}
  return state


def without_statistics(state: State) -> State:
  """Drop the statistics that instance norms once kept and never used.

  Raises:
    BadInput: the norms have weights: these statistics may matter.
  """
  for key, array in state.items():
    if key.endswith('.weight') and array.ndim == 1:
      raise BadInput(
        f'has norms with weights ({shown(key)}), as batch norm has: only '
        'networks trained with plain instance norm (--norm instance) fit'
      )
  return {k: array for k, array in state.items() if not k.endswith(_STALE)}


def network(state: State) -> tuple[dict[str, Any], int]:
  """Return `config.model` of a generator, and where its blocks go on.

  Returns:
    what the config says of the generator, and the place of the second
    convolution in a residual block: 6 after a dropout, else 5.

  Raises:
    BadInput: it is another kind of network.
  """
  second = 5
  if any(re.match(r'model\.\d+\.conv_block\.', key) for key in state):
    second += any('.conv_block.6.' in key for key in state)
    name, options = 'resnet', _resnet(state)
  elif 'model.model.0.weight' in state:
    name, options = 'unet', _unet(state)
  else:
    raise BadInput(_other(state))
  return {'generator': name, name: options, 'dtype': 'float32'}, second


def compare(state: State, expected: Mapping[str, Any], what: str) -> None:
  """Raise BadInput unless all tensors are there, of these shapes, and usable.

  Args:
    state: what was found.
    expected: arrays, or what has their shape.
    what: the network that it seems to be.
  """
  for key, like in expected.items():
    weighed = key.removesuffix('bias') + 'weight' in state
    if key not in state and key.endswith('.bias') and weighed:
      raise BadInput(
        f'has no {key}, so it was trained with batch norm or with none: only '
        'networks trained with instance norm (--norm instance) fit'
      )
    if key not in state:
      raise BadInput(
        f'looks like {what}, but lacks {key}: it is incomplete, or of code '
        'that differs'
      )
    if state[key].shape != like.shape:
      raise BadInput(
        f'looks like {what}, but its {key} is {[*state[key].shape]}, not '
        f'{[*like.shape]}: it is damaged, or of code that differs'
      )
    if not np.isfinite(state[key].astype(np.float32)).all():
      raise BadInput(f'is of a run that failed: its {key} is not finite')
  for key in state.keys() - expected.keys():
    raise BadInput(
      f'looks like {what}, but also holds {shown(key)}: it is of code that '
      'differs'
    )


def _resnet(state: State) -> dict[str, Any]:
  if any('.conv_block.0.' in key for key in state):
    raise BadInput('pads its blocks with zeros: only reflection is supported')
  down = 'blur' if 'model.7.filt' in state else 'stride'
  found = (re.match(r'model\.(\d{1,4})\.conv_block\.', key) for key in state)
  places = {int(match[1]) for match in found if match}
  up = (
    'blur' if f'model.{max(places, default=0) + 1}.filt' in state else 'deconv'
  )
  features, channels = _shape(state, 'model.1.weight')[:2]
  return {
    'features': features,
    'blocks': len(places),
    'up': up,
    'down': down,
    'colours': _colours(channels),
  }


def _unet(state: State) -> dict[str, Any]:
  downs, inside = 1, 'model.model.1.model'
  while f'{inside}.1.weight' in state and downs < 12:
    downs, inside = downs + 1, f'{inside}.3.model'
  if downs < 5:
    raise BadInput(
      f'is a U-Net of {downs} scales, and the original has 5 or more: it is '
      'incomplete, or of code that differs'
    )
  features, channels = _shape(state, 'model.model.0.weight')[:2]
  return {
    'features': features,
    'downs': downs,
    'up': 'deconv',
    'colours': _colours(channels),
  }


def _shape(state: State, key: str) -> tuple[int, ...]:
  if key not in state:
    raise BadInput(f'lacks {key}, the first of a generator: is it cut short?')
  shape = state[key].shape
  if len(shape) != 4 or 0 in shape:
    raise BadInput(f'is no image network: its {key} is {[*shape]}')
  return shape


def _colours(channels: int) -> int:
  if channels not in (1, 3):
    raise BadInput(
      f'takes images of {channels} channels: echo is grey, so 1, or 3 for '
      'colour, are needed'
    )
  return channels


def _other(state: State) -> str:
  for key in ('model.0.weight', 'net.0.weight'):
    if key in state and state[key].ndim == 4:
      return (
        'is a discriminator: name the generator, latest_net_G_A.pth or '
        'latest_net_G.pth'
      )
  return (
    f'is no generator of pytorch-CycleGAN or CUT ({_KNOWN}): its first tensor '
    f'is {shown(next(iter(state)))}'
  )


def shown(key: Any) -> str:
  """Return a key from a stranger as it may be printed."""
  return f'{key!r:.60}'
