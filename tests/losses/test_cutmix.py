"""CutMix against U-Net GAN's own masks, values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_layout as layout

from echogan_jax.command import BadInput
from echogan_jax.losses.cutmix import boxes, cutmix, draw
from echogan_jax.shapes import Trial, Verdict

NAMES = ('real', 'fake', 'mixed')
CASES = {
  'slow_aug_cons_warm': (True, 1.0, 0.3),
  'slow_aug_cons_full': (True, 1.0, 1.0),
  'full_batch_mixround': (True, 1.0, 1.0),
  'consistency_only': (False, 1.0, 1.0),
  'augmentation_only_warm': (True, 0.0, 0.4),
}


def trial(logits, mix, mask=None):
  """Return a trial from {name: (map, global)}."""
  verdicts = {name: Verdict(tuple(logits[name]), ()) for name in NAMES}
  mask = jnp.ones(mix.shape) if mask is None else mask
  return Trial(real_mask=mask, fake_mask=mask, mix=mix, **verdicts)


def random_trial(mask=None):
  keys = iter(jax.random.split(jax.random.key(1), 7))
  logits = {
    name: (
      jax.random.normal(next(keys), (2, 8, 12, 1)),
      jax.random.normal(next(keys), (2, 1, 1, 1)),
    )
    for name in NAMES
  }
  mix = boxes(draw(next(keys), 2, 8, 12), 8, 12)
  return trial(logits, mix, mask)


@pytest.mark.parametrize('side', [128, 64, 33])
def test_boxes_are_the_originals(reference, side):
  golden = reference('unetgan_losses')
  draws = jnp.asarray(golden[f'cutmix/{side}/draws_f64'], jnp.float32)
  masks = boxes(draws, side, side)[..., 0]
  np.testing.assert_array_equal(masks, golden[f'cutmix/{side}/mask'])


def test_boxes_keep_the_shape_of_the_image():
  mask = boxes(jnp.array([[0.75, 10.0, 20.0, 0.0]]), 20, 40)[0, :, :, 0]
  expected = np.ones((20, 40))
  expected[5:15, 10:30] = 0
  np.testing.assert_array_equal(mask, expected)


def test_draws_cover_their_ranges():
  draws = np.asarray(draw(jax.random.key(0), 2000, 3, 5))
  for column in (0, 3):
    uniform = draws[:, column]
    assert uniform.min() >= 0 and uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.03
  assert set(draws[:, 1]) == {0, 1, 2}
  assert set(draws[:, 2]) == {0, 1, 2, 3, 4}
  assert abs(np.corrcoef(draws.T) - np.eye(4)).max() < 0.1


@pytest.mark.parametrize('case', CASES)
def test_values_and_slopes_are_the_originals(reference, case):
  golden = reference('unetgan_losses')
  augmentation, consistency, strength = CASES[case]
  mix = jnp.asarray(layout.nhwc(golden['losses/mask']), jnp.float32)
  logits = {
    name: (
      jnp.asarray(layout.nhwc(golden[f'losses/map_{name}'])),
      jnp.asarray(golden[f'losses/glob_{name}'])[:, None, None],
    )
    for name in NAMES
  }

  def loss(logits):
    values = cutmix(
      trial(logits, mix),
      augmentation=augmentation,
      consistency=consistency,
      strength=strength,
    )
    return jnp.mean(values)

  def logged(name):
    return golden.get(f'losses/{case}/{name}', 0.0)

  value, slopes = jax.value_and_grad(loss)(logits)
  # the original logs the coefficient with the two last, not with the first
  parts = ('D_loss_mixed_2d', 'mixed_middle_loss', 'consistency')
  expected = sum(logged(part) for part in parts)
  # a sum of a thousand squares in float32: 5e-6 is near the rounding
  np.testing.assert_allclose(value, expected, rtol=0, atol=1e-5)
  plain = 0.0 if case == 'full_batch_mixround' else 1.0
  for name in NAMES:
    for head, slope in zip(('map', 'glob'), slopes[name], strict=True):
      key = f'{head}_{name}'
      # the stored gradients are of the whole loss, the normal terms included
      rest = plain * golden.get(f'losses/plain/grad/{key}', np.zeros(()))
      expected = np.asarray(logged(f'grad/{key}')) - rest
      if expected.ndim == 4:
        expected = layout.nhwc(expected)
      else:
        expected = expected.reshape(slope.shape) if expected.ndim else expected
      np.testing.assert_allclose(slope, expected, rtol=0, atol=2e-7)


def test_only_the_real_sector_counts():
  mask = jnp.zeros((2, 8, 12, 1)).at[:, :, :6].set(1.0)
  shown = random_trial(mask)

  def moved(columns):
    pixels, whole = shown.mixed.logits
    pixels = pixels.at[:, :, columns].add(1.0)
    return shown._replace(mixed=Verdict((pixels, whole), ()))

  outside, inside = moved(slice(6, None)), moved(slice(None, 6))
  np.testing.assert_array_equal(cutmix(outside), cutmix(shown))
  assert not np.allclose(cutmix(inside), cutmix(shown))


def test_slopes_are_finite_for_an_empty_mask():
  shown = random_trial(jnp.zeros((2, 8, 12, 1)))
  slopes = jax.grad(lambda t: jnp.sum(cutmix(t)))(shown)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(slopes))


def test_strength_may_be_traced():
  shown = random_trial()
  traced = jax.jit(lambda s: cutmix(shown, strength=s))(jnp.float32(0.3))
  np.testing.assert_allclose(traced, cutmix(shown, strength=0.3), rtol=1e-5)


def test_a_discriminator_without_both_heads_is_refused():
  shown = random_trial()
  patches = Verdict((jnp.zeros((2, 2, 3, 1)),), ())
  with pytest.raises(BadInput, match='judges each pixel'):
    cutmix(shown._replace(mixed=patches))
