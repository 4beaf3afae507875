"""Train the judge: on clean pictures of simulated patients of its own.

Nothing else learns from these patients, and the judge never sees a poor or an
enhanced picture; only its augmentation is as wide as an enhancer's choices.
"""

import functools
import multiprocessing
from collections.abc import Callable, Mapping
from concurrent import futures
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Key, PyTree, UInt8

from echogan_jax import image
from echogan_jax.data import annotation, phantom, sector
from echogan_jax.data.clip import Clip
from echogan_jax.models.reader import Findings, Reader, Tissues
from echogan_jax.shapes import TISSUES, Image
from echogan_jax.training import rng

FINDINGS = ('effusion', 'thrombus', 'lvh')
_SIZES = (128, 64, 128, 96, 128, 192, 128, 256)  # pixels a side, in turn


class Frames(NamedTuple):
  """Frames of simulated patients, cut as every verb cuts them."""

  clean: UInt8[np.ndarray, 'frame size size']
  degraded: UInt8[np.ndarray, 'frame size size']
  inside: Bool[np.ndarray, 'frame size size']
  tissues: UInt8[np.ndarray, 'frame size size']
  findings: Bool[np.ndarray, 'frame findings']


def patient(number: int, *, seed: int, frames: int, size: int) -> Frames:
  """Simulate a patient, each finding at even odds.

  Args:
    number: of the patient; it tells which scanner is used.
    seed: of all patients.
    frames: over one beat.
    size: side of the result in pixels.
  """
  study = phantom.simulate(
    [seed, number],
    size=_SIZES[number % len(_SIZES)],
    frames=frames,
    setting=phantom.SETTINGS[number % 3 == 2],
    prevalence=dict.fromkeys(FINDINGS, 0.5),
  )
  times = np.arange(frames) * study.frame_time
  place = sector.find(Clip(frames=study.clean, times=times))
  drawn = annotation.gather(
    [None], range(frames), place, size, length=frames, drawn=study.mask
  )
  inside = sector.crop_mask(place, size)
  found = [study.anatomy[f'{f}_mm'] > 0 for f in FINDINGS[:2]]
  found.append(study.labels['lvh'] > 0)
  return Frames(
    sector.crop(study.clean, place, size),
    sector.crop(study.degraded, place, size),
    np.broadcast_to(inside, (frames, size, size)),
    np.where(inside, np.stack(drawn['anatomy']), 0).astype(np.uint8),
    np.tile(np.array(found, bool), (frames, 1)),
  )


def simulate(
  patients: int, *, seed: int, frames: int, size: int, workers: int = 2
) -> Frames:
  """Simulate patients 0 to `patients` - 1, see `patient`."""
  make = functools.partial(patient, seed=seed, frames=frames, size=size)
  if workers == 1:
    made = list(map(make, range(patients)))
  else:
    context = multiprocessing.get_context('spawn')
    with futures.ProcessPoolExecutor(workers, context) as pool:
      made = list(pool.map(make, range(patients), chunksize=8))
  return Frames(*map(np.concatenate, zip(*made, strict=True)))


class Batch(NamedTuple):
  """Frames as the judge is trained on them."""

  image: Image  # black outside the sector
  inside: Float[Array, 'batch height width']
  tissues: Float[Array, 'batch height width tissues']  # one hot
  findings: Float[Array, 'batch findings']


def augment(frames: Frames, key: Key[Array, '']) -> Batch:
  """Vary frames as enhancers do: place, light, contrast, focus and noise.

  Nothing is mirrored: in echo, left and right are diagnoses.
  """
  keys = jax.random.split(key, 7)
  count, side = frames.clean.shape[:2]

  def pick(number: int, low: float, high: float, *shape: int) -> Array:
    shape = (count, *shape)
    return jax.random.uniform(keys[number], shape, minval=low, maxval=high)

  tissues = jax.nn.one_hot(frames.tissues, TISSUES)
  layers = [frames.clean / 255, frames.inside]
  layers = [layer[..., None].astype(jnp.float32) for layer in layers]
  moved = _move(
    jnp.concatenate([*layers, tissues], axis=-1),
    pick(0, 0.92, 1.08),
    pick(1, -0.04, 0.04, 2) * side,
  )
  x, inside, tissues = moved[..., :1], moved[..., 1], moved[..., 2:]
  inside = (inside > 0.5).astype(jnp.float32)
  gain = pick(2, 0.8, 1.2, 4, 4, 1)
  x = x * jax.image.resize(gain, x.shape, 'linear')
  x = jnp.maximum(x, 1e-6) ** pick(3, 0.8, 1.25, 1, 1, 1)
  # from sharpened to smooth
  x = x + pick(4, -0.5, 1.0, 1, 1, 1) * (image.blur(x, window=7) - x)
  x = x + pick(5, 0.0, 0.04, 1, 1, 1) * jax.random.normal(keys[6], x.shape)
  x = jnp.clip(x, 0.0, 1.0) * inside[..., None]
  drawn = jax.nn.one_hot(jnp.argmax(tissues, axis=-1), TISSUES)
  return Batch(2.0 * x - 1.0, inside, drawn, frames.findings.astype(x.dtype))


def _move(maps: Array, zoom: Array, shift: Array) -> Array:
  """Zoom about the centre and shift, each example by its own."""

  def one(x: Array, zoom: Array, shift: Array) -> Array:
    centred = shift + (1.0 - zoom) * x.shape[0] / 2
    return jax.image.scale_and_translate(
      x, x.shape, (0, 1), jnp.stack([zoom, zoom]), centred, 'linear'
    )

  return jax.vmap(one)(maps, zoom, shift)


def loss(
  tissues: Tissues, findings: Findings, batch: Batch
) -> tuple[Float[Array, ''], dict[str, Float[Array, '']]]:
  """Return cross-entropy and soft Dice of tissues, cross-entropy of findings.

  Args:
    tissues: logits; only those inside the sector count.
    findings: logits.
    batch: the truth.

  Returns:
    Their sum, and each.
  """
  inside = batch.inside[..., None]
  entropy = optax.softmax_cross_entropy(tissues, batch.tissues) * batch.inside
  drawn = jax.nn.softmax(tissues) * inside
  common = jnp.sum(drawn * batch.tissues, axis=(0, 1, 2))[1:]
  both = jnp.sum(drawn + batch.tissues * inside, axis=(0, 1, 2))[1:]
  told = optax.sigmoid_binary_cross_entropy(findings, batch.findings)
  parts = {
    'entropy': jnp.sum(entropy) / jnp.sum(batch.inside),
    'dice': 1.0 - jnp.mean(2.0 * common / jnp.maximum(both, 1.0)),
    'findings': jnp.mean(told),
  }
  return sum(parts.values()), parts


def train(
  frames: Frames,
  *,
  seed: int,
  steps: int,
  batch_size: int,
  learning_rate: float,
  features: int,
  downs: int,
  report: Callable[[int, Mapping[str, float]], None] = lambda *_: None,
) -> PyTree:
  """Train a judge.

  Args:
    frames: of the patients it learns from; their side is the judge's.
    seed: of weights, order and augmentation.
    steps: with AdamW, on a cosine from `learning_rate` to 0.
    batch_size: frames in a step.
    learning_rate: the largest, after a twentieth of the steps.
    features: of `Reader`.
    downs: of `Reader`.
    report: called with (step, parts of the loss) after each step.

  Returns:
    The parameters of its `Reader`.
  """
  network = Reader(len(FINDINGS), features, downs)
  schedule = optax.warmup_cosine_decay_schedule(
    0.0, learning_rate, steps // 20, steps
  )
  optimizer = optax.adamw(schedule, weight_decay=1e-3)
  root = rng.root(seed)

  @jax.jit
  def begin() -> tuple[PyTree, PyTree]:
    blank = jnp.zeros((1, *frames.clean.shape[1:], 1))
    params = network.init(rng.stream(root, 'init'), blank)['params']
    return params, optimizer.init(params)

  @functools.partial(jax.jit, donate_argnums=0)
  def step(state: tuple, number: Array, frames: Frames) -> tuple:
    key = jax.random.fold_in(rng.stream(root, 'train'), number)
    draw, vary = jax.random.split(key)
    chosen = jax.random.randint(draw, (batch_size,), 0, len(frames.clean))
    batch = augment(jax.tree.map(lambda part: part[chosen], frames), vary)

    def objective(params: PyTree) -> tuple:
      return loss(*network.apply({'params': params}, batch.image), batch)

    params, memory = state
    slopes, parts = jax.grad(objective, has_aux=True)(params)
    updates, memory = optimizer.update(slopes, memory, params)
    return (optax.apply_updates(params, updates), memory), parts

  state, frames = begin(), jax.tree.map(jnp.asarray, frames)
  for number in range(steps):
    state, parts = step(state, number, frames)
    report(number + 1, {name: float(v) for name, v in parts.items()})
  return jax.device_get(state[0])
