"""Shared fixtures; the environment is set before jax is imported."""

import os
import pathlib
import tempfile

_HERE = pathlib.Path(__file__).parent
_CACHE = pathlib.Path(tempfile.gettempdir()) / 'echogan_jax_test_cache'

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ['XLA_FLAGS'] = ' '.join(
  [
    os.environ.get('XLA_FLAGS', ''),
    '--xla_force_host_platform_device_count=8',
    # tests compile for long and compute briefly: a third of the time
    os.environ.get('ECHOGAN_TEST_XLA', '--xla_backend_optimization_level=0'),
  ]
)
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(_CACHE))
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

import numpy as np  # noqa: E402
import pytest  # noqa: E402


@pytest.fixture(scope='session')
def reference():
  """Load a file of numbers that the official implementations made."""

  def load(name):
    path = _HERE / 'reference' / f'{name}.npz'
    return dict(np.load(path, allow_pickle=False))

  return load


@pytest.fixture(scope='session')
def phantom(tmp_path_factory):
  """Write phantom studies by the verb: a folder with studies and truth."""
  from echogan_jax import phantom

  folder = tmp_path_factory.mktemp('phantom')
  phantom.main(
    [
      f'--output={folder}',
      '--studies=16',
      '--seed=3',
      '--size=64',
      '--frames=3',
      '--workers=1',
    ]
  )
  return folder


@pytest.fixture(scope='session')
def ingested(phantom, tmp_path_factory):
  """Ingest the phantom studies by the verb."""
  from echogan_jax import ingest

  data = tmp_path_factory.mktemp('ingested') / 'data'
  ingest.main(
    [f'--input={phantom}', f'--output={data}', '--size=32', '--workers=1']
  )
  return data


@pytest.fixture(scope='session')
def annotated(phantom, tmp_path_factory):
  """Ingest them with what was drawn of them, and how they would look."""
  from echogan_jax import ingest

  data = tmp_path_factory.mktemp('annotated') / 'data'
  ingest.main(
    [
      f'--input={phantom}',
      f'--output={data}',
      f'--annotations={phantom}',
      '--size=32',
      '--workers=1',
    ]
  )
  return data


@pytest.fixture(scope='session')
def workdir(ingested, tmp_path_factory):
  """Train for four steps: a workdir with two checkpoints."""
  import tiny

  from echogan_jax.training import loop

  folder = tmp_path_factory.mktemp('runs') / 'trained'
  loop.train(tiny.config(ingested, num_steps=4), folder)
  return folder
