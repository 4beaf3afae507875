"""Batches from TFRecords: the batch of step n depends on (seed, n) alone.

A run that stops at step n and starts there again sees the batches it would
have seen, and no iterator has to be saved.
"""

import functools
import pathlib
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np

from echogan_jax.command import BadInput
from echogan_jax.data import balance as balancing
from echogan_jax.data import manifest
from echogan_jax.data import order as ordering
from echogan_jax.data.builder import tf
from echogan_jax.shapes import DOMAINS, GRADES, Batch, Frames

_PARALLEL = {'num_parallel_calls': tf.data.AUTOTUNE, 'deterministic': True}
_PICTURES = ('image', 'mask')
_CODES = ('mask', 'anatomy')


def batches(
  *,
  dir: str | pathlib.Path,
  size: int,
  batch_size: int,
  shuffle_buffer: int,
  augment: Mapping[str, float | bool],
  split: str = 'train',
  seed: int,
  start_step: int,
  extras: frozenset[str] = frozenset(),
  balance: Sequence[str] = (),
  paired: bool = False,
  share: tuple[int, int] = (0, 1),
) -> Iterator[Batch]:
  """Return endless batches, from the one of `start_step` on.

  The domains are independent streams. In each, epoch follows epoch without a
  gap, and every epoch is a new shuffle of as many frames as there are: each
  once, or with `balance` and `paired` as its weight says. To start takes the
  same few seconds at every step and for any number of frames; only `balance`
  and `paired` read every record once before the first batch.

  Args:
    dir: what `ingest` wrote.
    size: side of the square images.
    batch_size: images per domain and batch.
    shuffle_buffer: how many frames the shuffle holds, at least a file's; from
      the number of frames on, every order is equally likely.
    augment: `zoom` >= 1 enlarges to round(size * zoom) and crops a random
      square (1.117 is the 286 -> 256 of Zhu et al. 2017); `flip` mirrors
      every second image, which swaps the heart's left and right.
    split: `train`, `validation` or `test`.
    seed: of shuffle and augmentation.
    start_step: the first batch.
    extras: of `grades` and `anatomy`, what else the frames shall hold.
    balance: grades that shall be as frequent in one domain as in the other.
    paired: the high images are the targets of the low ones, pixel by pixel;
      low frames without a target are left out, and nothing is balanced.
    share: (number of this host, how many there are): of every batch only its
      own rows, of which there must be equally many, are decoded.

  Returns:
    an iterator of {'low': Frames, 'high': Frames}, uint8
    [batch_size / hosts, size, size, 1]; grades are int32 [.., 5].

  Raises:
    BadInput: the data cannot give such batches.
  """
  if augment['zoom'] < 1:
    raise BadInput('config.data.augment.zoom must be at least 1')
  data, start = pathlib.Path(dir), start_step * batch_size
  if 'grades' in extras:
    manifest.check_graded(data, split)
  pictures = (*_PICTURES, *(extras & {'anatomy'}), *['target'] * paired)
  domains = DOMAINS[:1] if paired else DOMAINS
  found = ordering.shards(data, split, domains, pictures, batch_size)
  fields = {'size': size, 'pictures': pictures, 'grades': 'grades' in extras}
  weights, streams = _weights(found, balance, paired), {}
  for domain, shards in found.items():
    shuffle, change = (
      zlib.crc32(f'{seed}/{domain}/{use}'.encode())
      for use in ('shuffle', 'augment')
    )
    example = functools.partial(_example, seed=change, **fields, **augment)
    order = ordering.Order(
      shards, shuffle_buffer, seed=shuffle, weights=weights.get(domain)
    )
    # still serialised before: what is skipped is never decoded
    stream = ordering.own(
      order.records(start).enumerate(start), batch_size, share
    )
    stream = stream.map(example, **_PARALLEL)
    streams[domain] = stream.batch(batch_size // share[1], drop_remainder=True)
  return _numpy(tf.data.Dataset.zip(streams).prefetch(2), paired)


def examples(
  dir: str | pathlib.Path,
  split: str,
  limit: int,
  *,
  size: int | None = None,
  domains: Sequence[str] = DOMAINS,
) -> Batch:
  """Return a fixed set of frames of a split, the same on every call.

  Args:
    dir: what `ingest` wrote.
    split: `train`, `validation` or `test`.
    limit: at most so many frames of each domain.
    size: side of the images, None for the stored one.
    domains: which ones.

  Raises:
    BadInput: the split is without frames of a domain.
  """
  data = pathlib.Path(dir)
  found = ordering.shards(data, split, domains)
  size = size or int(next(manifest.rows(data))['width'])

  def example(record):
    return _resize(_read_pictures(record, _PICTURES), size)

  streams = {
    domain: shards.records().take(limit).map(example, **_PARALLEL).batch(limit)
    for domain, shards in found.items()
  }
  return next(_numpy(tf.data.Dataset.zip(streams)))


def _numpy(dataset: tf.data.Dataset, paired: bool = False) -> Iterator[Batch]:
  options = tf.data.Options()
  options.deterministic = True
  found = dataset.with_options(options).as_numpy_iterator()
  return map(_pair if paired else _frames, found)


def _frames(batch: dict[str, dict]) -> Batch:
  return {domain: Frames(**found) for domain, found in batch.items()}


def _pair(batch: dict[str, dict]) -> Batch:
  target = batch['low'].pop('target')
  low = Frames(**batch['low'])
  return {'low': low, 'high': low._replace(image=target)}


def _weights(
  found: Mapping[str, ordering.Shards], grades: Sequence[str], paired: bool
) -> dict[str, np.ndarray]:
  """Return how often to draw each record, in file order; {} for once each."""

  def there(record):
    return tf.reduce_any(_read_pictures(record, ['target'])['target'] > 0)

  if paired:  # both domains hold the same frames: they are balanced
    shown = _scan(found['low'], there)
    if not shown.any():
      raise BadInput('config.data.paired: no low frame has a target')
    return {'low': shown / shown.mean()}
  if not grades:
    return {}
  for name in set(grades) - set(GRADES):
    known = ', '.join(GRADES)
    raise BadInput(f'config.data.balance: {name} is none of {known}')
  classes = functools.partial(_read_numbers, names=grades)
  labels = {d: _scan(shards, classes) for d, shards in found.items()}
  return balancing.weights(labels, grades)


def _scan(shards: ordering.Shards, read: Callable) -> np.ndarray:
  found = shards.records().map(read, **_PARALLEL).batch(1024)
  return np.concatenate(list(found.as_numpy_iterator()))


def _read_pictures(
  record: tf.Tensor, names: Collection[str]
) -> dict[str, tf.Tensor]:
  """Decode some pictures of a serialised example, uint8 [h, w, 1] each."""
  text = tf.io.FixedLenFeature([], tf.string)
  found = tf.io.parse_single_example(record, dict.fromkeys(names, text))
  return {name: tf.io.decode_png(found[name], channels=1) for name in names}


def _read_numbers(record: tf.Tensor, names: Sequence[str]) -> tf.Tensor:
  """Read some numbers of a serialised example, as one int32 vector."""
  number = tf.io.FixedLenFeature([], tf.int64)
  found = tf.io.parse_single_example(record, dict.fromkeys(names, number))
  return tf.cast(tf.stack([found[name] for name in names]), tf.int32)


def _resize(pictures: dict[str, tf.Tensor], size: int) -> dict[str, tf.Tensor]:
  """Scale as `sector.resize` does; what names its values keeps them."""

  def scaled(name: str) -> tf.Tensor:
    if name in _CODES:
      return tf.image.resize(pictures[name], (size, size), 'nearest')
    grey = tf.image.resize(pictures[name], (size, size), antialias=True)
    return tf.cast(tf.round(grey), tf.uint8)

  same = tf.reduce_all(tf.equal(tf.shape(pictures['image'])[:2], size))
  result = tf.cond(
    same, lambda: pictures, lambda: {name: scaled(name) for name in pictures}
  )
  return {k: tf.ensure_shape(v, (size, size, 1)) for k, v in result.items()}


def _example(
  index: tf.Tensor,
  record: tf.Tensor,
  *,
  pictures: Collection[str],
  grades: bool,
  seed: int,
  size: int,
  zoom: float,
  flip: bool,
) -> dict[str, tf.Tensor]:
  """Decode, then enlarge, crop and mirror as (seed, index) decides."""
  large, layers = round(size * zoom), len(pictures)
  found = _resize(_read_pictures(record, pictures), large)
  every = tf.concat([found[name] for name in pictures], axis=-1)
  draw = tf.random.stateless_uniform([3], (seed, index))
  if large > size:
    corner = tf.cast(draw[:2] * (large - size + 1), tf.int32)
    every = tf.slice(every, [*tf.unstack(corner), 0], [size, size, layers])
  if flip:
    every = tf.cond(draw[2] < 0.5, lambda: every, lambda: every[:, ::-1])
  every = tf.ensure_shape(every, (size, size, layers))
  result = dict(zip(pictures, tf.split(every, layers, axis=-1), strict=True))
  if grades:
    result['grades'] = _read_numbers(record, GRADES)
  return result
