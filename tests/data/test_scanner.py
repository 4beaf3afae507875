import math

import numpy as np
import pytest
from scipy import stats

from echogan_jax.data import display, scanner


@pytest.fixture(scope='module')
def probe():
  return scanner.draw(np.random.default_rng(5), depth_mm=140)


@pytest.fixture(scope='module')
def speckle(probe):
  field = scanner.scatterers(probe, np.random.default_rng(6))
  return scanner.beamform(field, scanner.transfer(probe))


def width(signal, axis, step):
  """FWHM of a Gaussian amplitude kernel from its autocorrelation."""
  one = np.moveaxis(signal, axis, -1)
  power = (np.abs(one) ** 2).mean()
  lags = np.arange(1, 4)
  alike = [
    abs((one[..., n:] * one[..., :-n].conj()).mean()) / power for n in lags
  ]
  sigma = np.sqrt(-(lags**2) / (4 * np.log(alike)))
  return 2.3548 * step * sigma.mean()


def test_uniform_tissue_is_fully_developed_speckle(speckle):
  envelope = np.abs(speckle)
  assert envelope.mean() / envelope.std() == pytest.approx(1.91, abs=0.05)
  assert np.mean(envelope**2) == pytest.approx(1, abs=0.1)


def test_decorrelated_samples_are_rayleigh(speckle):
  apart = np.abs(speckle[::9, ::11]).ravel()
  scale = math.sqrt(np.mean(apart**2) / 2)
  assert stats.kstest(apart, 'rayleigh', (0, scale)).pvalue > 0.01


def test_axial_width_is_the_pulse(probe, speckle):
  assert width(speckle, 0, probe.range_step) == pytest.approx(
    probe.axial_mm, rel=0.15
  )


def test_lateral_width_is_the_beam_and_grows_with_depth(probe):
  rng = np.random.default_rng(7)
  fields = [scanner.scatterers(probe, rng) for _ in range(6)]
  signal = scanner.beamform(np.stack(fields), scanner.transfer(probe))
  found = []
  for depth in (30, 60, 90, 120):
    near = np.abs(probe.ranges - depth) < 8
    measured = width(signal[:, near], 2, probe.beam_step)
    expected = probe.widths[near].mean()
    assert measured == pytest.approx(expected, rel=0.15)
    found.append(measured * (depth + probe.radius_mm))
  assert np.all(np.diff(found) > 0)


def test_moving_between_samples_keeps_the_power(probe):
  field = scanner.scatterers(probe, np.random.default_rng(8))
  rows, beams = np.indices(field.shape).astype(np.float32)
  there = scanner.sample(field, (rows, beams))
  np.testing.assert_allclose(there, field, rtol=1e-5)
  between = scanner.sample(field, (rows + 0.5, beams + 0.5))
  assert np.mean(np.abs(between) ** 2) == pytest.approx(1, abs=0.05)


def test_place_inverts_points(probe):
  rows, beams = probe.place(probe.points().astype(np.float64))
  expected = np.indices(rows.shape)
  np.testing.assert_allclose(rows, expected[0], atol=0.01)
  np.testing.assert_allclose(beams, expected[1], atol=0.01)


def test_the_fan_fills_the_square_from_the_top(probe):
  fan = probe.fan(100)
  assert fan[:2].any() and fan[:, :2].any() and fan[:, -2:].any()
  np.testing.assert_array_equal(fan, fan[:, ::-1])


def test_compensation_undoes_the_loss(probe):
  gain = 20 * np.log10(display.compensation(probe))
  at = np.searchsorted(probe.ranges, 50)
  assert gain[at] == pytest.approx(5 * probe.frequency_mhz, rel=0.02)


def test_average_myocardium_shows_at_its_brightness(probe):
  ones = np.ones((1, len(probe.ranges), len(probe.angles)), np.complex64)
  grey = display.compress(probe, ones).mean()
  margin = 255 * 2.5 / probe.dynamic_range_db
  assert grey == pytest.approx(255 * probe.brightness, abs=margin)
  louder = display.compress(probe, ones, gain_db=6).mean()
  assert louder - grey == pytest.approx(
    255 * 6 / probe.dynamic_range_db, rel=1e-3
  )


def test_scan_conversion_puts_echoes_where_they_are(probe):
  size = 96
  levels = np.broadcast_to(
    probe.ranges[:, None], (len(probe.ranges), len(probe.angles))
  )
  frames = display.scan_convert(probe, levels[None].copy(), size)
  fan = probe.fan(size)
  row, _ = probe.place(probe.pixels(size))
  depth = row * probe.range_step
  error = frames[0][fan] - depth[fan]
  assert np.median(np.abs(error)) < 0.6 and np.abs(error).max() < 2
  assert not frames[0][~fan].any()
