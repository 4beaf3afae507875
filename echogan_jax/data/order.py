"""Where the records are, and which one comes when.

An epoch is a permutation of the shards, cut into blocks of whole shards that
fit into the shuffle, and every block is shuffled in full. All follows from
(seed, epoch), so a run that starts in the middle skips shards by arithmetic
and reads at most one block more than it needs, however far it has come.
"""

import pathlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from echogan_jax.command import BadInput
from echogan_jax.data import balance, builder
from echogan_jax.data.builder import tf

_FOREVER = 2**62
_ALL = {'minval': None, 'maxval': None, 'dtype': tf.int64}


class Shards(NamedTuple):
  """The files of some records.

  Attributes:
    files: their paths.
    lengths: how many records each of them has.
  """

  files: list[str]
  lengths: list[int]

  def records(self) -> tf.data.Dataset:
    """Return the records in file order, serialised."""
    return tf.data.TFRecordDataset(self.files)


def shards(
  data: pathlib.Path,
  split: str,
  domains: Iterable[str],
  kinds: Iterable[str] = (),
  at_least: int = 1,
) -> dict[str, Shards]:
  """Return where the records of a split are, by domain.

  Args:
    data: what `ingest` wrote.
    split: `train`, `validation` or `test`.
    domains: which ones.
    kinds: pictures that the records must have.
    at_least: how many frames of each domain there must be.

  Raises:
    BadInput: the data set has no such records.
  """
  info, found = builder.load(data).info, {}
  for kind in (k for k in kinds if k not in info.features):
    raise BadInput(
      f'{data} has no {kind}, which the config asks for: run `python -m '
      f'echogan_jax.ingest --output {data}` again with --annotations'
    )
  for domain in domains:
    name = f'{split}_{domain}'
    if name not in info.splits:
      counts = [f'{k} {v.num_examples}' for k, v in info.splits.items()]
      raise BadInput(
        f'{data}: the {split} split has no {domain} frames (there are '
        f'{", ".join(counts)}): ingest more patients, or change its --seed'
      )
    there = info.splits[name]
    if there.num_examples < at_least:
      raise BadInput(
        f'{data}: only {there.num_examples} {domain} frames in the {split} '
        f'split, too few for config.data.batch_size={at_least}: add data or '
        'lower it'
      )
    files = [str(path) for path in there.filepaths]
    found[domain] = Shards(files, there.shard_lengths)
  return found


class _Epoch(NamedTuple):
  """How one epoch is laid out, all int64.

  Attributes:
    seed: its own.
    order: the shards, [shards].
    per_block: how many of them make a block.
    ends: how many records have come after each block, [blocks].
    last: which record of the files each draw ends with, as a running number
      of draws in file order, [records + 1]; empty where each comes once.
  """

  seed: tf.Tensor
  order: tf.Tensor
  per_block: tf.Tensor
  ends: tf.Tensor
  last: tf.Tensor


class Order:
  """Endless epochs of serialised records.

  Args:
    shards: where they are.
    buffer: how many records a block may have; it has at least one shard.
    seed: of everything.
    weights: how often to draw each record, in file order, of mean 1; None for
      once each. They take 16 bytes for each record.
  """

  def __init__(
    self,
    shards: Shards,
    buffer: int,
    *,
    seed: int,
    weights: np.ndarray | None = None,
  ):
    self._files = tf.constant(shards.files)
    bounds = np.cumsum([0, *shards.lengths], dtype=np.int64)
    self._bounds, self._count = tf.constant(bounds), int(bounds[-1])
    self._buffer, self._seed = buffer, seed
    # a tensor from here: an array would be copied into the graph
    self._cumulative = (
      None if weights is None else tf.constant(balance.cumulative(weights))
    )

  def records(self, start: int) -> tf.data.Dataset:
    """Return all records from index `start` on, still serialised."""
    first, skip = divmod(start, self._count)

    def epoch(number):
      return self._records(number, skip * tf.cast(number == first, tf.int64))

    return tf.data.Dataset.range(first, _FOREVER).flat_map(epoch)

  def _records(self, number: tf.Tensor, skip: tf.Tensor) -> tf.data.Dataset:
    """Return one epoch without its first `skip` records."""
    epoch = self._epoch(number)
    first = tf.searchsorted(epoch.ends, [skip], side='right')[0]

    def block(index):
      before = tf.concat([[0], epoch.ends], 0)[index]
      size = tf.maximum(epoch.ends[index] - before, self._buffer)
      own = tf.bitwise.bitwise_xor(epoch.seed, index)
      records = self._block(epoch, index)
      records = records.shuffle(size, own, reshuffle_each_iteration=False)
      return records.skip(tf.maximum(skip - before, 0))

    blocks = tf.data.Dataset.range(
      tf.cast(first, tf.int64), tf.size(epoch.ends, tf.int64)
    )
    return blocks.flat_map(block)

  def _epoch(self, number: tf.Tensor) -> _Epoch:
    seed = tf.random.stateless_uniform([], (self._seed, number), **_ALL)
    last, bounds = tf.constant([], tf.int64), self._bounds
    if self._cumulative is not None:
      last = self._draw(seed)
      bounds = tf.gather(last, bounds)
    lengths = bounds[1:] - bounds[:-1]
    if self._count <= self._buffer:  # one block: the shuffle does it all
      per_block = tf.size(lengths, tf.int64)
      order = tf.range(per_block)
    else:
      draws = tf.random.stateless_uniform([len(lengths)], (seed, 2), **_ALL)
      order = tf.cast(tf.argsort(draws, stable=True), tf.int64)
      per_block = tf.maximum(self._buffer // tf.reduce_max(lengths), 1)
    done = tf.cumsum(tf.gather(lengths, order))
    ends = tf.concat([done[per_block - 1 : -1 : per_block], done[-1:]], 0)
    return _Epoch(seed, order, per_block, ends, last)

  def _draw(self, seed: tf.Tensor) -> tf.Tensor:
    """Return how many records are drawn before each, and in all."""
    u = tf.random.stateless_uniform([], (seed, 1), dtype=tf.float64)
    ends = tf.cast(tf.floor(self._cumulative + u), tf.int64)
    return tf.concat([[0], tf.minimum(ends, self._count)], 0)

  def _block(self, epoch: _Epoch, index: tf.Tensor) -> tf.data.Dataset:
    """Return the records of one block, shard by shard."""
    first = index * epoch.per_block
    mine = epoch.order[first : first + epoch.per_block]
    if self._cumulative is None:
      return tf.data.TFRecordDataset(tf.gather(self._files, mine))

    def shard(which):
      first, end = self._bounds[which], self._bounds[which + 1]
      times = epoch.last[first + 1 : end + 1] - epoch.last[first:end]
      times = tf.data.Dataset.from_tensor_slices(times)
      records = tf.data.TFRecordDataset(self._files[which])
      return tf.data.Dataset.zip(records, times).flat_map(
        lambda record, n: tf.data.Dataset.from_tensors(record).repeat(n)
      )

    return tf.data.Dataset.from_tensor_slices(mine).flat_map(shard)


def own(
  stream: tf.data.Dataset, batch_size: int, share: tuple[int, int]
) -> tf.data.Dataset:
  """Return this host's rows of every batch, still serialised."""
  host, hosts = share
  if hosts == 1:
    return stream
  first, end = (n * batch_size // hosts for n in (host, host + 1))
  return (
    stream.batch(batch_size, drop_remainder=True)
    .map(lambda index, record: (index[first:end], record[first:end]))
    .unbatch()
  )
