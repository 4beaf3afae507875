"""The TFDS data set `echo_quality`, built from the frames of `ingest`.

Where `ingest` was given annotations, each example has also `anatomy`, the
tissue of each pixel (255 everywhere where nothing is drawn), or `target`, the
same frame from a better machine (0 everywhere where there is none), or both.
"""

import contextlib
import functools
import io
import logging
import os
import pathlib
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np

# read when TensorFlow is loaded, which would else fill stderr
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
# its message; and its sums, whose order changes from machine to machine
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')

import tensorflow as tf  # noqa: E402
import tensorflow_datasets as tfds  # noqa: E402

from echogan_jax.command import BadInput  # noqa: E402
from echogan_jax.data import annotation, curate, manifest, sector  # noqa: E402
from echogan_jax.shapes import GRADES  # noqa: E402

# JAX owns the accelerator
tf.config.set_visible_devices([], 'GPU')

UNKNOWN = -1

# by domain, the serialised examples in file order and how many they are
Records = dict[str, tuple[tf.data.Dataset, int]]


class EchoQuality(tfds.core.GeneratorBasedBuilder):
  """Echocardiogram frames of low and high quality, unpaired.

  The splits are `train_low`, `train_high`, `validation_low` and so on; no
  patient is in two of train, validation and test.
  """

  VERSION = tfds.core.Version('1.0.0')
  MANUAL_DOWNLOAD_INSTRUCTIONS = 'The folder that echogan_jax.ingest wrote.'

  def __init__(self, *, annotations: Iterable[str] = (), **options: object):
    self._annotations = tuple(annotations)
    super().__init__(**options)

  def _info(self) -> tfds.core.DatasetInfo:
    image = {'shape': (None, None, 1), 'encoding_format': 'png'}
    return tfds.core.DatasetInfo(
      builder=self,
      features=tfds.features.FeaturesDict(
        {
          'image': tfds.features.Image(**image),
          'mask': tfds.features.Image(**image),
          **{kind: tfds.features.Image(**image) for kind in self._annotations},
          'patient': tfds.features.Text(),
          'study': tfds.features.Text(),
          'clip': tfds.features.Text(),
          'frame': np.int32,
          **dict.fromkeys(GRADES, np.int32),
        }
      ),
    )

  def _split_generators(
    self, dl_manager: tfds.download.DownloadManager
  ) -> dict[str, Iterator[tuple[str, dict]]]:
    data = pathlib.Path(dl_manager.manual_dir)
    names = dict.fromkeys(_split(row) for row in manifest.read(data))
    return {name: self._generate_examples(data, name) for name in names}

  def _generate_examples(
    self, data: pathlib.Path, split: str
  ) -> Iterator[tuple[str, dict]]:
    return examples(data, split)


def _split(row: manifest.Row) -> str:
  return f'{row["split"]}_{row["domain"]}'


def examples(data: pathlib.Path, split: str) -> Iterator[tuple[str, dict]]:
  """Yield the key and features of every frame of a split.

  Args:
    data: what `ingest` wrote.
    split: such as `train_low`.
  """
  for row in manifest.read(data):
    if _split(row) == split:
      yield row['path'], _example(data, row)


def _example(data: pathlib.Path, row: manifest.Row) -> dict[str, object]:
  fan = sector.Sector.from_json(row['sector'])
  side = int(row['width'])
  mask = sector.crop_mask(fan, side).astype(np.uint8) * 255
  drawn = {
    kind: _annotation(data, row, kind) for kind in annotation.kinds(data)
  }
  return {
    'image': (data / row['path']).read_bytes(),
    'mask': annotation.png(mask),
    **drawn,
    'patient': row['patient'],
    'study': row['study'],
    'clip': row['clip'],
    'frame': int(row['frame']),
    **{name: int(row[name] or UNKNOWN) for name in GRADES},
  }


def _annotation(data: pathlib.Path, row: manifest.Row, kind: str) -> bytes:
  path = data / annotation.beside(row['path'], kind)
  if path.exists():
    return path.read_bytes()
  return _blank(kind, int(row['width']))


@functools.lru_cache(maxsize=4)
def _blank(kind: str, side: int) -> bytes:
  level = annotation.KINDS[kind].blank
  return annotation.png(np.full((side, side), level, np.uint8))


def build(data: pathlib.Path) -> None:
  """Build DATA/tfds from what `ingest` wrote, unless it is up to date.

  Raises:
    BadInput: the folder is not what `ingest` writes.
  """
  mark = data / 'tfds' / 'manifest.sha256'
  wanted = manifest.fingerprint(data)
  if mark.exists() and mark.read_text() == wanted:
    return
  shutil.rmtree(data / 'tfds', ignore_errors=True)
  tfds.disable_progress_bar()
  logging.getLogger('absl').setLevel(logging.ERROR)
  config = tfds.download.DownloadConfig(manual_dir=data, try_download_gcs=False)
  made = EchoQuality(
    annotations=annotation.kinds(data),
    data_dir=data / 'tfds',
    file_format='tfrecord',
  )
  # TFDS announces a download that does not happen
  with contextlib.redirect_stdout(io.StringIO()):
    made.download_and_prepare(download_config=config)
  shutil.rmtree(data / 'tfds' / 'downloads', ignore_errors=True)
  # the mark comes last: a build without it was interrupted
  curate.write(mark, wanted.encode())


def load(data: pathlib.Path) -> tfds.core.DatasetBuilder:
  """Return the built data set for reading.

  Raises:
    BadInput: it is missing or older than the manifest.
  """
  mark = data / 'tfds' / 'manifest.sha256'
  wanted = manifest.fingerprint(data)
  if not mark.exists() or mark.read_text() != wanted:
    raise BadInput(
      f'{data}/tfds is missing or older than the manifest: run '
      f'`python -m echogan_jax.ingest --output {data}` again'
    )
  version = str(EchoQuality.VERSION)
  folder = data / 'tfds' / EchoQuality.name / version
  return tfds.builder_from_directory(folder)


def records(
  data: pathlib.Path,
  split: str,
  domains: Iterable[str],
  kinds: Iterable[str] = (),
  at_least: int = 1,
) -> Records:
  """Return the records of a split.

  Args:
    data: what `ingest` wrote.
    split: `train`, `validation` or `test`.
    domains: which ones.
    kinds: pictures that the records must have.
    at_least: how many frames of each domain there must be.

  Raises:
    BadInput: the data set has no such records.
  """
  info, found = load(data).info, {}
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
    count = info.splits[name].num_examples
    if count < at_least:
      raise BadInput(
        f'{data}: only {count} {domain} frames in the {split} split, too few '
        f'for config.data.batch_size={at_least}: add data or lower it'
      )
    files = [str(path) for path in info.splits[name].filepaths]
    found[domain] = tf.data.TFRecordDataset(files), count
  return found


def pictures(record: tf.Tensor, names: Collection[str]) -> dict[str, tf.Tensor]:
  """Decode some pictures of a serialised example, uint8 [h, w, 1] each."""
  text = tf.io.FixedLenFeature([], tf.string)
  found = tf.io.parse_single_example(record, dict.fromkeys(names, text))
  return {name: tf.io.decode_png(found[name], channels=1) for name in names}


def numbers(record: tf.Tensor, names: Sequence[str]) -> tf.Tensor:
  """Read some numbers of a serialised example, as one int32 vector."""
  number = tf.io.FixedLenFeature([], tf.int64)
  found = tf.io.parse_single_example(record, dict.fromkeys(names, number))
  return tf.cast(tf.stack([found[name] for name in names]), tf.int32)
