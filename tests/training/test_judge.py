"""How the judge is made: its patients, what varies them, and that it learns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echogan_jax.shapes import TISSUES
from echogan_jax.training import judge

SIZE = 32


@pytest.fixture(scope='module')
def frames():
  return judge.simulate(4, seed=5, frames=2, size=SIZE, workers=1)


def test_patients_are_cut_and_known(frames):
  assert frames.clean.shape == frames.tissues.shape == (8, SIZE, SIZE)
  assert not frames.tissues[~frames.inside].any()
  assert set(np.unique(frames.tissues)) == set(range(TISSUES))
  cavity, wall = (frames.clean[frames.tissues == t].mean() for t in (1, 2))
  assert wall > 1.5 * cavity
  np.testing.assert_array_equal(frames.findings[::2], frames.findings[1::2])
  assert 0 < frames.findings.mean() < 1


def test_augmentation_moves_picture_and_truth_together(frames):
  batch = jax.jit(judge.augment)(frames, jax.random.key(0))
  image, tissues = np.asarray(batch.image[..., 0]), np.asarray(batch.tissues)
  assert image.min() >= -1 and image.max() <= 1
  assert (image[np.asarray(batch.inside) == 0] == -1).all()
  np.testing.assert_array_equal(tissues.sum(-1), 1)
  labels = tissues.argmax(-1)
  assert (labels != frames.tissues).any(axis=(1, 2)).all()
  cavity, wall = (image[labels == t].mean() for t in (1, 2))
  was = [frames.clean[frames.tissues == t].mean() / 127.5 - 1 for t in (1, 2)]
  assert wall - cavity > 0.8 * (was[1] - was[0])


def test_the_loss_is_least_for_the_truth(frames):
  batch = jax.jit(judge.augment)(frames, jax.random.key(0))
  sure, told = 20 * batch.tissues, 40 * (batch.findings - 0.5)
  none, parts = judge.loss(sure, told, batch)
  assert none < 1e-3 and set(parts) == {'entropy', 'dice', 'findings'}
  outside = jnp.where(batch.inside[..., None] > 0, sure, -sure)
  np.testing.assert_allclose(judge.loss(outside, told, batch)[0], none)
  _, wrong = judge.loss(jnp.roll(sure, 1, axis=-1), -told, batch)
  assert wrong['dice'] > 0.9 and wrong['findings'] > 10


def test_it_learns_and_tells_how_it_goes(frames):
  said = []
  params = judge.train(
    frames,
    seed=0,
    steps=30,
    batch_size=4,
    learning_rate=1e-2,
    features=4,
    downs=2,
    report=lambda step, parts: said.append(parts | {'step': step}),
  )
  assert [parts['step'] for parts in said] == list(range(1, 31))
  first, last = (
    np.mean([p['dice'] + p['entropy'] for p in part])
    for part in (said[:5], said[-5:])
  )
  assert last < 0.8 * first
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))
