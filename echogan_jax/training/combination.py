"""Which parts of a config cannot work together, said before anything runs."""

from collections.abc import Iterator, Mapping
from typing import Any

from echogan_jax.command import BadInput
from echogan_jax.models import Models

Config = Mapping[str, Any]

_WARMED = ('grades', 'task', 'task_features', 'cutmix')
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
    *_counts(config),
    *_networks(config, models),
    *_directions(config),
    *_data(config),
  ]
  if found:
    raise BadInput('; '.join(found))


def _counts(config: Config) -> Iterator[str]:
  """Name what is below its least, where that would fail later or silently."""
  least = {
    'losses.ssim.window': 1,
    'losses.laplacian.levels': 1,
    'losses.gaussian.levels': 1,
    'model.patches.count': 1,
    'model.task.downs': 1,
    'state.pool_size': 0,
  }
  least |= {f'losses.{n}.warmup_steps': 0 for n in _WARMED}
  least |= {f'model.levels.{name}': 2 for name in config['model']['levels']}
  for role in ('generator', 'discriminator'):
    name = config['model'][role]
    for key, value in config['model'][name].items():
      if isinstance(value, int) and not isinstance(value, bool):
        least[f'model.{name}.{key}'] = 1
  for name, bound in least.items():
    value = config
    for key in name.split('.'):
      value = value[key]
    if value < bound:
      yield f'{name}={value}: must be at least {bound}'
  for name in ('losses.illumination.grids', 'model.patches.taps'):
    first, middle, last = name.split('.')
    values = config[first][middle][last]
    if not values or any(v == 0 for v in values):
      yield f'{name}={values}: name at least one, and no zero'


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
  form = config['losses']['adversarial']['objective']
  if _on(config, 'cutmix'):
    if config['losses']['cutmix']['augmentation'] and form != 'bce':
      yield (
        'losses.cutmix.augmentation asks pixels for probabilities: set '
        f'losses.adversarial.objective=bce, not {form}, or augmentation=False'
      )
    if not _on(config, 'adversarial'):
      yield 'losses.cutmix trains what losses.adversarial.weight=0 leaves out'
  bounded = (
    model['discriminator'] == 'unet_gan'
    or (model[model['discriminator']]['spectral'])
  )
  if form == 'wgan' and not bounded:
    yield (
      'losses.adversarial.objective=wgan needs a bounded discriminator: set '
      f'model.{model["discriminator"]}.spectral=True'
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
    if grid and _on(config, 'illumination') and size % grid:
      yield (
        f'losses.illumination.grids: data.size={size} is no multiple of {grid}'
      )
  for name in _on(config, 'laplacian', 'gaussian'):
    levels = max(losses[name]['levels'], 0)
    if size % 2**levels:
      yield (
        f'losses.{name}.levels={levels}: data.size={size} cannot be halved so '
        'often'
      )
