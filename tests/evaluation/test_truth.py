"""Whole clips of truth: units, grids, and files that are something else."""

import json

import numpy as np
import pytest

from echogan_jax.command import BadInput
from echogan_jax.data import annotation
from echogan_jax.data.sector import Sector
from echogan_jax.evaluation import case as cases
from echogan_jax.evaluation import truth

PLACE = Sector(40, 40, (0, 0, 40), ((19, 2), (20, 2), (37, 37), (2, 37)))


def write(path, **changes):
  """Write the truth of a clip of two frames, 0.5 mm a pixel."""
  grey = np.full((2, 40, 40), 100, np.uint8)
  arrays = {
    'degraded': grey,
    'clean': grey + 50,
    'mask': np.zeros_like(grey),
    'displacement': np.full((2, 40, 40, 2), (3.0, -1.0), np.float32),
    'mm_per_pixel': 0.5,
    'frame_time': 40.0,
  }
  arrays['mask'][:, 10:30, 15:26] = 1
  arrays['displacement'][:, ~PLACE.mask()] = 0  # as phantom has it
  arrays |= changes
  np.savez(path, **{k: a for k, a in arrays.items() if a is not None})
  return path


@pytest.fixture
def path(tmp_path):
  return write(tmp_path / 'clip.npz')


def test_at_native_size_nothing_is_resampled(path):
  found = truth.read(path, PLACE, 40)
  inside = PLACE.mask()
  np.testing.assert_array_equal(found.inside, inside)
  np.testing.assert_array_equal(found.input, np.where(inside, [[[100]]] * 2, 0))
  np.testing.assert_array_equal(found.target[:, inside], 150)
  moved = found.displacement[:, inside]
  np.testing.assert_allclose(moved[..., 0], 6)
  np.testing.assert_allclose(moved[..., 1], -2)
  assert (found.mm, found.frame_time) == (0.5, 40.0)


def test_at_half_the_size_a_pixel_is_twice_as_long(path):
  found = truth.read(path, PLACE, 20)
  assert found.mm == 1.0
  centre = found.displacement[:, 12, 10]
  np.testing.assert_allclose(centre, [[3, -1]] * 2, rtol=1e-6)
  assert found.displacement.dtype == np.float32


def test_the_rim_of_the_sector_moves_like_the_rest(path):
  found = truth.read(path, PLACE, 20)
  moved = found.displacement[:, found.inside]
  np.testing.assert_allclose(moved[..., 0], 3, rtol=1e-3)


def test_a_clip_has_the_labels_of_its_frames(ingested, phantom):
  source = cases.source(ingested, 'train', 32, str(phantom))
  for row in cases.rows(source, 'low'):
    path = annotation.of(source.truth, row['source_sha256'])
    place = Sector.from_json(row['sector'])
    found, number = truth.read(path, place, 32), int(row['frame'])
    drawn = annotation.read(path, [number], place, 32)
    np.testing.assert_array_equal(found.target[number], drawn['target'][0])
    np.testing.assert_array_equal(found.labels[number], drawn['anatomy'][0])


@pytest.mark.parametrize('name', truth._ARRAYS)
def test_what_is_no_phantoms_is_none(tmp_path, name):
  path = write(tmp_path / 'clip.npz', **{name: None})
  assert truth.read(path, PLACE, 20) is None
  assert truth.findings(path) == {}


@pytest.mark.parametrize('kept', [0, 0.5, 0.98])
def test_a_cut_file_is_damaged(path, kept):
  content = path.read_bytes()
  path.write_bytes(content[: int(kept * len(content))])
  with pytest.raises(BadInput, match=path.name):
    truth.read(path, PLACE, 20)


def test_a_clip_of_another_size_does_not_fit(path):
  other = Sector(50, 40, (0, 0, 40), PLACE.polygon)
  with pytest.raises(BadInput, match='do not fit'):
    truth.read(path, other, 20)


def test_findings_are_what_the_patient_has(tmp_path):
  numbers = json.dumps({'effusion_mm': 0.0, 'thrombus_mm': 7.5})
  path = write(tmp_path / 'clip.npz', anatomy=np.array(numbers), lvh=1)
  found = truth.findings(path)
  assert found == {'effusion': False, 'thrombus': True, 'lvh': True}
