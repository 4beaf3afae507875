"""The challenge's scores against those of the official codes."""

import numpy as np
import pytest

from echogan_jax.metrics import dehazing
from echogan_jax.metrics.dehazing import Vector

OURS = {
  'semantic_dps': dehazing.score,
  'dehazingecho2025_reference': dehazing.score_linear,
}


@pytest.mark.parametrize('name', OURS)
def test_scores_are_the_official_ones(reference, name):
  golden = reference('challenge_metrics')
  assert golden['score/columns'].tolist() == [
    'FID',
    'CNR',
    'gCNR',
    'KS_A',
    'KS_B',
    'Dice',
    'ASD',
  ]
  vectors = [Vector(*row) for row in golden['score/vectors_f64'].tolist()]
  found = [OURS[name](vector) for vector in vectors]
  expected = golden[f'score/{name}_f64']
  np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
  found = [OURS[name](v._replace(dice=None, asd=None)) for v in vectors]
  expected = golden[f'score/{name}_without_seg_f64']
  np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_the_winner_has_its_published_score():
  winner = Vector(64.62, 1.790, 0.799, 0.098, 0.685, 0.907, 1.775)
  assert abs(dehazing.score(winner) - 86.55) < 0.05


@pytest.mark.parametrize('score', OURS.values())
def test_every_metric_counts_in_its_direction(score):
  middle = Vector(105.0, 1.25, 0.65, 0.2, 0.25, 0.9, 1.35)
  better = Vector(100.0, 1.3, 0.7, 0.15, 0.3, 0.91, 1.3)
  for field, value in better._asdict().items():
    assert score(middle._replace(**{field: value})) > score(middle), field


@pytest.mark.parametrize('score', OURS.values())
def test_half_a_segmentation_is_refused(score):
  with pytest.raises(ValueError, match='both or neither'):
    score(Vector(60.0, 1.5, 0.8, 0.1, 0.5, dice=0.9))
