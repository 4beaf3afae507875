"""Grades and anatomy against NumPy and their contract."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echogan_jax.losses import grades as terms
from echogan_jax.shapes import (
  GRADES,
  TISSUES,
  UNDRAWN,
  Outputs,
  Reading,
  Trial,
  Verdict,
)

LEVELS = {'la_enlarged': 2, 'lv_size': 4, 'lvh': 4}
KNOWN = jnp.array([[1, -1, 0, 2, 3], [-1] * 5, [3, 1, -1, -1, 2]])


def heads(seed):
  keys = jax.random.split(jax.random.key(seed), len(LEVELS))
  return {
    name: jax.random.normal(key, (3, levels - 1))
    for key, (name, levels) in zip(keys, LEVELS.items(), strict=True)
  }


def reading(seed):
  keys = jax.random.split(jax.random.key(seed), 3)
  maps = jax.random.normal(keys[0], (3, 4, 6, TISSUES))
  shapes = ((3, 4, 4, 2), (3, 2, 2, 5))
  return Reading(
    heads(seed), maps, tuple(map(jax.random.normal, keys[1:], shapes))
  )


def drawings():
  tissues = jax.random.randint(jax.random.key(5), (3, 4, 6, 1), 0, TISSUES)
  tissues = tissues.astype(jnp.uint8)
  return tissues.at[:, :, 3:].set(UNDRAWN).at[2].set(UNDRAWN)


def ordinal_entropy(logits, truth):
  values = []
  for row, known in enumerate(np.asarray(truth)):
    losses = []
    for name, levels in LEVELS.items():
      grade = known[GRADES.index(name)]
      if grade < 0:
        continue
      sure = 1 / (1 + np.exp(-np.asarray(logits[name][row], np.float64)))
      above = np.arange(levels - 1) < min(grade, levels - 1)
      losses.append(-np.log(np.where(above, sure, 1 - sure)).mean())
    values.append(np.mean(losses) if losses else 0.0)
  return values


def test_cumulative_logits_are_numpys():
  found = terms.cumulative(heads(0), KNOWN)
  np.testing.assert_allclose(found, ordinal_entropy(heads(0), KNOWN), rtol=1e-5)
  assert found[1] == 0


def test_a_severe_finding_is_a_finding_to_a_binary_head():
  head = {'la_enlarged': jnp.array([[2.0], [2.0], [2.0]])}
  graded = jnp.full((3, 5), -1).at[:, 0].set(jnp.array([0, 1, 3]))
  normal, mild, severe = terms.cumulative(head, graded)
  assert mild == severe < normal


def test_fakes_answer_for_their_sources_grades_and_judges_for_the_real():
  low, high = (Verdict((), (), heads(i)) for i in (1, 2))
  truth = {'low': KNOWN, 'high': KNOWN[::-1]}
  out = Outputs({}, {}, {}, grades=truth, judged={'high': high})
  one_sided = terms.cumulative(high.grades, KNOWN)
  np.testing.assert_allclose(terms.grades(out), one_sided)
  both = out._replace(judged={'low': low, 'high': high})
  expected = one_sided + terms.cumulative(low.grades, KNOWN[::-1])
  np.testing.assert_allclose(terms.grades(both), expected, rtol=1e-6)
  mask = jnp.ones((3, 4, 4, 1))
  trial = Trial(low, high, mask, mask, KNOWN)
  expected = terms.cumulative(low.grades, KNOWN)
  np.testing.assert_allclose(terms.grades_judge(trial), expected)


def test_anatomy_counts_where_it_is_drawn():
  seen, drawn = reading(0), drawings()
  found = terms.task_own(seen, jnp.full((3, 5), -1), drawn)
  shares = np.asarray(jax.nn.softmax(seen.anatomy), np.float64)[:2, :, :3]
  labels = np.asarray(drawn)[:2, :, :3]
  picked = np.take_along_axis(shares, labels.astype(int), axis=3)
  expected = -np.log(picked).mean(axis=(1, 2, 3))
  np.testing.assert_allclose(found, [*expected, 0.0], rtol=1e-5)


def test_the_task_network_reads_each_fake_by_its_sources_truth():
  out = Outputs(
    {}, {}, {}, grades={'low': KNOWN, 'high': -KNOWN}, read={'high': reading(1)}
  )
  expected = terms.cumulative(reading(1).grades, KNOWN)
  np.testing.assert_allclose(terms.task(out, anatomy=True), expected)
  out = out._replace(anatomy={'low': drawings(), 'high': drawings()})
  found = terms.task(out, anatomy=True)
  expected = terms.task_own(reading(1), KNOWN, drawings())
  np.testing.assert_allclose(found, expected)
  # what is drawn counts only where it was asked for
  assert (found[:2] > terms.task(out)[:2]).all()
  np.testing.assert_array_equal(
    terms.task(out), terms.task(out._replace(anatomy={}))
  )


def test_task_features_compare_a_fake_with_its_source():
  fake, source = reading(1), reading(2)
  out = Outputs(
    {}, {}, {}, read={'high': fake}, read_real={'low': source, 'high': fake}
  )
  expected = sum(
    np.abs(np.asarray(a - b)).mean(axis=(1, 2, 3))
    for a, b in zip(fake.features, source.features, strict=True)
  )
  np.testing.assert_allclose(terms.task_features(out), expected, rtol=1e-5)


@pytest.mark.parametrize('size', [0.0, 1e4])
def test_slopes_are_finite_without_labels_and_on_extreme_logits(size):
  undrawn = jnp.full((3, 4, 6, 1), UNDRAWN, jnp.uint8)

  def total(seen):
    blind = terms.task_own(seen, jnp.full((3, 5), -1), undrawn)
    return jnp.sum(blind + terms.task_own(seen, KNOWN, drawings()))

  extreme = jax.tree.map(lambda x: size * jnp.sign(x), reading(0))
  slopes = jax.grad(total)(extreme)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(slopes))
