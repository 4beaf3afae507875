"""A whole pass against CUT's official one: images, places, losses, slopes."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
import torch_layout as layout

from configs import cut
from echogan_jax import losses, models
from echogan_jax.models.patchgan import PatchGAN
from echogan_jax.models.projector import Projector
from echogan_jax.models.resnet import ResNet
from echogan_jax.shapes import Trial
from echogan_jax.training import play, rng
from echogan_jax.training.state import Player

LAYERS = (0, 4, 8, 12, 16)
JUDGE = {0: 'conv_0', 3: 'conv_1', 7: 'conv_2', 11: 'conv_3', 14: 'head'}
JUDGE = {f'model.{i}': name for i, name in JUDGE.items()}


def weights(golden, network, names, prefix, **options):
  x = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
  like = jax.eval_shape(network.init, jax.random.key(0), x)['params']
  return layout.params(golden, names, like, prefix, **options)


def projector(golden):
  """Return their perceptrons in our layout."""
  return {
    f'mlp_{i}': {
      name: {
        'kernel': golden[f'F/mlp_{i}.{j}.weight'].T,
        'bias': golden[f'F/mlp_{i}.{j}.bias'],
      }
      for name, j in (('hidden', 0), ('out', 2))
    }
    for i in range(len(LAYERS))
  }


@pytest.fixture
def colour():
  """Let images have three channels, as the original's."""
  jaxtyping.config.update('jaxtyping_disable', True)
  yield
  jaxtyping.config.update('jaxtyping_disable', False)


def test_a_pass_of_cut_is_the_originals(reference, monkeypatch, colour):
  golden = reference('cut_losses')
  config = cut.get_config()
  made = models.create(config.model.to_dict())
  made = made._replace(
    generator=ResNet(features=4, up='blur', down='blur', down_bias=True),
    discriminator=PatchGAN(features=4, down='blur'),
    projector=Projector(features=32),
  )
  judge = weights(golden, made.discriminator, JUDGE, 'D/')
  judges = Player({'high': judge}, {'high': {}}, {})
  names = layout.resnet_names(9, down=4, up=4)
  start = {
    'generators': {
      'enhance': weights(golden, made.generator, names, 'G/', deconvs=False)
    },
    'projector': {'enhance': projector(golden)},
  }
  calls = []

  def choose(*_):
    use = 'NCE' if len(calls) < len(LAYERS) else 'NCE_Y'
    layer = LAYERS[len(calls) % len(LAYERS)]
    index = golden[f'patch_ids/{use}/layer{layer}']
    calls.append(use)
    return jnp.asarray(index)[None], jnp.ones((1, len(index)))

  monkeypatch.setattr(play, 'choose', choose)
  objective = losses.build(config.losses.to_dict())
  cast = play.Cast(made, objective.needs, judges, {})
  real = {
    d: jnp.asarray(layout.nhwc(golden[f'real_{letter}']))
    for d, letter in (('low', 'A'), ('high', 'B'))
  }
  mask = {d: jnp.ones((1, 64, 64, 1)) for d in real}

  def loss(params):
    calls.clear()
    out = play.play(cast, params, play.Scene(real, mask, {}, {}), rng.root(0))
    total, values = objective.generators(out, jnp.int32(0))
    return total, (out, values)

  run = jax.jit(jax.value_and_grad(loss, has_aux=True))
  (total, (out, values)), slopes = run(start)
  for ours, theirs in ((out.fake, 'fake_B'), (out.same, 'idt_B')):
    np.testing.assert_allclose(
      ours['high'], layout.nhwc(golden[theirs]), atol=5e-5
    )
  nce = (golden['loss/NCE'] + golden['loss/NCE_Y']) / 2
  np.testing.assert_allclose(total, golden['loss/G'], atol=3e-5)
  np.testing.assert_allclose(values['patchnce'], nce, atol=3e-5)
  np.testing.assert_allclose(
    values['adversarial'], golden['loss/G_GAN'], atol=3e-5
  )
  for slope, theirs in (
    (
      slopes['generators']['enhance']['stem']['kernel'],
      golden['grad/G/model.1.weight'].transpose(2, 3, 1, 0),
    ),
    (
      slopes['projector']['enhance']['mlp_2']['hidden']['kernel'],
      golden['grad/F/mlp_2.0.weight'].T,
    ),
  ):
    assert np.abs(slope - theirs).max() <= 1e-4 * np.abs(theirs).max()

  def verdict(x):
    return made.discriminator.apply({'params': judge}, x)

  trial = Trial(verdict(real['high']), verdict(out.fake['high']), mask, mask)
  trial = trial._replace(real_mask=mask['high'], fake_mask=mask['low'])
  total, _ = objective.discriminator(trial, jnp.int32(0), jnp.float32(0))
  np.testing.assert_allclose(total, golden['loss/D'], atol=3e-5)
