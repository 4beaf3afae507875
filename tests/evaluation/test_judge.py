"""The judge that ships: what it is, what it reads, what is no judge."""

import json

import numpy as np
import pytest

from echogan_jax.command import BadInput
from echogan_jax.data import files
from echogan_jax.evaluation import judge
from echogan_jax.metrics.segmentation import dice
from echogan_jax.training import judge as training


@pytest.fixture(scope='module')
def shipped():
  return judge.load()


@pytest.fixture(scope='module')
def unseen():
  return training.simulate(4, seed=11, frames=2, size=80, workers=1)


def test_the_shipped_judge_is_the_one_that_was_measured(shipped):
  assert shipped.sha256 == judge.SHA256
  assert judge._SHIPPED.stat().st_size < 700_000
  assert shipped.card['config']['size'] == shipped.size
  assert shipped.card['held_out']['clean']['dice_lv'] > 0.95
  for finding in shipped.findings:
    assert shipped.card['held_out']['clean'][f'auc_{finding}'] > 0.9


def test_it_draws_new_patients(shipped, unseen):
  tissues, findings = shipped.read(unseen.clean, unseen.inside)
  assert tissues.shape == unseen.clean.shape
  assert not tissues[~unseen.inside].any()
  assert findings.shape == (len(tissues), len(shipped.findings))
  assert findings.dtype == np.float64
  pairs = zip(tissues == 1, unseen.tissues == 1, strict=True)
  assert np.mean([dice(*pair) for pair in pairs]) > 0.9


def test_neither_company_nor_what_is_outside_changes_a_reading(shipped, unseen):
  whole = shipped.read(unseen.clean, unseen.inside)
  noisy = np.where(unseen.inside, unseen.clean, 99).astype(np.uint8)
  alone = shipped.read(noisy[3:4], unseen.inside[3:4])
  np.testing.assert_array_equal(alone.tissues[0], whole.tissues[3])
  np.testing.assert_allclose(alone.findings[0], whole.findings[3], rtol=1e-4)


@pytest.mark.parametrize('shape', [(1, 32, 40), (1, 31, 31)])
def test_other_shapes_are_refused(shipped, shape):
  with pytest.raises(ValueError, match='square of 32'):
    shipped.read(np.zeros(shape, np.uint8), np.ones(shape, bool))


def altered(path, **changes):
  """Write the shipped judge with other arrays (None for none)."""
  with np.load(judge._SHIPPED, allow_pickle=False) as found:
    arrays = dict(found) | changes
  kept = {name: a for name, a in arrays.items() if a is not None}
  files.write_npz(path, kept)
  return path


def test_what_is_no_judge_is_refused(shipped, tmp_path):
  content = judge._SHIPPED.read_bytes()
  (tmp_path / 'half.npz').write_bytes(content[: len(content) // 2])
  (tmp_path / 'text.npz').write_text('hello')
  np.save(tmp_path / 'lone.npy', np.zeros(3))
  config = shipped.card['config'] | {'model': {'features': 2, 'downs': 2}}
  text = json.dumps({'config': config, 'findings': ['lvh']})
  altered(tmp_path / 'bare.npz', card=None)
  altered(tmp_path / 'other.npz', card=np.array(text))
  altered(tmp_path / 'odd.npz', card=np.array('[]'))
  for path in (*sorted(tmp_path.iterdir()), tmp_path / 'missing.npz'):
    with pytest.raises(BadInput, match='no judge.*experiments.judge'):
      judge.load(path)


def test_the_shipped_file_must_be_the_shipped_one(monkeypatch, tmp_path):
  path = altered(tmp_path / 'judge.npz', more=np.zeros(1, np.float16))
  monkeypatch.setattr(judge, '_SHIPPED', path)
  with pytest.raises(BadInput, match='SHA-256.*install the package again'):
    judge.load()


class Oracle:
  """Reads what it was told to."""

  def __init__(self, drawn):
    self.drawn = drawn

  def __call__(self, frames, inside):
    return self.drawn


def test_examination_by_hand():
  tissues = np.zeros((4, 32, 32), np.uint8)
  for label, row in ((1, 0), (2, 6), (3, 12), (4, 18), (5, 24)):
    tissues[:, row : row + 6, :10] = label
  tissues[1::2, :6, 5:10] = 0  # the ventricle at end systole
  findings = np.array([[0.0], [0.0], [1.0], [1.0]])
  truth = judge.Drawn(tissues, findings)
  told = judge.Drawn(tissues.copy(), np.array([[0.1], [0.6], [0.4], [0.9]]))
  told.tissues[:, 12:15][told.tissues[:, 12:15] == 3] = 0
  blank = np.zeros(tissues.shape, np.uint8)
  found = judge.examine(
    Oracle(told),
    blank,
    blank == 0,
    truth=truth,
    findings=('lvh',),
    beat=2,
  )
  assert found['dice_lv'] == 1 and found['ef_error'] == 0
  np.testing.assert_allclose(found['dice_la'], 2 / 3)
  assert found['auc_lvh'] == 0.75 and found['accuracy_lvh'] == 0.5


def test_a_beat_without_a_ventricle_has_no_ejection_fraction(shipped, unseen):
  findings = unseen.findings.astype(np.float64)
  blind = judge.Drawn(np.zeros_like(unseen.tissues), findings)
  found = judge.examine(
    Oracle(blind),
    unseen.clean,
    unseen.inside,
    truth=judge.Drawn(unseen.tissues, findings),
    findings=shipped.findings,
    beat=2,
  )
  assert 'ef_error' not in found and found['dice_lv'] == 0
