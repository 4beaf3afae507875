"""Three forms of each convolution, one mathematics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echogan_jax.models import convolution, winograd

CASES = {
  'valid': lambda x, k: convolution.convolve(x, k, pads=((0, 0), (0, 0))),
  'valid strided': lambda x, k: convolution.convolve(
    x, k, stride=2, pads=((0, 0), (0, 0))
  ),
  'uneven strided': lambda x, k: convolution.convolve(
    x, k[:3], stride=2, pads=((1, 0), (2, 1))
  ),
  'few outputs': lambda x, k: convolution.convolve(
    x, k[..., :1], pads=((1, 2), (1, 2))
  ),
  'three': lambda x, k: convolution.convolve(
    x, k[:3, :3], pads=((1, 1), (1, 0))
  ),
  'three valid': lambda x, k: convolution.convolve(
    x, k[:3, :3], pads=((0, 0), (0, 0))
  ),
  'up 3': lambda x, k: convolution.deconvolve(
    x, k[:3, :3], padding=1, output_padding=1
  ),
  'up 4': lambda x, k: convolution.deconvolve(
    x, k, padding=1, output_padding=0
  ),
}


def run(case, form, channels):
  keys = jax.random.split(jax.random.key(0))
  x = jax.random.normal(keys[0], (2, 9, 10, channels))
  kernel = jax.random.normal(keys[1], (4, 4, channels, channels + 1))
  with convolution.form(form):
    y, pull = jax.vjp(CASES[case], x, kernel)
    return y, *pull(jnp.cos(y))


@pytest.mark.parametrize('channels', [1, 5, 16])
@pytest.mark.parametrize('case', CASES)
def test_all_forms_agree_in_value_and_gradient(case, channels):
  plain = run(case, 'plain', channels)
  for form in ('portable', 'fast'):
    for a, b in zip(run(case, form, channels), plain, strict=True):
      assert a.shape == b.shape
      np.testing.assert_allclose(a, b, rtol=1e-5, atol=3e-4)


@pytest.mark.parametrize('shape', [(4, 4), (5, 6), (3, 9), (8, 7)])
def test_winograd_is_the_sum_over_nine_pixels(shape):
  random = np.random.default_rng(0)
  x = random.normal(size=(2, *shape, 3))
  kernel = random.normal(size=(3, 3, 3, 2))
  high, wide = (side - 2 for side in shape)
  expected = sum(
    x[:, i : i + high, j : j + wide] @ kernel[i, j]
    for i in range(3)
    for j in range(3)
  )
  with jax.enable_x64(True):
    y = winograd.convolve(jnp.asarray(x), jnp.asarray(kernel))
  np.testing.assert_allclose(y, expected, atol=1e-12)


def test_many_channels_go_by_winograd_on_cpu_and_by_xla_in_plain():
  x, kernel = jnp.ones((1, 8, 8, 16)), jnp.ones((3, 3, 16, 16))

  def program(form):
    with convolution.form(form):
      return str(
        jax.make_jaxpr(
          lambda x: convolution.convolve(x, kernel, pads=((1, 1), (1, 1)))
        )(x)
      )

  assert 'conv_general_dilated' not in program('fast')
  assert 'conv_general_dilated' in program('plain')


def test_an_unknown_form_is_refused():
  with pytest.raises(ValueError, match='quick'), convolution.form('quick'):
    pass


def test_deconvolution_can_be_differentiated_twice():
  x, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 3))

  def steep(x):
    def total(x):
      y = convolution.deconvolve(x, kernel, padding=1, output_padding=1)
      return jnp.sum(y**2)

    return jnp.sum(jax.grad(total)(x) ** 2)

  def check(form):
    with convolution.form(form):
      return jax.grad(steep)(x)

  np.testing.assert_allclose(check('fast'), check('plain'), rtol=1e-5)
