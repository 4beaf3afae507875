"""Which parts of a config cannot work together, said before anything runs."""

from collections.abc import Iterator, Mapping
from typing import Any

from echogan_jax.command import BadInput
from echogan_jax.models import Models

Config = Mapping[str, Any]

_ROUND_TRIP = (
  *('cycle', 'laplacian', 'gaussian'),
  *('perceptual', 'style', 'perceptual_vgg16', 'style_vgg16'),
)


def check(config: Config, models: Models) -> None:
  """Refuse a config whose parts do not fit together, naming both.

  Args:
    config: the resolved config.
    models: what `models.create` made of it.

  Raises:
    BadInput: with every part that does not fit.
  """
  found = [
    *_networks(config, models),
    *_directions(config),
    *_data(config),
  ]
  if found:
    raise BadInput('; '.join(found))


def _on(config: Config, *names: str) -> list[str]:
  """Return those of the named terms that have a weight."""
  return [name for name in names if config['losses'][name]['weight']]


def _networks(config: Config, models: Models) -> Iterator[str]:
  model = config['model']
  if _on(config, 'cutmix') and model['discriminator'] != 'unet_gan':
    yield (
      'losses.cutmix needs a judgement of every pixel: set '
      f'model.discriminator=unet_gan, not {model["discriminator"]}'
    )
  if _on(config, 'grades') and not model['heads']:
    yield 'losses.grades needs heads to grade: set model.heads=True'
  depths = getattr(models.generator, 'depths', ())
  missing = [tap for tap in models.sampling.taps if tap not in depths]
  if _on(config, 'patchnce') and missing:
    yield (
      f'model.patches.taps: {", ".join(missing)} is no map of '
      f'model.generator={model["generator"]}, which has '
      f'{", ".join(depths) or "none"}'
    )


def _directions(config: Config) -> Iterator[str]:
  if config['model']['directions'] == 'both':
    return
  for name in _on(config, *_ROUND_TRIP):
    yield (
      f'losses.{name} needs the way back that model.directions=enhance has '
      'not: set its weight to 0, or directions=both'
    )
  if _on(config, 'patchnce') and config['model']['patches']['dual']:
    yield (
      'model.patches.dual needs both generators, not model.directions=enhance'
    )


def _data(config: Config) -> Iterator[str]:
  data, losses = config['data'], config['losses']
  pairs = _on(config, 'paired')
  if losses['gradient']['form'] == 'paired':
    pairs += _on(config, 'gradient')
  if not data['paired']:
    for name in pairs:
      yield f'losses.{name} compares with targets: set data.paired=True'
  size = data['size']
  for grid in losses['illumination']['grids']:
    if _on(config, 'illumination') and size % grid:
      yield (
        f'losses.illumination.grids: data.size={size} is no multiple of {grid}'
      )
  for name in _on(config, 'laplacian', 'gaussian'):
    levels = losses[name]['levels']
    if size % 2**levels:
      yield (
        f'losses.{name}.levels={levels}: data.size={size} cannot be halved so '
        'often'
      )
