"""A trained enhancer: uint8 frames in, uint8 frames out, as deployment runs."""

import functools
import pathlib
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float32, PyTree, UInt8

from echogan_jax import models
from echogan_jax.command import BadInput
from echogan_jax.models import deployed
from echogan_jax.training import checkpoint, note, recipe

BATCH = 8  # frames per call; the last is filled up, so one compilation does

Frames = UInt8[np.ndarray, 'time size size']
Masks = Bool[np.ndarray, 'size size'] | Bool[np.ndarray, 'time size size']
Floats = Float32[np.ndarray, 'time size size']
Translate = Callable[[PyTree, Frames, Masks], Frames]


class Enhancer(NamedTuple):
  """A generator with its weights and where they come from.

  Attributes:
    translate: (frames, masks) -> enhanced frames.
    generators: each direction's network, on frames in [-1, 1].
    size: side of the frames it was trained on.
    step: of the checkpoint.
    config: the run's resolved config.
    config_sha256: hash of that config's file.
    ema: the averaged weights of each generator.
    weights_sha256: hash of those that enhance, their names and shapes.
  """

  translate: Callable[[Frames, Masks], Frames]
  generators: dict[str, Callable[[Floats], Floats]]
  size: int
  step: int
  config: Mapping[str, Any] = types.MappingProxyType({})
  config_sha256: str = ''
  ema: Mapping[str, PyTree] = types.MappingProxyType({})
  weights_sha256: str = ''


def load(workdir: pathlib.Path, *, step: int | None = None) -> Enhancer:
  """Load the averaged enhancer of a run.

  Raises:
    BadInput: the folder is no workdir, or has no readable checkpoint.
  """
  config = recipe.read(workdir)
  try:
    made = models.generators(config['model'])
    size = config['data']['size']
    blank = jax.ShapeDtypeStruct((1, size, size, 1), jnp.float32)
    like = jax.eval_shape(made.generator.init, jax.random.key(0), blank)
  except (TypeError, LookupError, AttributeError, ValueError) as error:
    raise BadInput(
      f'{workdir}/config.json describes no network: {error}'
    ) from error
  step, ema = checkpoint.load_ema(
    workdir,
    {name: like['params'] for name in made.names},
    step=step,
    noted=recipe.layout(config) > 1,
  )
  return assemble(
    players(made),
    ema,
    size=size,
    step=step,
    config=config,
    config_sha256=recipe.sha256(workdir),
    weights_sha256=note.digest(ema['enhance'])['sha256'],
  )


Play = Callable[[PyTree, Floats], Floats]
Made = models.Models | models.Generators


def players(made: Made) -> tuple[Translate, Play]:
  """Return what the networks do, compiled once for any weights."""
  return translator(made), _player(made)


def assemble(
  players: tuple[Translate, Play], ema: Mapping[str, PyTree], **about: Any
) -> Enhancer:
  """Return the enhancer that networks and their weights make.

  Args:
    players: what `players` returns.
    ema: the averaged weights of each generator.
    **about: the other fields of `Enhancer`.
  """
  apply, play = players
  return Enhancer(
    translate=functools.partial(apply, ema['enhance']),
    generators={n: functools.partial(play, own) for n, own in ema.items()},
    ema=ema,
    **about,
  )


def _player(made: Made) -> Play:
  """Return (generator's params, frames in [-1, 1]) -> what it makes of them."""
  call = jax.jit(lambda p, x: made.generator.apply({'params': p}, x))

  def play(params: PyTree, frames: Floats) -> Floats:
    return _in_batches(lambda x: call(params, x), frames)

  return play


def translator(made: Made) -> Translate:
  """Return (generator's params, frames, masks) -> translated frames.

  Outside the masks every pixel is the input's own.
  """

  @jax.jit
  def call(params: PyTree, frames: jax.Array, masks: jax.Array) -> jax.Array:
    return deployed.apply(made.generator, params, frames, masks)[0]

  def translate(params: PyTree, frames: Frames, masks: Masks) -> Frames:
    masks = np.broadcast_to(masks, frames.shape)
    return _in_batches(lambda x, m: call(params, x, m), frames, masks)

  return translate


def _in_batches(
  call: Callable[..., jax.Array], *arrays: np.ndarray
) -> np.ndarray:
  """Call on `BATCH` frames of each array at a time."""
  count = len(arrays[0])
  fill = ((0, -count % BATCH), (0, 0), (0, 0))
  padded = [np.pad(array, fill)[..., None] for array in arrays]
  parts = [
    np.asarray(call(*(array[i : i + BATCH] for array in padded)))
    for i in range(0, count, BATCH)
  ]
  return np.concatenate(parts)[:count, ..., 0]
