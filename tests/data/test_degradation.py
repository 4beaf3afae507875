import numpy as np
import pytest

from echogan_jax.data import degradation, scanner


@pytest.fixture(scope='module')
def probe():
  return scanner.draw(np.random.default_rng(5), depth_mm=140)


def effects(probe, **severities):
  return degradation.effects(severities, probe, np.random.default_rng(9))


def test_a_poor_study_has_two_to_four_kinds():
  rng = np.random.default_rng(0)
  for _ in range(50):
    drawn = degradation.draw(rng)
    assert tuple(drawn) == degradation.KINDS
    assert all(0 <= value <= 1 for value in drawn.values())
    kinds = {kind for kind, value in drawn.items() if value}
    assert 2 <= len(kinds) <= 4
    assert kinds & {'haze', 'clutter'}


def test_every_kind_is_drawn():
  rng = np.random.default_rng(1)
  drawn = [degradation.draw(rng) for _ in range(100)]
  assert all(any(d[kind] for d in drawn) for kind in degradation.KINDS)


def test_no_severity_changes_nothing(probe):
  none = effects(probe)
  assert (none.tissue == 1).all() and (none.path == 1).all()
  np.testing.assert_array_equal(none.response, scanner.transfer(probe))
  assert none.haze is None
  assert none.noise_db == none.gain_db == 0
  assert none.dynamic_range_db == probe.dynamic_range_db


def loss(factor):
  return -20 * np.log10(factor.min())


@pytest.mark.parametrize(
  ('kind', 'stage', 'measure'),
  [
    ('shadow', 'path', loss),
    ('attenuation', 'path', loss),
    ('dropout', 'tissue', loss),
    ('haze', 'haze', lambda haze: np.abs(haze).mean()),
    ('noise', 'noise_db', float),
    ('gain', 'gain_db', abs),
    ('aperture', 'response', lambda h: -np.abs(h[-1]).sum()),
    ('aberration', 'response', lambda h: np.abs(np.angle(h)).mean()),
    ('clutter', 'response', lambda h: np.abs(h[:, 0]).mean()),
  ],
)
def test_each_kind_acts_on_its_stage_and_grows(probe, kind, stage, measure):
  mild, severe = (
    measure(getattr(effects(probe, **{kind: value}), stage))
    for value in (0.3, 0.9)
  )
  assert severe > mild


def test_shadow_is_a_band_of_beams_with_soft_edges(probe):
  path = effects(probe, shadow=0.5).path
  dark = 20 * np.log10(path[-1])
  assert dark.min() == pytest.approx(-20, abs=1)
  covered = np.degrees((dark < -10).sum() * probe.beam_step)
  assert 4 <= covered <= 26
  assert np.abs(np.diff(dark)).max() < 15
  assert (path[0] > 0.7).all()


def test_one_kind_leaves_the_texture_of_another_alone(probe):
  alone = effects(probe, haze=0.5)
  together = effects(probe, haze=0.5, shadow=0.8, noise=0.4)
  np.testing.assert_array_equal(alone.haze, together.haze)


def test_shifted_haze_has_another_shape(probe):
  usual, shifted = (
    degradation.effects(
      {'haze': 0.5}, probe, np.random.default_rng(9), shifted=other
    ).haze
    for other in (False, True)
  )
  assert np.abs(shifted).mean() > np.abs(usual).mean()
