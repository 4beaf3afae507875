"""The judge: one frozen network that reads every frame the same way.

It draws the tissues and tells findings. It learned from clean pictures of
simulated patients that nothing else uses (`python -m experiments.judge`), and
it comes with the package, so that what two people measure can be compared.
"""

import functools
import hashlib
import io
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.errors
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jaxtyping import Bool, Float64, PyTree, UInt8
from scipy import stats

from echogan_jax.command import BadInput
from echogan_jax.data import limits
from echogan_jax.data.sector import resize
from echogan_jax.metrics.segmentation import dice, ejection_fraction, volume
from echogan_jax.models.reader import Reader
from echogan_jax.shapes import DRAWN

BATCH = 8  # frames per call; the last is filled up, so one compilation does
SMALLEST = 32  # pixels to a side of a frame
# of the file that is shipped: numbers of another judge compare with no one's
SHA256 = '3a75026f634da4e39559ba62e29aec78072f4dafd5d770739df661318eee0ecc'
_SHIPPED = pathlib.Path(__file__).with_name('judge.npz')
_LARGEST = 1 << 28  # bytes of weights: ours has a hundredth
_DAMAGE = (OSError, ValueError, TypeError, KeyError, AttributeError)
_DAMAGE += (RecursionError, flax.errors.FlaxError)

Frames = UInt8[np.ndarray, 'batch height width']
Masks = Bool[np.ndarray, 'batch height width']


class Drawn(NamedTuple):
  """What a judge reads from frames.

  Attributes:
    tissues: of each pixel, see `shapes`; background outside the sector.
    findings: probability of each of the judge's findings.
  """

  tissues: UInt8[np.ndarray, 'batch height width']
  findings: Float64[np.ndarray, 'batch findings']


class Judge(NamedTuple):
  """A trained reader and where it comes from.

  Attributes:
    sha256: of its file.
    size: side of the frames it was trained on; others are resized to it.
    findings: what it can tell, in the order of `Drawn.findings`.
    card: how it was made, and what it reaches on patients held out.
    read: (frames, inside) -> what it reads. Frames are square, of 32 pixels
      or more to a side; only pixels inside the sector are looked at.
  """

  sha256: str
  size: int
  findings: tuple[str, ...]
  card: dict[str, Any]
  read: Callable[[Frames, Masks], Drawn]


def load(path: pathlib.Path | None = None) -> Judge:
  """Load a judge: without a path, the one that comes with the package.

  Raises:
    BadInput: the file is missing, damaged, or no judge.
  """
  advice = 'give a file that `python -m experiments.judge` wrote'
  if path is None:
    path, advice = _SHIPPED, 'install the package again'
  try:
    content = limits.regular(path, _LARGEST).read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    if path == _SHIPPED and sha256 != SHA256:
      raise ValueError(f'its SHA-256 is {sha256}')
    return _opened(content, sha256)
  except _DAMAGE as error:
    why = ' '.join(str(error).split())
    raise BadInput(f'{path} is no judge ({why}): {advice}') from error


@functools.lru_cache(maxsize=2)  # training asks again and again
def _opened(content: bytes, sha256: str) -> Judge:
  found = limits.arrays(io.BytesIO(content), most=_LARGEST)
  return assemble(found, sha256=sha256)


def pack(
  params: PyTree, findings: tuple[str, ...], card: Mapping[str, Any]
) -> dict[str, np.ndarray]:
  """Return the arrays of a judge's file; weights become float16.

  Args:
    params: of its `Reader`.
    findings: their names.
    card: whose `config` holds `size` and `model`.
  """
  text = json.dumps({'findings': findings, **card}, sort_keys=True)
  flat = traverse_util.flatten_dict(params, sep='/')
  arrays = {k: np.asarray(v, np.float16) for k, v in sorted(flat.items())}
  return {'card': np.array(text)} | arrays


def assemble(arrays: Mapping[str, np.ndarray], *, sha256: str = '') -> Judge:
  """Return the judge that `pack` packed.

  Raises:
    ValueError: the weights are not those of the config.
  """
  card = json.loads(arrays['card'].item())
  findings, config = tuple(card.pop('findings')), card['config']
  network, size = Reader(len(findings), **config['model']), config['size']
  blank = jax.ShapeDtypeStruct((1, size, size, 1), jnp.float32)
  needs = jax.eval_shape(network.init, jax.random.key(0), blank)['params']
  needs = traverse_util.flatten_dict(needs, sep='/')
  weights = {k: v for k, v in arrays.items() if k != 'card'}
  if {k: v.shape for k, v in needs.items()} != {
    k: v.shape for k, v in weights.items()
  }:
    raise ValueError('its weights are not those of its config')
  wide = {k: v.astype(np.float32) for k, v in weights.items()}
  params = traverse_util.unflatten_dict(wide, sep='/')
  call = functools.partial(_caller(network), params)
  read = functools.partial(_read, call, size)
  return Judge(sha256, size, findings, card, read)


def _caller(network: Reader) -> Callable:
  """Return (params, frames, side) -> tissues drawn at that side, findings."""

  @functools.partial(jax.jit, static_argnums=2)
  def call(
    params: PyTree, images: jax.Array, side: int
  ) -> tuple[jax.Array, jax.Array]:
    x = images[..., None] / 127.5 - 1.0
    tissues, findings = network.apply({'params': params}, x)
    shape = (len(x), side, side, tissues.shape[-1])
    tissues = jax.image.resize(tissues, shape, 'linear')
    drawn = jnp.argmax(tissues, axis=-1).astype(jnp.uint8)
    return drawn, jax.nn.sigmoid(findings)

  return call


def _read(call: Callable, size: int, frames: Frames, inside: Masks) -> Drawn:
  """Read frames of any side; see `Judge`."""
  count, side, width = frames.shape
  if side != width or side < SMALLEST:
    raise ValueError(f'frames of {width}x{side}: a square of 32 or more')
  shown = resize(np.where(inside, frames, 0).astype(np.uint8), size)
  shown = np.pad(shown, ((0, -count % BATCH), (0, 0), (0, 0)))
  parts = [
    call(shown[i : i + BATCH], side) for i in range(0, len(shown), BATCH)
  ]
  both = zip(*parts, strict=True)
  tissues, findings = (np.concatenate(part)[:count] for part in both)
  return Drawn(np.where(inside, tissues, 0), findings.astype(np.float64))


def examine(
  read: Callable[[Frames, Masks], Drawn],
  frames: Frames,
  inside: Masks,
  *,
  truth: Drawn,
  findings: tuple[str, ...],
  beat: int,
) -> dict[str, float]:
  """Return how well a judge reads patients whose truth is known.

  Args:
    read: the judge's.
    frames: of whole beats, one after the other.
    inside: their sectors.
    truth: what should be read.
    findings: names of them.
    beat: frames in a beat.

  Returns:
    Mean Dice of each tissue over the frames that show it; mean absolute error
    of the ejection fraction in percentage points, over the beats whose
    ventricle is drawn throughout, absent if none is; of each finding, over
    frames, the area under the ROC curve and the accuracy at 0.5.
  """
  seen = read(frames, inside)
  pairs = list(zip(seen.tissues, truth.tissues, strict=True))
  result = {}
  for name, label in DRAWN.items():
    scores = [dice(a == label, b == label) for a, b in pairs if label in b]
    result[f'dice_{name}'] = np.mean(scores)
  beats = [slice(i, i + beat) for i in range(0, len(frames), beat)]
  found, true = (drawn.tissues == DRAWN['lv'] for drawn in (seen, truth))
  errors = [
    ejection(found[b]) - ejection(true[b])
    for b in beats
    if found[b].any(axis=(1, 2)).all()
  ]
  if errors:
    result['ef_error'] = np.mean(np.abs(errors))
  for at, name in enumerate(findings):
    chance, has = seen.findings[:, at], truth.findings[:, at] > 0.5
    above = stats.rankdata(chance)[has].mean() - (has.sum() + 1) / 2
    result[f'auc_{name}'] = above / np.sum(~has)
    result[f'accuracy_{name}'] = np.mean((chance > 0.5) == has)
  return {name: float(value) for name, value in result.items()}


def ejection(ventricle: Bool[np.ndarray, 'time height width']) -> float:
  """Return the ejection fraction of a drawn beat in percent; needs no scale.

  Raises:
    ValueError: fewer than two frames, or one without a ventricle.
  """
  return ejection_fraction([volume(mask) for mask in ventricle])
