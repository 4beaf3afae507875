"""What a step costs, against what others counted."""

import jax
import jax.numpy as jnp
import pytest

from configs import cyclegan
from echogan_jax.models.convolution import convolve
from echogan_jax.shapes import DOMAINS, Frames
from echogan_jax.training import built, gauge, rng


@pytest.fixture(scope='module')
def made():
  return built.build(cyclegan.get_config())


def test_a_generators_pass_is_what_the_paper_sized_network_costs(made):
  image = jnp.zeros((1, 256, 256, 1))
  shapes = jax.eval_shape(made.models.generator.init, jax.random.key(0), image)
  flop = gauge.count(made.models.generator.apply, shapes, image)
  # 49.55 G multiply-adds, of which XLA leaves out those with padding
  assert flop == pytest.approx(2 * 49.55e9, rel=0.02)


def test_a_whole_step_is_near_two_teraflop(made):
  now = jax.eval_shape(made.create)
  batch = jax.eval_shape(blank_batch)
  key = jax.eval_shape(lambda: rng.root(0))
  flop = gauge.count(made.step, now, batch, key)
  assert flop == pytest.approx(1.885e12, rel=0.05)


def test_inner_maps_computed_twice_are_a_pass_more_of_each_kind(made):
  config = cyclegan.get_config()
  config.parallel.remat = True
  again = built.build(config)
  now, batch = jax.eval_shape(made.create), jax.eval_shape(blank_batch)
  key = jax.eval_shape(lambda: rng.root(0))
  more, less = (gauge.count(b.step, now, batch, key) for b in (again, made))
  assert more - less == pytest.approx(6 * 2 * 49.55e9, rel=0.02)


def blank_batch():
  image = jnp.zeros((1, 256, 256, 1), jnp.uint8)
  return {domain: Frames(image, image) for domain in DOMAINS}


def test_work_is_counted_whatever_form_it_takes(made):
  x, kernel = jnp.ones((1, 16, 16, 32)), jnp.ones((3, 3, 32, 32))
  flop = gauge.count(lambda x: convolve(x, kernel, pads=((0, 0), (0, 0))), x)
  assert flop == 2 * 14 * 14 * 9 * 32 * 32


def test_the_peak_is_a_rate_of_this_machine():
  assert 1e9 < gauge.matrix_peak('float32') < 1e16
