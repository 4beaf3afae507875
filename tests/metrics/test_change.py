"""Recovery and invention: closed forms, their sum, and what they tell apart."""

import numpy as np
import pytest

from echogan_jax.metrics import change, fidelity

SIZE = 32
INSIDE = np.tri(SIZE, dtype=bool)


def pictures(seed=0):
  """A truth, its degradation, and something that belongs to neither."""
  random = np.random.default_rng(seed)
  truth = random.integers(60, 180, (SIZE, SIZE))
  degradation = random.integers(-40, 41, truth.shape)
  other = random.integers(-20, 21, truth.shape)
  return truth, degradation, other


def u8(values):
  assert values.min() >= 0 and values.max() <= 255
  return np.rint(values).astype(np.uint8)


def test_nothing_done_and_everything_undone():
  truth, degradation, _ = pictures()
  before = u8(truth + degradation)
  assert change.recovery(before, before, u8(truth), INSIDE) == 0
  assert change.invention(before, before, u8(truth), INSIDE) == 0
  assert change.recovery(before, u8(truth), u8(truth), INSIDE) == 1
  assert change.invention(before, u8(truth), u8(truth), INSIDE) == 0


def test_half_undone_and_something_beside():
  truth, degradation, other = pictures()
  degradation = 2 * degradation
  along = np.sum((other * degradation)[INSIDE])
  power = np.sum((degradation**2)[INSIDE])
  before = u8(np.clip(truth, 85, 170) + degradation)
  after = before - degradation // 2 + other
  goal = u8(np.clip(truth, 85, 170))
  expected = 0.5 - along / power
  found = change.recovery(before, u8(after), goal, INSIDE)
  np.testing.assert_allclose(found, expected)
  size = np.sum((other**2)[INSIDE]) - along**2 / power
  np.testing.assert_allclose(
    change.invention(before, u8(after), goal, INSIDE), np.sqrt(size / power)
  )


def test_together_they_are_the_gain_in_psnr():
  truth, degradation, other = pictures(1)
  trio = u8(truth + degradation), u8(truth + other), u8(truth)
  gain = np.diff(
    [fidelity.psnr(f[None], trio[2][None], INSIDE[None])[0] for f in trio[:2]]
  )[0]
  r = change.recovery(*trio, INSIDE)
  i = change.invention(*trio, INSIDE)
  np.testing.assert_allclose(gain, -10 * np.log10((1 - r) ** 2 + i**2))


def test_maps_say_where_it_comes_from():
  truth, degradation, other = pictures(2)
  other[:16] = -degradation[:16]  # undone above, invented below
  trio = u8(truth + degradation), u8(truth + degradation + other), u8(truth)
  along, beside = change.maps(*trio, INSIDE)
  np.testing.assert_allclose(
    along[INSIDE].mean(), change.recovery(*trio, INSIDE)
  )
  root = np.sqrt((beside[INSIDE] ** 2).mean())
  np.testing.assert_allclose(root, change.invention(*trio, INSIDE))
  assert not along[~INSIDE].any() and not beside[~INSIDE].any()
  assert along[:16][INSIDE[:16]].mean() > 4 * along[16:][INSIDE[16:]].mean()


def test_what_lies_outside_does_not_count():
  truth, degradation, other = pictures(3)
  before, goal = u8(truth + degradation), u8(truth)
  after = u8(truth + other)
  outside = np.where(INSIDE, after, 0).astype(np.uint8)
  for measure in (change.recovery, change.invention):
    assert measure(before, after, goal, INSIDE) == measure(
      before, outside, goal, INSIDE
    )
  assert change.difference(before, outside, INSIDE) == change.difference(
    before, after, INSIDE
  )


def test_what_is_not_defined_is_an_error():
  truth, _, other = pictures()
  goal, after = u8(truth), u8(truth + other)
  with pytest.raises(ValueError, match='nothing to recover'):
    change.recovery(goal, after, goal, INSIDE)
  with pytest.raises(ValueError, match='flat'):
    change.correlation(goal * 0, goal, INSIDE)
  with pytest.raises(ValueError, match='empty'):
    change.difference(goal, after, ~np.ones_like(INSIDE))


def test_a_network_that_does_nothing_is_seen():
  truth, degradation, _ = pictures(4)
  before = u8(truth + degradation)
  after = before + 2
  np.testing.assert_allclose(change.correlation(before, after, INSIDE), 1)
  assert change.difference(before, after, INSIDE) == 2
  assert abs(change.recovery(before, after, u8(truth), INSIDE)) < 0.05


def test_a_veil_lifted_is_smooth_and_structure_is_not():
  y, x = np.indices((SIZE, SIZE))
  random = np.random.default_rng(0)
  before = 60 + random.integers(0, 60, (SIZE, SIZE))
  inside = np.ones((SIZE, SIZE), bool)
  cleared = before - 20 + y  # an offset that varies slowly
  assert change.abruptness(u8(before), u8(cleared), inside).max() < 3
  disc = (x - 16) ** 2 + (y - 16) ** 2 < 9
  marked = np.where(disc, 250, cleared)
  found = change.abruptness(u8(before), u8(marked), inside)
  assert found[disc].mean() > 10 * found[:5].mean()
  half = np.tri(SIZE, dtype=bool)
  assert not change.abruptness(u8(before), u8(marked), half)[~half].any()
