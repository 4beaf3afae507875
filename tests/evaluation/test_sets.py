"""Distances between sets: the same reference, the same number, no overlap."""

import itertools
import pathlib

import numpy as np
import pytest

from echogan_jax.evaluation import sets
from echogan_jax.evaluation.case import Case, Source
from echogan_jax.metrics.features import Extractor

SIZE = 16
INSIDE = np.ones((SIZE, SIZE), bool)


def row(patient, domain='high', number=0):
  path = f'frames/{patient}_{number}.png'
  return {'patient': patient, 'domain': domain, 'path': path}


def picture(random, level):
  return random.integers(level, level + 40, (SIZE, SIZE)).astype(np.uint8)


@pytest.fixture
def good(monkeypatch):
  """Return two halves of bright pictures, which sources read."""
  random = np.random.default_rng(0)

  def read(source, rows):
    yield [Case(r, picture(random, 150), None, INSIDE) for r in rows]

  monkeypatch.setattr(sets.cases, 'cases', read)
  return sets.halves([row(f'p{n % 8}', number=n) for n in range(40)])


def low(count=12, gain=0, patients=4):
  random = np.random.default_rng(1)
  found = []
  for n in range(count):
    grey = picture(random, 50)
    made = grey + np.uint8(gain)
    found.append(Case(row(f'q{n % patients}', 'low'), grey, made, INSIDE))
  return found


class Spy:
  """Describes pictures by mean and spread; notes how many it was shown."""

  def __init__(self):
    self.shown = []

  def __call__(self, frames, inside):
    self.shown.append(len(frames))
    x = np.where(inside, frames, 0).astype(np.float64)
    return np.stack([x.mean((1, 2)), x.std((1, 2)), x[:, 3, 3]], 1)


def measure(good, cases, name='vgg16', **more):
  spy = Spy()
  extractor = Extractor(name, 'none', spy, **more)
  source = Source(pathlib.Path('nowhere'), 'train', SIZE)
  values, intervals = sets.measure(source, good, cases, extractor)
  assert len(set(spy.shown)) == 1
  return values, intervals


def test_halves_share_no_patient():
  rows = [row(f'p{n % 7}') for n in range(30)]
  first, second = sets.halves(rows)
  names = [{r['patient'] for r in half} for half in (first, second)]
  assert not names[0] & names[1]
  assert [len(n) for n in names] == [4, 3]
  assert sorted(map(id, first + second)) == sorted(map(id, rows))
  again = sets.halves(rows[::-1])
  assert {r['patient'] for r in again.reference} == names[0]


def test_sets_are_as_large_as_the_smallest(good):
  assert sets.count(good, 100, 100) == 20
  assert sets.count(good, 15, 100) == 15
  assert sets.count(good, 100, 9) == 9
  for short in ((7, 100), (100, 7), (0, 0)):
    with pytest.raises(ValueError, match='too few'):
      sets.count(good, *short)
  with pytest.raises(ValueError, match='2 patients'):
    sets.count(sets.halves([row(f'p{n % 3}') for n in range(60)]), 20, 20)
  with pytest.raises(ValueError, match='too few'):
    sets.count(sets.halves([]), 20, 20)


def test_doing_nothing_brings_nothing_nearer(good):
  values, intervals = measure(good, low())
  assert (
    set(values)
    == set(intervals)
    == {
      f'{name}/{what}'
      for name, what in itertools.product(
        sets.NAMES['vgg16'], ('input', 'enhanced', 'floor')
      )
    }
  )
  for name in sets.NAMES['vgg16']:
    assert values[f'{name}/enhanced'] == values[f'{name}/input']


def test_what_looks_good_is_near(good):
  values, intervals = measure(good, low(gain=100))
  for name in ('fd_vgg16', 'kd_vgg16'):
    ordered = [values[f'{name}/{w}'] for w in ('floor', 'enhanced', 'input')]
    assert 20 * max(map(abs, ordered[:2])) < ordered[2], name
  assert values['precision_vgg16/input'] == 0
  assert values['precision_vgg16/enhanced'] > 0.3
  for name, (least, most) in intervals.items():
    assert least <= values[name] <= most, name
    assert name.startswith('kd') or least >= 0
    assert not name.startswith(('precision', 'recall')) or most <= 1


def test_more_frames_narrow_nothing_where_patients_are_few(good):
  """Copies of a patient's frames say nothing new."""
  some = low(8)
  once = measure(good, some)[1]['fd_vgg16/input']
  twice = measure(good, some * 2)[1]['fd_vgg16/input']
  assert twice[1] - twice[0] > 0.8 * (once[1] - once[0])


def test_radiomics_is_standardised(good):
  values, _ = measure(good, low(), 'radiomics')
  assert set(values) == {
    f'fd_radiomics/{what}' for what in ('input', 'enhanced', 'floor')
  }
  raw, _ = measure(good, low())
  assert values['fd_radiomics/input'] < raw['fd_vgg16/input'] / 10


def test_the_inception_score_is_of_features(good):
  def probabilities(pooled):
    assert pooled.shape == (12, 3)
    return np.tile([0.25, 0.75], (len(pooled), 1))

  values, _ = measure(good, low(), 'inception', probabilities=probabilities)
  assert {'fid/enhanced', 'kid/floor', 'precision/input'} <= set(values)
  for what in ('input', 'enhanced'):
    np.testing.assert_allclose(values[f'is/{what}'], 1)
