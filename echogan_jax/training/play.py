"""The generators' pass: every picture and opinion that some term reads."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Key, PyTree

from echogan_jax import image
from echogan_jax.models import Models, vgg
from echogan_jax.models.projector import choose, gather
from echogan_jax.shapes import (
  GENERATORS,
  TISSUES,
  Batch,
  Image,
  Mask,
  Outputs,
  Patches,
  Verdict,
)
from echogan_jax.training import rng
from echogan_jax.training.state import Player

_TO = {target: name for name, (_, target) in GENERATORS.items()}
_FROM = {source: name for name, (source, _) in GENERATORS.items()}


class Scene(NamedTuple):
  """A batch on the device, each keyed by domain."""

  real: dict[str, Image]
  mask: dict[str, Mask]
  grades: dict[str, Array]  # empty unless some term reads them
  anatomy: dict[str, Array]


class Cast(NamedTuple):
  """Who plays: the networks, and the parameters that are not being moved."""

  models: Models
  needs: frozenset[str]
  judges: Player
  helpers: dict[str, Player]


def scene(batch: Batch) -> Scene:
  """Take a batch as the pipeline delivers it: uint8 to [-1, 1]."""
  real = {d: image.to_float(frames.image) for d, frames in batch.items()}
  mask = {
    d: (frames.mask > 0).astype(real[d].dtype) for d, frames in batch.items()
  }
  grades = {d: f.grades for d, f in batch.items() if f.grades is not None}
  anatomy = {
    d: f.anatomy.astype(jnp.int32)
    for d, f in batch.items()
    if f.anatomy is not None
  }
  return Scene(real, mask, grades, anatomy)


def play(
  cast: Cast, params: dict[str, PyTree], now: Scene, key: Key[Array, '']
) -> Outputs:
  """Run the generators' pass: only what is needed beside the fakes.

  Outside the sector every output is its source: nothing is generated there,
  in training as in deployment.

  Args:
    cast: who plays.
    params: of the `generators`, and of the `projector` if there is one.
    now: the batch.
    key: of the patches' places and the flips.
  """
  models, needs = cast.models, cast.needs
  turn = _turn(models, key)

  def translate(
    name: str, source: Image, domain: str, turn: Callable = _stay
  ) -> Image:
    made = turn(models.generate(params['generators'][name], turn(source)))
    return image.inside(made, source, now.mask[domain])

  fake, cycled, same = {}, {}, {}
  again = 'same' in needs or ('patches' in needs and models.sampling.identity)
  for name in models.names:
    source, target = GENERATORS[name]
    if again and not models.sampling.flip:
      # one call for both: half as many, larger products, and a smaller program
      pair = _interleave(now.real[source], now.real[target])
      made = models.generate(params['generators'][name], pair)
      for domain, x, found in zip(
        (source, target), _separate(made), (fake, same), strict=True
      ):
        found[target] = image.inside(x, now.real[domain], now.mask[domain])
      continue
    fake[target] = translate(name, now.real[source], source, turn)
    if again:
      same[target] = translate(name, now.real[target], target)
  if 'cycled' in needs:
    for name in models.names:
      source, target = GENERATORS[name]
      cycled[source] = translate(_TO[source], fake[target], source)
  out = Outputs(now.real, now.mask, fake, cycled, same)
  out = out._replace(grades=now.grades, anatomy=now.anatomy)
  if 'patches' in needs:
    out = out._replace(**_patches(models, params, out, key, turn))
  return _opinions(cast, out)


def _interleave(first: Image, second: Image) -> Array:
  """Join two batches so that each device keeps the rows it has."""
  return jnp.stack([first, second], axis=1).reshape(-1, *first.shape[1:])


def _separate(x: Array) -> tuple[Array, Array]:
  return x[::2], x[1::2]


def _stay(x: Array) -> Array:
  return x


def _turn(models: Models, key: Key[Array, '']) -> Callable[[Array], Array]:
  """Return FastCUT's flip: all images of half of the steps, or none."""
  if not models.sampling.flip:
    return _stay
  coin = jax.random.bernoulli(rng.stream(key, 'flip'))
  return lambda x: jnp.where(coin, x[:, :, ::-1], x)


def view(models: Models, x: Image, anatomy: Array | None) -> Array:
  """Return what a discriminator is shown: the image, and its anatomy.

  UltraGAN (Escobar et al. 2020): the anatomy is the source's own, so that a
  translation is asked to fit it.
  """
  if not models.conditioned:
    return x
  # a pixel that nobody drew is of no tissue
  tissues = jax.nn.one_hot(anatomy[..., 0], TISSUES, dtype=x.dtype)
  return jnp.concatenate([x, tissues], axis=-1)


def _opinions(cast: Cast, out: Outputs) -> Outputs:
  models, needs, helpers = cast.models, cast.needs, cast.helpers

  def judge(domain: str, x: Image, source: str) -> Verdict:
    variables = {
      'params': cast.judges.params[domain],
      'stats': cast.judges.stats[domain],
    }
    shown = view(models, x, out.anatomy.get(source))
    return models.discriminator.apply(variables, shown)

  found: dict[str, Any] = {}
  if 'judged' in needs:
    found['judged'] = {
      target: judge(target, out.fake[target], source)
      for source, target in map(GENERATORS.get, models.names)
    }
  for name, images in (('real', out.real), ('cycled', out.cycled)):
    if f'judged_{name}' in needs:
      found[f'judged_{name}'] = {d: judge(d, images[d], d) for d in out.cycled}
    if 'seen' in needs:
      found[f'seen_{name}'] = {
        d: vgg.features(helpers['vgg16'].params, images[d]) for d in out.cycled
      }
  if 'read' in needs:
    variables = {'params': helpers['task'].params['task']}

    def read(images: dict[str, Image]) -> dict:
      return {d: models.task.apply(variables, x) for d, x in images.items()}

    found |= {'read': read(out.fake), 'read_real': read(out.real)}
  return out._replace(**found)


def _patches(
  models: Models,
  params: dict[str, PyTree],
  out: Outputs,
  key: Key[Array, ''],
  turn: Callable[[Array], Array],
) -> dict[str, dict[str, tuple[Patches, ...]]]:
  sampling = models.sampling

  def encode(name: str, x: Image) -> tuple[Array, ...]:
    variables = {'params': params['generators'][name]}
    return models.generator.apply(variables, x, taps=sampling.taps)

  def project(name: str, samples: list[Array]) -> tuple[Array, ...]:
    variables = {'params': params['projector'][name]}
    return models.projector.apply(variables, tuple(samples))

  def pair(use: str, made: Image, source: str, turn: Callable) -> tuple:
    name = use.split('/')[0]
    _, target = GENERATORS[name]
    other = _FROM[target] if sampling.dual else name
    theirs = encode(name, out.real[source])
    ours = [turn(m) for m in encode(other, turn(made))]
    places = [
      choose(
        rng.stream(key, f'places/{use}/{tap}'),
        out.mask[source],
        *m.shape[1:3],
        sampling.count,
      )
      for tap, m in zip(sampling.taps, theirs, strict=True)
    ]
    keys, queries = (
      project(
        who, [gather(m, at) for m, (at, _) in zip(maps, places, strict=True)]
      )
      for who, maps in ((name, theirs), (other, ours))
    )
    return tuple(
      Patches(q, lax.stop_gradient(k), valid)
      for q, k, (_, valid) in zip(queries, keys, places, strict=True)
    )

  found = {'patches': {}}
  for name in models.names:
    source, target = GENERATORS[name]
    found['patches'][target] = pair(name, out.fake[target], source, turn)
    if sampling.identity:
      same = found.setdefault('patches_same', {})
      same[target] = pair(f'{name}/same', out.same[target], target, _stay)
  return found
