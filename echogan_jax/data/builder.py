"""The TFDS data set `echo_quality`, built from the frames of `ingest`."""

import contextlib
import io
import logging
import os
import pathlib
import shutil
from collections.abc import Iterator

import numpy as np
from PIL import Image

# read when TensorFlow is loaded, which would else fill stderr
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
# its message; and its sums, whose order changes from machine to machine
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')

import tensorflow as tf  # noqa: E402
import tensorflow_datasets as tfds  # noqa: E402

from echogan_jax.command import BadInput  # noqa: E402
from echogan_jax.data import curate, manifest, sector  # noqa: E402
from echogan_jax.shapes import GRADES  # noqa: E402

# JAX owns the accelerator
tf.config.set_visible_devices([], 'GPU')

UNKNOWN = -1


class EchoQuality(tfds.core.GeneratorBasedBuilder):
  """Echocardiogram frames of low and high quality, unpaired.

  The splits are `train_low`, `train_high`, `validation_low` and so on; no
  patient is in two of train, validation and test.
  """

  VERSION = tfds.core.Version('1.0.0')
  MANUAL_DOWNLOAD_INSTRUCTIONS = 'The folder that echogan_jax.ingest wrote.'

  def _info(self) -> tfds.core.DatasetInfo:
    image = {'shape': (None, None, 1), 'encoding_format': 'png'}
    return tfds.core.DatasetInfo(
      builder=self,
      features=tfds.features.FeaturesDict(
        {
          'image': tfds.features.Image(**image),
          'mask': tfds.features.Image(**image),
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
  mask = sector.crop_mask(fan, int(row['width'])).astype(np.uint8) * 255
  png = io.BytesIO()
  Image.fromarray(mask).save(png, 'PNG')
  return {
    'image': (data / row['path']).read_bytes(),
    'mask': png.getvalue(),
    'patient': row['patient'],
    'study': row['study'],
    'clip': row['clip'],
    'frame': int(row['frame']),
    **{name: int(row[name] or UNKNOWN) for name in GRADES},
  }


def build(data: pathlib.Path) -> None:
  """Build DATA/tfds from DATA's manifest and frames, unless it is up to date.

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
  made = EchoQuality(data_dir=data / 'tfds', file_format='tfrecord')
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
