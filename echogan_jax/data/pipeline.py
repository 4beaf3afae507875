"""Batches from TFRecords: the batch of step n depends on (seed, n) alone.

A run that stops at step n and starts there again sees the batches it would
have seen, and no iterator has to be saved.
"""

import functools
import pathlib
import zlib
from collections.abc import Iterator, Mapping

from echogan_jax.command import BadInput
from echogan_jax.data import builder, manifest
from echogan_jax.data.builder import tf
from echogan_jax.shapes import DOMAINS, Batch, Frames

_FOREVER = 2**62
_PARALLEL = {'num_parallel_calls': tf.data.AUTOTUNE, 'deterministic': True}


def fingerprint(dir: str | pathlib.Path) -> str:
  """Return the hash that stands for a data set: its manifest's SHA-256.

  Raises:
    BadInput: the folder is not what `ingest` writes.
  """
  return manifest.fingerprint(pathlib.Path(dir))


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
) -> Iterator[Batch]:
  """Return endless batches, from the one of `start_step` on.

  The domains are independent streams. In each, epoch follows epoch without a
  gap, and every epoch is a new shuffle that holds each frame once.

  Args:
    dir: what `ingest` wrote.
    size: side of the square images.
    batch_size: images per domain and batch.
    shuffle_buffer: how many frames the shuffle holds; from the number of
      frames on, every order is equally likely.
    augment: `zoom` >= 1 enlarges to round(size * zoom) and crops a random
      square (1.117 is the 286 -> 256 of Zhu et al. 2017); `flip` mirrors
      every second image, which swaps the heart's left and right.
    split: `train`, `validation` or `test`.
    seed: of shuffle and augmentation.
    start_step: the first batch.

  Returns:
    an iterator of {'low': Frames, 'high': Frames}, uint8
    [batch_size, size, size, 1].

  Raises:
    BadInput: the data cannot give such batches.
  """
  if augment['zoom'] < 1:
    raise BadInput('config.data.augment.zoom must be at least 1')
  start = start_step * batch_size
  streams = {}
  found = _records(pathlib.Path(dir), split, at_least=batch_size)
  for domain, (records, count) in found.items():
    order, change = (
      zlib.crc32(f'{seed}/{domain}/{use}'.encode())
      for use in ('shuffle', 'augment')
    )
    example = functools.partial(_example, seed=change, size=size, **augment)
    stream = _epochs(records, count, shuffle_buffer, seed=order, start=start)
    stream = stream.enumerate(start).map(example, **_PARALLEL)
    streams[domain] = stream.batch(batch_size, drop_remainder=True)
  return _numpy(tf.data.Dataset.zip(streams).prefetch(2))


def examples(
  dir: str | pathlib.Path, split: str, limit: int, *, size: int | None = None
) -> Batch:
  """Return a fixed set of frames of a split, the same on every call.

  Args:
    dir: what `ingest` wrote.
    split: `train`, `validation` or `test`.
    limit: at most so many frames of each domain.
    size: side of the images, None for the stored one.

  Raises:
    BadInput: the split is without frames of a domain.
  """
  data = pathlib.Path(dir)
  size = size or int(manifest.read(data)[0]['width'])

  def example(record):
    return _resize(_decode(record), size)

  streams = {
    domain: records.take(limit).map(example, **_PARALLEL).batch(limit)
    for domain, (records, _) in _records(data, split).items()
  }
  return next(_numpy(tf.data.Dataset.zip(streams)))


def _numpy(dataset: tf.data.Dataset) -> Iterator[Batch]:
  options = tf.data.Options()
  options.deterministic = True
  return dataset.with_options(options).as_numpy_iterator()


def _records(
  data: pathlib.Path, split: str, at_least: int = 1
) -> dict[str, tuple[tf.data.Dataset, int]]:
  """Return the serialised records of both domains and how many they are."""
  splits = builder.load(data).info.splits
  found = {}
  for domain in DOMAINS:
    name = f'{split}_{domain}'
    if name not in splits:
      counts = ', '.join(f'{k} {v.num_examples}' for k, v in splits.items())
      raise BadInput(
        f'{data}: the {split} split has no {domain} frames (there are '
        f'{counts}): ingest more patients, or change its --seed'
      )
    count = splits[name].num_examples
    if count < at_least:
      raise BadInput(
        f'{data}: only {count} {domain} frames in the {split} split, too few '
        f'for config.data.batch_size={at_least}: add data or lower it'
      )
    files = [str(path) for path in splits[name].filepaths]
    found[domain] = tf.data.TFRecordDataset(files), count
  return found


def _epochs(
  records: tf.data.Dataset, count: int, buffer: int, *, seed: int, start: int
) -> tf.data.Dataset:
  """Return epoch after epoch of shuffled records, from index `start` on."""
  first, skip = divmod(start, count)

  def epoch(number):
    own = tf.random.stateless_uniform(
      [], (seed, number), minval=None, maxval=None, dtype=tf.int64
    )
    return records.shuffle(buffer, own, reshuffle_each_iteration=False)

  # still serialised here: what is skipped is never decoded
  return tf.data.Dataset.range(first, _FOREVER).flat_map(epoch).skip(skip)


def _decode(record: tf.Tensor) -> Frames:
  text = tf.io.FixedLenFeature([], tf.string)
  found = tf.io.parse_single_example(record, {'image': text, 'mask': text})
  return Frames(*(tf.io.decode_png(found[k], channels=1) for k in found))


def _resize(frames: Frames, size: int) -> Frames:
  """Scale as `sector.resize` does; the mask keeps its two values."""

  def scaled() -> Frames:
    image = tf.image.resize(frames.image, (size, size), antialias=True)
    image = tf.cast(tf.round(image), tf.uint8)
    return Frames(image, tf.image.resize(frames.mask, (size, size), 'nearest'))

  same = tf.reduce_all(tf.equal(tf.shape(frames.image)[:2], size))
  result = tf.cond(same, lambda: frames, scaled)
  return Frames(*(tf.ensure_shape(each, (size, size, 1)) for each in result))


def _example(
  index: tf.Tensor,
  record: tf.Tensor,
  *,
  seed: int,
  size: int,
  zoom: float,
  flip: bool,
) -> Frames:
  """Decode, then enlarge, crop and mirror as (seed, index) decides."""
  large = round(size * zoom)
  both = tf.concat(_resize(_decode(record), large), axis=-1)
  draw = tf.random.stateless_uniform([3], (seed, index))
  if large > size:
    corner = tf.cast(draw[:2] * (large - size + 1), tf.int32)
    both = tf.slice(both, [corner[0], corner[1], 0], [size, size, 2])
  if flip:
    both = tf.cond(draw[2] < 0.5, lambda: both, lambda: both[:, ::-1])
  return Frames(*tf.split(tf.ensure_shape(both, (size, size, 2)), 2, axis=-1))
