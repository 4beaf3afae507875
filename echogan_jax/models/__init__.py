"""The networks by name; `create` is the only reader of `config.model`."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from echogan_jax.command import BadInput
from echogan_jax.models.patchgan import PATCH70, SEED142, PatchGAN
from echogan_jax.models.resnet import ResNet
from echogan_jax.models.unet import UNet

GENERATORS = {'resnet': ResNet, 'unet': UNet}
DISCRIMINATORS = {
  'patch70': functools.partial(PatchGAN, PATCH70),
  'seed142': functools.partial(PatchGAN, SEED142, keras=True),
}


class Models(NamedTuple):
  """One definition for both generators, one for both discriminators."""

  generator: nn.Module
  discriminator: nn.Module


def create(config: Mapping[str, Any]) -> Models:
  """Build the networks that `config.model` names.

  Each network's options are the subtree of its own name, so that choosing
  another one on the command line needs no other change.

  Raises:
    BadInput: a name or a dtype is unknown.
  """
  dtype = config['dtype']
  if dtype not in ('float32', 'bfloat16'):
    raise BadInput(f'model.dtype={dtype}: choose float32 or bfloat16')
  # float32 means the operands' own, so that float64 can check the maths
  options = {'dtype': jnp.bfloat16 if dtype == 'bfloat16' else None}

  def build(role: str, table: Mapping[str, Any]) -> nn.Module:
    name = config[role]
    if name not in table:
      raise BadInput(f'model.{role}={name}: choose one of {", ".join(table)}')
    return table[name](**config[name], **options)

  return Models(
    build('generator', GENERATORS), build('discriminator', DISCRIMINATORS)
  )


def check_size(models: Models, size: int) -> None:
  """Raise BadInput unless images of this side fit both networks."""
  generator, judge = models
  name = type(generator).__name__
  smallest = max(generator.smallest, judge.smallest)
  if size < smallest:
    raise BadInput(
      f'data.size={size} is too small: {name} needs {generator.smallest} and '
      f'the discriminator {judge.smallest} pixels; use at least {smallest}'
    )
  if size % generator.multiple:
    fit = -(-size // generator.multiple) * generator.multiple
    raise BadInput(
      f'data.size={size}: {name} needs a multiple of {generator.multiple}; '
      f'try {fit}'
    )
