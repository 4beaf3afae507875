"""Layers against PyTorch's numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_layout as layout

from echogan_jax.models import convolution, layers


@pytest.mark.parametrize('name', ['k3s2p1op1', 'k4s2p1'])
def test_deconvolution_is_torchs(reference, name):
  golden = reference('primitives')
  group = f'convT_{name}'
  y = convolution.deconvolve(
    jnp.asarray(layout.nhwc(golden[f'{group}/x'])),
    jnp.asarray(golden[f'{group}/weight'].transpose(2, 3, 0, 1)),
    padding=1,
    output_padding=int(name.endswith('op1')),
  )
  y = y + golden[f'{group}/bias']
  np.testing.assert_allclose(y, layout.nhwc(golden[f'{group}/y']), atol=1e-5)


@pytest.mark.parametrize(
  ('name', 'stride'), [('k3s2p1', 2), ('k4s2p1', 2), ('k4s1p1', 1)]
)
def test_convolution_is_torchs(reference, name, stride):
  golden = reference('primitives')
  group = f'conv_{name}'
  y = convolution.convolve(
    jnp.asarray(layout.nhwc(golden[f'{group}/x'])),
    jnp.asarray(golden[f'{group}/weight'].transpose(2, 3, 1, 0)),
    stride=stride,
    pads=((1, 1), (1, 1)),
  )
  y = y + golden[f'{group}/bias']
  np.testing.assert_allclose(y, layout.nhwc(golden[f'{group}/y']), atol=1e-5)


@pytest.mark.parametrize('width', [1, 2, 3])
def test_reflection_is_torchs(reference, width):
  golden = reference('primitives')
  x = jnp.asarray(layout.nhwc(golden['reflection_pad/x']))
  y = layers.reflect(x, width)
  expected = layout.nhwc(golden[f'reflection_pad/p{width}'])
  np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize('width', [1, 3])
def test_a_reflections_gradient_returns_to_where_it_came_from(width):
  x = jax.random.normal(jax.random.key(0), (2, 4, 6, 3))
  pads = ((0, 0), (width, width), (width, width), (0, 0))
  grown, pull = jax.vjp(lambda x: jnp.pad(x, pads, mode='reflect'), x)
  found, ours = jax.vjp(lambda x: layers.reflect(x, width), x)
  np.testing.assert_array_equal(found, grown)
  slope = jnp.cos(grown)
  np.testing.assert_allclose(ours(slope)[0], pull(slope)[0], atol=1e-6)


def test_instance_norm_is_torchs_also_where_it_is_hard(reference):
  golden = reference('primitives')
  x = jnp.asarray(layout.nhwc(golden['instance_norm/x']))
  y, pull = jax.vjp(layers.instance_norm, x)
  (slope,) = pull(jnp.asarray(layout.nhwc(golden['instance_norm/cotangent'])))
  expected = layout.nhwc(golden['instance_norm/y_f64'])
  slopes = layout.nhwc(golden['instance_norm/vjp_f64'])
  # [0, 0] and [0, 1] are constant, [1, 1] is tiny, [1, 2] has mean 1e4
  tolerance = np.full((2, 3), 1e-6)
  tolerance[0, :2], tolerance[1, 2] = 5e-5, 2e-3
  assert np.all(np.abs(y - expected).max(axis=(1, 2)) <= tolerance)
  tolerance = np.full((2, 3), 2e-5)
  tolerance[0, :2], tolerance[1, 1:] = 1e-3, 2e-3
  assert np.all(np.abs(slope - slopes).max(axis=(1, 2)) <= tolerance)


def test_keras_norm_adds_its_epsilon_to_the_deviation():
  x = jax.random.normal(jax.random.key(0), (1, 6, 6, 2)) * 1e-2
  norm = layers.KerasInstanceNorm()
  y = norm.apply(norm.init(jax.random.key(0), x), x)
  pixels = np.asarray(x, np.float64)
  centred = pixels - pixels.mean(axis=(1, 2), keepdims=True)
  expected = centred / (pixels.std(axis=(1, 2), keepdims=True) + 1e-3)
  np.testing.assert_allclose(y, expected, atol=1e-5)
