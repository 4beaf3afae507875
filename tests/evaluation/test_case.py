"""Cases: the right frames, and truth that lies on them pixel by pixel."""

import numpy as np
import pytest

from echogan_jax.command import BadInput
from echogan_jax.data import manifest
from echogan_jax.data.sector import Sector, crop_mask
from echogan_jax.evaluation import case as cases
from echogan_jax.evaluation import truth


def every(source, **options):
  rows = cases.rows(source, 'low')
  return [c for batch in cases.cases(source, rows, **options) for c in batch]


def lone(source, folder):
  """Copy the truth of the first low-quality clip alone; return its row."""
  row = cases.rows(source, 'low')[0]
  name = f'{row["source_sha256"]}.npz'
  (folder / name).write_bytes((source.truth / name).read_bytes())
  return row


@pytest.fixture(scope='module')
def known(ingested, phantom):
  return cases.source(ingested, 'train', 32, str(phantom))


def test_rows_are_those_of_domain_and_split(known):
  low, high = (cases.rows(known, domain) for domain in ('low', 'high'))
  assert {r['domain'] for r in low} == {'low'} and len(low) == 8
  assert len(low) + len(high) == len(manifest.read(known.data))
  assert cases.rows(known._replace(split='all'), 'low') == low
  assert not cases.rows(known._replace(split='test'), 'low')


def test_nothing_to_measure_is_refused(ingested, tmp_path):
  with pytest.raises(BadInput, match='no low-quality frames in the test'):
    cases.source(ingested, 'test', 32)
  with pytest.raises(BadInput, match='holds no truth of these frames'):
    cases.source(ingested, 'train', 32, str(tmp_path))


def test_truth_is_the_same_from_both_places(known, annotated):
  beside = every(cases.source(annotated, 'train', 32))
  for one, other in zip(every(known), beside, strict=True):
    np.testing.assert_array_equal(one.input, other.input)
    np.testing.assert_array_equal(one.target, other.target)
    np.testing.assert_array_equal(one.labels, other.labels)
    assert set(one.findings) == {'effusion', 'thrombus', 'lvh'}
    assert not other.findings


@pytest.mark.parametrize('size', [32, 16])
def test_a_pixel_is_as_large_as_in_the_truth(known, size):
  source = known._replace(size=size)
  for one in every(source):
    path = known.truth / f'{one.row["source_sha256"]}.npz'
    place = Sector.from_json(one.row['sector'])
    true = truth.read(path, place, size)
    np.testing.assert_allclose(one.mm, true.mm, rtol=1e-4)


def test_cases_have_the_size_that_is_asked_for(known):
  for one in every(known._replace(size=16)):
    place = Sector.from_json(one.row['sector'])
    np.testing.assert_array_equal(one.inside, crop_mask(place, 16))
    for what, frame in one.seen.items():
      assert frame.shape == (16, 16) and frame.dtype == np.uint8, what
    # the halved input is still the degraded picture of the same heart
    assert np.corrcoef(one.input.ravel(), one.target.ravel())[0, 1] > 0.3


def test_every_frame_is_translated_once_and_in_order(known):
  met = []

  def translate(frames, inside):
    met.extend(frames)
    assert len(frames) <= cases.BATCH and inside.shape == frames.shape
    return 255 - frames

  found = every(known, translate=translate)
  rows = cases.rows(known, 'low')
  assert [one.row for one in found] == rows and len(met) == len(rows)
  for one, frame in zip(found, met, strict=True):
    np.testing.assert_array_equal(one.input, frame)
    np.testing.assert_array_equal(one.enhanced, 255 - frame)
    assert list(one.seen) == ['input', 'enhanced', 'target']


def test_some_clips_may_be_without_truth(known, tmp_path):
  row = lone(known, tmp_path)
  for one in every(known._replace(truth=tmp_path)):
    there = one.row['source_sha256'] == row['source_sha256']
    assert (one.target is not None) == there == bool(one.findings)
    assert (one.labels is not None) == there


@pytest.mark.parametrize('length', [0, 100, -40])
def test_damaged_truth_is_told_of(known, tmp_path, length):
  path = tmp_path / f'{lone(known, tmp_path)["source_sha256"]}.npz'
  path.write_bytes(path.read_bytes()[:length])
  with pytest.raises(BadInput, match=path.name):
    every(known._replace(truth=tmp_path))


def frames_of(patients):
  return [
    {'patient': name, 'path': f'frames/{name}_{n:04d}.png'}
    for n, name in enumerate(patients)
  ]


def test_patients_take_turns():
  rows = frames_of('aaaabbc')
  for count, turns in ((2, 'ab'), (3, 'abc'), (5, 'aabbc'), (6, 'aaabbc')):
    found = cases.spread(rows, count)
    assert ''.join(rows[n]['patient'] for n in found) == turns
    assert found == sorted(set(found))
  assert cases.spread(rows, 99) == list(range(7))
  assert cases.spread(rows, 0) == []


def test_the_same_frames_are_taken_in_any_order():
  rows = frames_of('abc' * 9)
  turned = rows[::-1]
  for count in (3, 7):
    found, again = (
      {some[n]['path'] for n in cases.spread(some, count)}
      for some in (rows, turned)
    )
    assert found == again


def test_frames_taken_are_of_all_phases():
  """The first frames of all clips would be of one moment of the beat."""
  rows = [
    {'patient': f'p{patient}', 'path': f'frames/{patient}_{phase}.png'}
    for patient in range(40)
    for phase in range(4)
  ]
  phases = [n % 4 for n in cases.spread(rows, 40)]
  assert min(map(phases.count, range(4))) >= 3
