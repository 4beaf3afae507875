import numpy as np
import pytest

from echogan_jax.command import BadInput
from echogan_jax.data import balance

NAMES = ('lvh', 'lv_size')


def skewed(count, rare, seed):
  """Labels that go together: lv_size is often lvh's; -1 is unknown."""
  rng = np.random.default_rng(seed)
  lvh = rng.choice([-1, 0, 1], count, p=[0.2, 0.8 - rare, rare])
  same = rng.random(count) < 0.5
  return np.stack([lvh, np.where(same, lvh, rng.integers(-1, 3, count))], 1)


def marginal(classes, weights):
  return np.bincount(classes + 1, weights, minlength=5) / weights.sum()


def test_every_marginal_is_the_mean_of_the_two():
  labels = {'low': skewed(300, 0.6, 1), 'high': skewed(500, 0.05, 2)}
  found = balance.weights(labels, NAMES)
  for column in range(2):
    before, after = [], []
    for domain, table in labels.items():
      before.append(marginal(table[:, column], np.ones(len(table))))
      after.append(marginal(table[:, column], found[domain]))
    assert np.abs(before[0] - before[1]).max() > 0.1
    np.testing.assert_allclose(after[0], after[1], atol=1e-6)
    np.testing.assert_allclose(after[0], np.mean(before, axis=0), atol=1e-6)
  for domain, weights in found.items():
    assert weights.shape == (len(labels[domain]),)
    assert weights.mean() == pytest.approx(1)
    assert weights.min() > 0


def test_one_grade_is_plain_reweighting():
  labels = {'low': np.array([[0], [0], [0], [1]]), 'high': np.array([[0], [1]])}
  found = balance.weights(labels, ['lvh'])
  # wanted: (3/4 + 1/2) / 2 = 5/8 of class 0
  np.testing.assert_allclose(found['low'], [5 / 6, 5 / 6, 5 / 6, 3 / 2])
  np.testing.assert_allclose(found['high'], [5 / 4, 3 / 4])


def test_what_one_domain_lacks_is_left_out_and_what_depends_on_it():
  # without high's unknown lvh, high has no lv_size 2: low loses it too
  low = np.array([[0, 0], [1, 1], [0, 2], [1, 0], [0, 1]])
  high = np.array([[0, 0], [1, 1], [-1, 2], [1, 0], [0, 1], [0, 1]])
  found = balance.weights({'low': low, 'high': high}, NAMES)
  assert np.flatnonzero(found['low'] == 0).tolist() == [2]
  assert np.flatnonzero(found['high'] == 0).tolist() == [2]
  for column in range(2):
    one, other = (
      marginal(table[:, column], found[domain])
      for domain, table in (('low', low), ('high', high))
    )
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_nothing_left():
  labels = {'low': np.array([[0, 1]]), 'high': np.array([[0, -1]])}
  with pytest.raises(BadInput, match='no class of lv_size'):
    balance.weights(labels, NAMES)


def test_grades_that_cannot_be_balanced_together():
  # in low both are always the same, but wanted are 0.4 and 0.6
  low = np.array([[0, 0], [1, 1]])
  high = np.repeat([[0, 0], [0, 1], [1, 1]], [3, 4, 3], axis=0)
  with pytest.raises(BadInput, match='in the low domain .* leave out'):
    balance.weights({'low': low, 'high': high}, NAMES)


def test_systematic_resampling():
  rng = np.random.default_rng(0)
  weights = rng.random(1000) ** 4
  weights[-300:] = 0
  weights /= weights.mean()
  total = balance.cumulative(weights)
  assert total[-1] == 1000
  seen = np.zeros(1000)
  for u in (np.arange(200) + rng.random(200)) / 200:
    times = np.diff(np.floor(total + u), prepend=0)
    assert times.sum() == 1000
    assert np.abs(times - weights).max() < 1
    seen += times / 200
  np.testing.assert_allclose(seen, weights, atol=0.02)
  assert not seen[-300:].any()
