"""Adversarial objectives against the originals' numbers and their contract."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_layout as layout

from echogan_jax.command import BadInput
from echogan_jax.losses.adversarial import adversarial, adversarial_judge
from echogan_jax.shapes import Outputs, Trial, Verdict

OBJECTIVES = ('lsgan', 'bce', 'wgan', 'hinge')


def verdict(*maps):
  return Verdict(tuple(jnp.asarray(m) for m in maps), ())


def outputs(judged, mask):
  """Return a pass in which only the verdicts and the masks matter."""
  return Outputs({}, {'low': mask, 'high': mask}, {}, judged=judged)


def heads(golden, name):
  """Return U-Net GAN's logits: the map and the global one."""
  pixels = jnp.asarray(layout.nhwc(golden[f'losses/map_{name}']))
  return pixels, jnp.asarray(golden[f'losses/glob_{name}'])[:, None, None]


@pytest.mark.parametrize(
  ('objective', 'original'),
  [
    ('lsgan', 'lsgan'),
    ('bce', 'vanilla'),
    ('bce', 'nonsaturating'),
    ('wgan', 'wgangp'),
  ],
)
def test_objectives_are_the_originals(reference, objective, original):
  golden = reference('primitives')
  logits = layout.nhwc(golden['gan_loss/prediction'])
  real, fake = (golden[f'gan_loss/{original}/{k}'] for k in ('real', 'fake'))
  mask = jnp.ones((2, 64, 64, 1))
  out = outputs({'high': verdict(logits)}, mask)
  found = jnp.mean(adversarial(out, objective=objective))
  np.testing.assert_allclose(found, real, atol=1e-6)
  trial = Trial(verdict(logits), verdict(logits), mask, mask)
  found = jnp.mean(adversarial_judge(trial, objective=objective))
  np.testing.assert_allclose(found, 0.5 * (real + fake), atol=1e-6)


def test_both_heads_of_unet_gan(reference):
  golden = reference('unetgan_losses')
  mask = jnp.ones((2, 32, 32, 1))

  def generator(maps):
    out = outputs({'high': verdict(*maps)}, mask)
    return jnp.mean(adversarial(out, objective='bce'))

  def judge(real, fake):
    trial = Trial(verdict(*real), verdict(*fake), mask, mask)
    values = adversarial_judge(trial, objective='bce', judge_weight=1.0)
    return jnp.mean(values)

  value, slopes = jax.value_and_grad(generator)(heads(golden, 'gen'))
  np.testing.assert_allclose(
    value, golden['losses/plain/G_loss'], rtol=0, atol=5e-6
  )
  compare_slopes(golden, 'gen', slopes)
  real, fake = heads(golden, 'real'), heads(golden, 'fake')
  value, slopes = jax.value_and_grad(judge, argnums=(0, 1))(real, fake)
  sides = [golden[f'losses/plain/D_loss_{k}'] for k in ('real', 'fake')]
  np.testing.assert_allclose(value, 0.5 * sum(sides), rtol=0, atol=5e-6)
  for name, slope in zip(('real', 'fake'), slopes, strict=True):
    compare_slopes(golden, name, slope)


def compare_slopes(golden, name, slopes):
  pixels = layout.nhwc(golden[f'losses/plain/grad/map_{name}'])
  whole = golden[f'losses/plain/grad/glob_{name}'][:, None, None]
  for found, expected in zip(slopes, (pixels, whole), strict=True):
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-7)


def test_hinge_is_the_papers():
  mask = jnp.ones((1, 8, 8, 1))
  logits = jnp.array([-2.0, -0.5, 0.5, 3.0]).reshape(1, 2, 2, 1)
  out = outputs({'high': verdict(logits)}, mask)
  found = adversarial(out, objective='hinge')
  np.testing.assert_allclose(found, [-0.25])
  trial = Trial(verdict(logits), verdict(logits), mask, mask)
  found = adversarial_judge(trial, objective='hinge', judge_weight=1.0)
  np.testing.assert_allclose(found, [(3 + 1.5 + 0.5) / 4 + (0.5 + 1.5 + 4) / 4])


def test_a_fake_is_judged_inside_its_sources_sector():
  logits = jax.random.normal(jax.random.key(0), (2, 8, 8, 1))
  left = jnp.zeros((2, 8, 8, 1)).at[:, :, :4].set(1.0)
  out = Outputs(
    {}, {'low': left, 'high': 1.0 - left}, {}, judged={'high': verdict(logits)}
  )
  expected = jnp.mean((logits[:, :, :4] - 1.0) ** 2, axis=(1, 2, 3))
  np.testing.assert_allclose(adversarial(out), expected, rtol=1e-5)
  trial = Trial(verdict(logits), verdict(logits), 1.0 - left, left)
  real = jnp.mean((logits[:, :, 4:] - 1.0) ** 2, axis=(1, 2, 3))
  fake = jnp.mean(logits[:, :, :4] ** 2, axis=(1, 2, 3))
  found = adversarial_judge(trial, judge_weight=1.0)
  np.testing.assert_allclose(found, real + fake, rtol=1e-5)


def test_directions_add_up():
  mask = jnp.ones((2, 16, 16, 1))
  low, high = (verdict(jnp.full((2, 4, 4, 1), x)) for x in (0.0, 3.0))
  np.testing.assert_allclose(adversarial(outputs({'high': high}, mask)), 4.0)
  both = outputs({'low': low, 'high': high}, mask)
  np.testing.assert_allclose(adversarial(both), 5.0)


@pytest.mark.parametrize('objective', OBJECTIVES)
def test_slopes_are_finite_for_an_empty_mask_and_large_logits(objective):
  empty = jnp.zeros((2, 8, 8, 1))

  def total(logits):
    shown = verdict(logits, logits[:, :2, :2])
    out = outputs({'high': shown}, empty)
    trial = Trial(shown, shown, empty, empty)
    values = adversarial(out, objective=objective)
    return jnp.sum(values + adversarial_judge(trial, objective=objective))

  slope = jax.grad(total)(jnp.full((2, 8, 8, 1), 1e4).at[0].set(-1e4))
  assert np.isfinite(slope).all()


def test_an_unknown_objective_is_refused():
  with pytest.raises(BadInput, match='objective=gan: choose one of lsgan'):
    adversarial(outputs({}, jnp.ones((1, 4, 4, 1))), objective='gan')
