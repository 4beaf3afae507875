"""A trained enhancer: uint8 frames in, uint8 frames out, as deployment runs."""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, PyTree, UInt8

from echogan_jax import image, models
from echogan_jax.training import checkpoint, recipe

BATCH = 8  # frames per call; the last is filled up, so one compilation does

Frames = UInt8[np.ndarray, 'time size size']
Masks = Bool[np.ndarray, 'size size'] | Bool[np.ndarray, 'time size size']
Translate = Callable[[PyTree, Frames, Masks], Frames]


class Enhancer(NamedTuple):
  """A generator with its weights and where they come from.

  Attributes:
    translate: (frames, masks) -> enhanced frames.
    size: side of the frames it was trained on.
    step: of the checkpoint.
    config: the run's resolved config.
    config_sha256: hash of that config's file.
  """

  translate: Callable[[Frames, Masks], Frames]
  size: int
  step: int
  config: dict[str, Any]
  config_sha256: str


def load(workdir: pathlib.Path, *, step: int | None = None) -> Enhancer:
  """Load the averaged enhancer of a run.

  Raises:
    BadInput: the folder is no workdir, or has no readable checkpoint.
  """
  config = recipe.read(workdir)
  made = models.create(config['model'])
  size = config['data']['size']
  blank = jax.ShapeDtypeStruct((1, size, size, 1), jnp.float32)
  like = jax.eval_shape(made.generator.init, jax.random.key(0), blank)
  step, ema = checkpoint.load_ema(
    workdir, {name: like['params'] for name in made.names}, step=step
  )
  apply = translator(made)

  def translate(frames: Frames, masks: Masks) -> Frames:
    return apply(ema['enhance'], frames, masks)

  sha256 = recipe.sha256(workdir)
  return Enhancer(translate, size, step, config, sha256)


def translator(made: models.Models) -> Translate:
  """Return (generator's params, frames, masks) -> translated frames.

  Outside the masks every pixel is the input's own.
  """

  @jax.jit
  def call(params: PyTree, frames: jax.Array, masks: jax.Array) -> jax.Array:
    x = image.to_float(frames)
    y = made.generator.apply({'params': params}, x)
    return jnp.where(masks, image.to_uint8(y), frames)

  def translate(params: PyTree, frames: Frames, masks: Masks) -> Frames:
    masks = np.broadcast_to(masks, frames.shape)
    short = -len(frames) % BATCH
    fill = ((0, short), (0, 0), (0, 0))
    frames, masks = np.pad(frames, fill), np.pad(masks, fill)
    parts = [
      call(
        params,
        frames[i : i + BATCH, ..., None],
        masks[i : i + BATCH, ..., None],
      )
      for i in range(0, len(frames), BATCH)
    ]
    made = np.concatenate([np.asarray(part) for part in parts])[..., 0]
    return made[: len(made) - short]

  return translate
