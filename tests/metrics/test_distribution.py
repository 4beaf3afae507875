"""Distances between sets against official codes and closed forms."""

import numpy as np
import pytest

from echogan_jax.metrics import distribution


@pytest.fixture(scope='module')
def golden(reference):
  return reference('fid_kid')


def sets(golden):
  return (golden[f'feats{i}'].astype(np.float64) for i in (1, 2))


def test_frechet_is_the_official_one(golden):
  x, y = sets(golden)
  m, n = golden['fid/rank_deficient_n']
  cases = {
    'full': (x, y),
    'same': (x, x),
    'halves': (x[:150], x[150:]),
    'rank_deficient': (x[:m], y[:n]),
  }
  for name, pair in cases.items():
    expected = golden[f'fid/{name}_nuclear_norm_f64']
    assert abs(distribution.frechet(*pair) - expected) < 1e-8, name
    official = golden[f'fid/{name}_pytorch_fid_f64']
    assert abs(distribution.frechet(*pair) - official) < 1e-6, name


def test_frechet_of_known_gaussians():
  corners = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
  wide = corners * (3, 1) + (0, 2)
  # (0 + 2²) of the means; covariances are diagonal, so deviations differ
  expected = 4 + (3 - 1) ** 2 * 4 / 3
  assert abs(distribution.frechet(corners, wide) - expected) < 1e-12


def test_kernel_distance_is_the_official_one(golden):
  x, y = sets(golden)
  rows = golden['kid/subsets/idx_feats1'], golden['kid/subsets/idx_feats2']
  found = [distribution.mmd(x[i], y[j]) for i, j in zip(*rows, strict=True)]
  assert abs(np.mean(found) - golden['kid/subsets/value_f64']) < 1e-10
  pairs = {'all': (x[:250], y), 'same_distribution': (x[:150], x[150:])}
  for name, pair in pairs.items():
    found = distribution.kernel_distance(*pair)
    assert abs(found - golden[f'kid/{name}/value_f64']) < 1e-10
  # subsets are unbiased: on average they say what the whole sets say
  drawn = distribution.kernel_distance(x, y, subsets=20, size=100)
  assert abs(drawn - distribution.mmd(x, y)) < 1.2e-3
  assert drawn == distribution.kernel_distance(x, y, subsets=20, size=100)
  assert drawn != distribution.kernel_distance(
    x, y, subsets=20, size=100, seed=1
  )


def test_mmd_of_sets_of_unlike_sizes_has_no_bias():
  random = np.random.default_rng(0)
  found = [
    distribution.mmd(random.normal(size=(4, 2)), random.normal(size=(9, 2)))
    for _ in range(2000)
  ]
  assert abs(np.mean(found)) < 4 * np.std(found) / 2000**0.5


@pytest.mark.parametrize('splits', [1, 4, 10])
def test_inception_score_is_the_official_one(golden, splits):
  probabilities = golden['inception_score/probabilities']
  found = distribution.inception_score(probabilities, splits=splits)
  for value, name in zip(found, ('mean', 'std'), strict=True):
    expected = golden[f'inception_score/splits{splits}/{name}_f64']
    assert abs(value - expected) < 1e-7


def test_inception_score_counts_certain_classes():
  found = distribution.inception_score(np.eye(20)[np.arange(40) % 5], splits=2)
  np.testing.assert_allclose(found, (5, 0), atol=1e-12)


@pytest.mark.parametrize('k', [1, 3, 5])
def test_precision_and_recall_are_the_official_ones(golden, k):
  used = golden['precision_recall/n_columns_used']
  real, made = (x[:, :used] for x in sets(golden))
  precision, recall = distribution.precision_recall(real, made, k=k)
  assert np.float32(precision) == golden[f'precision_recall/k{k}/precision']
  assert np.float32(recall) == golden[f'precision_recall/k{k}/recall']


def test_collapse_is_seen_by_recall():
  real = np.random.default_rng(0).normal(size=(60, 2))
  made = np.repeat(real[:1], 60, axis=0)
  precision, recall = distribution.precision_recall(real, made)
  assert precision == 1.0 and recall == 1 / 60


def test_standardised_features_have_the_units_of_the_reference():
  random = np.random.default_rng(0)
  reference = random.normal(size=(50, 3)) * (1, 100, 0) + (5, 0, 0.1)
  other = reference[:20] + (2, 0, 7)
  found, moved = distribution.standardise(reference, other)
  assert found.shape == (50, 2) and moved.shape == (20, 2)
  score = np.sinh(found)
  np.testing.assert_allclose(score.mean(0), 0, atol=1e-12)
  np.testing.assert_allclose(score.std(0), 1)
  shift = (2 / reference[:, 0].std(), 0)
  np.testing.assert_allclose(
    np.sinh(moved) - score[:20], np.tile(shift, (20, 1)), atol=1e-9
  )
  with pytest.raises(ValueError, match='same features'):
    distribution.standardise(np.full((4, 3), 0.1), other)


def test_bootstrap_counts_patients_not_pictures():
  random = np.random.default_rng(0)
  levels = [random.normal(size=n) for n in (30, 20)]
  # five equal pictures of each patient are worth no more than one
  x, y = (np.repeat(level, 5)[:, None] for level in levels)
  patients = [np.repeat(np.arange(len(level)), 5) for level in levels]
  found = distribution.bootstrap(
    lambda x, y: x.mean() - y.mean(), x, y, patients=patients, times=2000
  )
  expected = np.sqrt(sum(level.var() / len(level) for level in levels))
  assert found.shape == () and abs(found / expected - 1) < 0.08
  pair = random.normal(size=(2, 30, 2))
  owners = [np.arange(30) // 2] * 2
  both = distribution.bootstrap(
    distribution.precision_recall, *pair, patients=owners, times=3
  )
  assert both.shape == (2,) and (both > 0).any()
  again = distribution.bootstrap(
    distribution.precision_recall, *pair, patients=owners, times=3
  )
  np.testing.assert_array_equal(both, again)


def test_too_few_pictures_are_refused():
  one, two = np.ones((1, 3)), np.ones((2, 3))
  for distance in (
    distribution.frechet,
    distribution.mmd,
    distribution.kernel_distance,
    distribution.precision_recall,
  ):
    with pytest.raises(ValueError, match='are needed'):
      distance(two, one)
  with pytest.raises(ValueError, match='10 or more'):
    distribution.inception_score(two)
  with pytest.raises(ValueError, match='two or more in each set'):
    distribution.bootstrap(
      np.mean, two, two, patients=[np.arange(2), np.zeros(2, int)]
    )
