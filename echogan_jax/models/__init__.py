"""The networks by name; only this module reads `config.model`."""

import contextlib
import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Key, PyTree

from echogan_jax.command import BadInput
from echogan_jax.models import vgg
from echogan_jax.models.casnet import CasNet
from echogan_jax.models.heads import MultiTask
from echogan_jax.models.patchgan import PATCH70, SEED142, PatchGAN
from echogan_jax.models.projector import Projector
from echogan_jax.models.resnet import ResNet
from echogan_jax.models.resunet import ResUNet
from echogan_jax.models.seed import SeedResNet
from echogan_jax.models.task import TaskNet
from echogan_jax.models.unet import UNet
from echogan_jax.models.unet_gan import UNetGAN
from echogan_jax.shapes import GENERATORS as DIRECTIONS
from echogan_jax.shapes import TISSUES

GENERATORS = {
  'resnet': ResNet,
  'unet': UNet,
  'resunet': ResUNet,
  'casnet': CasNet,
  'seed_resnet': SeedResNet,
}
DISCRIMINATORS = {
  'patch70': functools.partial(PatchGAN, PATCH70),
  'seed142': functools.partial(PatchGAN, SEED142, keras=True),
  'unet_gan': UNetGAN,
}
_INITS = ('normal', 'xavier')


class Sampling(NamedTuple):
  """Which patches PatchNCE compares; see `models/projector.py`.

  Attributes:
    taps: hidden maps of the generator, by name.
    count: places per map and image.
    dual: encode the translation with the other direction's generator
      (DCLGAN) instead of with the one that made it (CUT).
    identity: compare images of the target domain with their translation too.
    flip: mirror half of the generator's inputs, and their features back
      (FastCUT's flip equivariance).
  """

  taps: tuple[str, ...]
  count: int
  dual: bool
  identity: bool
  flip: bool


class Generators(NamedTuple):
  """What deployment needs of `Models`; fields as there."""

  generator: nn.Module
  names: tuple[str, ...]


class Models(NamedTuple):
  """One definition for all generators, one for all discriminators.

  Attributes:
    generator, discriminator, projector, task: the networks.
    names: which generators play: `enhance`, and `degrade` unless one-sided.
    conditioned: whether discriminators see the anatomy beside the image.
    sampling: PatchNCE's.
    init: how kernels are drawn.
    remat: compute what is inside a generator twice instead of keeping it.
  """

  generator: nn.Module
  discriminator: nn.Module
  projector: nn.Module
  task: nn.Module
  names: tuple[str, ...]
  conditioned: bool
  sampling: Sampling
  init: str
  remat: bool = False

  def generate(self, params: PyTree, x: Array) -> Array:
    """Return what the generator makes of a batch."""

    def apply(params: PyTree, x: Array) -> Array:
      return self.generator.apply({'params': params}, x)

    return (jax.checkpoint(apply) if self.remat else apply)(params, x)

  @property
  def targets(self) -> tuple[str, ...]:
    """The domains that are translated to, each with a discriminator."""
    domains = {DIRECTIONS[name][1] for name in self.names}
    return tuple(d for d in ('low', 'high') if d in domains)

  @property
  def view_channels(self) -> int:
    """Channels of what a discriminator sees."""
    return 1 + TISSUES * self.conditioned

  def blank_patches(self, blank: Array) -> tuple[Array, ...]:
    """Return zeros in the shape that the projector takes, for one image."""
    taps = self.sampling.taps
    apply = functools.partial(self.generator.init_with_output, taps=taps)
    maps, _ = jax.eval_shape(apply, jax.random.key(0), blank)
    return tuple(jnp.zeros((1, 1, m.shape[-1])) for m in maps)

  def redraw(self, params: PyTree, key: Key[Array, '']) -> PyTree:
    """Draw every kernel anew if `init` asks for another distribution.

    `xavier` is CUT's: Glorot's normal with gain 0.02.
    """
    if self.init == 'normal':
      return params
    draw = nn.initializers.variance_scaling(0.02**2, 'fan_avg', 'normal')
    leaves, tree = jax.tree_util.tree_flatten_with_path(params)
    drawn = [
      draw(jax.random.fold_in(key, i), leaf.shape, leaf.dtype)
      if path[-1].key == 'kernel'
      else leaf
      for i, (path, leaf) in enumerate(leaves)
    ]
    return jax.tree_util.tree_unflatten(tree, drawn)


def generators(config: Mapping[str, Any]) -> Generators:
  """Build the generator that `config.model` names, and read nothing else.

  Raises:
    BadInput: a name or a dtype is unknown, or an option is missing.
  """
  with _fitting():
    one_sided = _choice(config, 'directions', ('both', 'enhance')) == 'enhance'
    names = ('enhance',) if one_sided else tuple(DIRECTIONS)
    return Generators(_build(config, 'generator', GENERATORS), names)


def create(config: Mapping[str, Any]) -> Models:
  """Build the networks that `config.model` names.

  Each network's options are the subtree of its own name, so that choosing
  another one on the command line needs no other change.

  Raises:
    BadInput: a name or a dtype is unknown, or an option is missing.
  """
  with _fitting():
    return _create(config)


@contextlib.contextmanager
def _fitting() -> Iterator[None]:
  try:
    yield
  except (KeyError, TypeError) as error:
    raise BadInput(
      f'config.model does not fit this version of echogan_jax: {error}'
    ) from error


def _dtype(config: Mapping[str, Any]) -> DTypeLike | None:
  # float32 means the operands' own, so that float64 can check the maths
  name = _choice(config, 'dtype', ('float32', 'bfloat16'))
  return jnp.bfloat16 if name == 'bfloat16' else None


def _build(
  config: Mapping[str, Any], role: str, table: Mapping[str, Any]
) -> nn.Module:
  name = _choice(config, role, table)
  return table[name](**config[name], dtype=_dtype(config))


def _create(config: Mapping[str, Any]) -> Models:
  dtype, levels = _dtype(config), tuple(config['levels'].items())
  discriminator = _build(config, 'discriminator', DISCRIMINATORS)
  if config['heads']:
    discriminator = MultiTask(discriminator, levels, dtype=dtype)
  sampling = dict(config['patches'])
  projector = Projector(features=sampling.pop('features'), dtype=dtype)
  sampling = Sampling(**sampling | {'taps': tuple(sampling['taps'])})
  return Models(
    discriminator=discriminator,
    projector=projector,
    task=TaskNet(levels=levels, **config['task'], dtype=dtype),
    conditioned=config['conditioned'],
    sampling=sampling,
    init=_choice(config, 'init', _INITS),
    **generators(config)._asdict(),
  )


def _choice(config: Mapping, key: str, names: Mapping | tuple) -> str:
  if config[key] not in names:
    raise BadInput(
      f'model.{key}={config[key]}: choose one of {", ".join(names)}'
    )
  return config[key]


def check_size(
  models: Models | Generators,
  size: int,
  needs: frozenset[str] = frozenset(),
  *,
  flag: str = 'data.size',
) -> None:
  """Raise BadInput unless images of this side fit every network in play."""
  generator = models.generator
  name = type(generator).__name__
  sides = {name: generator.smallest}
  if isinstance(models, Models):
    sides['the discriminator'] = models.discriminator.smallest
  if 'read' in needs:
    sides['the task network'] = models.task.smallest
  if 'seen' in needs:
    sides['VGG16'] = vgg.SMALLEST
  smallest = max(sides.values())
  if size < smallest:
    wants = ', '.join(f'{who} {side}' for who, side in sides.items())
    raise BadInput(
      f'{flag}={size} is too small, pixels needed: {wants}; use at least '
      f'{smallest}'
    )
  if size % generator.multiple:
    fit = -(-size // generator.multiple) * generator.multiple
    raise BadInput(
      f'{flag}={size}: {name} needs a multiple of {generator.multiple}; '
      f'try {fit}'
    )
