"""Ways up and down against PyTorch's numbers and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_layout as layout

from echogan_jax.command import BadInput
from echogan_jax.models import convolution, sampling
from echogan_jax.models.sampling import Adaptive, Down, PixelShuffle, Up


def noise(*shape):
  return jax.random.normal(jax.random.key(0), shape)


@pytest.mark.parametrize('name', ['nearest', 'bilinear', 'bicubic'])
def test_doubling_is_torchs(reference, name):
  golden = reference('primitives')
  x = jnp.asarray(layout.nhwc(golden['x']))
  y = sampling.double(x, getattr(sampling, name.upper()))
  expected = layout.nhwc(golden[f'{name}/up2'])
  np.testing.assert_allclose(y, expected, atol=5e-6)


def test_halving_keeps_ramps_and_removes_the_finest_grid():
  ramp = jnp.broadcast_to(jnp.arange(8.0)[:, None, None], (1, 8, 6, 1))
  rows = sampling.halve(ramp)[0, :, 0, 0]
  # the first pixel averages its reflection: 1, 0, 1
  np.testing.assert_allclose(rows, [0.5, 2.0, 4.0, 6.0])
  grid = jnp.broadcast_to((-1.0) ** jnp.arange(8)[:, None, None], (1, 8, 6, 1))
  np.testing.assert_allclose(sampling.halve(grid), 0.0, atol=1e-7)
  assert sampling.halve(ramp[:, :7]).shape == (1, 4, 3, 1)


@pytest.mark.parametrize('kind', sampling.UPS)
def test_every_way_up_doubles_also_a_single_pixel(kind):
  x = noise(1, 1, 1, 6)
  for size in (3, 4):
    up = Up(kind, 5, size, use_bias=True)
    y, variables = jax.eval_shape(up.init_with_output, jax.random.key(1), x)
    assert y.shape == (1, 2, 2, 5)
  where = variables['params']
  if kind == 'adaptive':
    where = where['mix']
  assert set(where) == {
    'bias',
    'icnr_kernel' if kind == 'pixel_shuffle' else 'kernel',
  }
  plain = jax.eval_shape(Up(kind, 5).init, jax.random.key(1), x)['params']
  assert 'bias' not in plain.get('mix', plain)


@pytest.mark.parametrize('kind', ['resize', 'nearest'])
def test_resizing_convolutions_reflect_at_the_edge(kind):
  x = jnp.ones((1, 4, 4, 2))
  y, variables = Up(kind, 3).init_with_output(jax.random.key(1), x)
  level = variables['params']['kernel'].sum((0, 1, 2))
  np.testing.assert_allclose(y, jnp.broadcast_to(level, y.shape), atol=1e-6)


def test_pixel_shuffle_starts_as_nearest_enlargement():
  x = noise(2, 4, 5, 3)
  y, variables = PixelShuffle(6).init_with_output(jax.random.key(1), x)
  kernel = variables['params']['icnr_kernel'][..., :6]
  small = convolution.convolve(x, kernel, pads=((1, 1), (1, 1)))
  np.testing.assert_allclose(y, sampling.double(small, (0.0, 1.0)), atol=1e-6)


def test_shuffle_puts_sub_pixels_where_torch_does():
  x = jnp.arange(8.0).reshape(1, 1, 1, 8)
  y = sampling.shuffle(x)
  np.testing.assert_array_equal(y[0, :, :, 0], [[0, 2], [4, 6]])
  np.testing.assert_array_equal(y[0, :, :, 1], [[1, 3], [5, 7]])


def test_adaptive_kernels_deviate_from_bilinear_by_context():
  x, network = noise(2, 5, 4, 16), Adaptive(16)
  params = network.init(jax.random.key(1), x)['params']
  params['mix']['kernel'] = jnp.eye(16)[None, None]
  change = params['weights']['kernel']

  def enlarge(scale, x):
    weights = params['weights'] | {'kernel': scale * change}
    return network.apply({'params': params | {'weights': weights}}, x)

  plain = sampling.double(x, sampling.BILINEAR)
  np.testing.assert_allclose(enlarge(0.0, x), plain, atol=1e-5)
  assert np.abs(enlarge(50.0, x) - plain).max() > 0.1
  # a fixed kernel would be linear in what it filters
  bent = enlarge(50.0, 2.0 * x) - 2.0 * enlarge(50.0, x)
  assert np.abs(bent).max() > 0.1


def test_adaptive_kernels_stay_in_place():
  x, network = noise(1, 6, 6, 8), Adaptive(8)
  params = network.init(jax.random.key(1), x)['params']
  params['weights']['kernel'] *= 50.0
  moved = network.apply({'params': params}, x.at[0, 0, 0].add(1.0))
  change = np.abs(moved - network.apply({'params': params}, x))[0].max(-1)
  # the context is 3x3, so one pixel away; a kernel reaches one pixel as well
  assert change[:2, :2].all()
  np.testing.assert_array_equal(change[4:], 0.0)
  np.testing.assert_array_equal(change[:, 4:], 0.0)


@pytest.mark.parametrize('kind', sampling.DOWNS)
def test_every_way_down_halves_after_its_norm(kind):
  down = Down(kind, 5).bind({'params': {'kernel': noise(3, 3, 2, 5)}})
  y = down(noise(1, 8, 6, 2))
  assert y.shape == ((1, 4, 3, 5) if kind == 'stride' else (1, 8, 6, 5))
  assert down.settle(y).shape == (1, 4, 3, 5)


def test_unknown_kinds_are_refused_by_name():
  x = noise(1, 4, 4, 1)
  with pytest.raises(BadInput, match='up=sinc: choose deconv, resize'):
    Up('sinc', 2).init(jax.random.key(0), x)
  with pytest.raises(BadInput, match='down=pool: choose stride, blur'):
    Down('pool', 2).init(jax.random.key(0), x)
