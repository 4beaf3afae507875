"""The step against the official CycleGAN's, and against itself in parallel."""

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_layout as layout

from configs import cyclegan
from echogan_jax import losses, models
from echogan_jax.shapes import DOMAINS, Frames
from echogan_jax.training import gauge, parallel, play, rng, state, step

CONFIG = cyclegan.get_config().to_dict()
LOSSES = CONFIG['losses']
RULES = CONFIG['state'] | {
  'constant_steps': 100,
  'decay_steps': 100,
  'ema_halflife_images': 100.0,
}
# theirs are lettered: G_A enhances, and D_A judges what G_A makes
NETWORKS = {'G_A': 'enhance', 'G_B': 'degrade', 'D_A': 'high', 'D_B': 'low'}


def networks(generator, discriminator):
  return models.create(
    CONFIG['model']
    | {
      'resnet': CONFIG['model']['resnet'] | generator,
      'patch70': CONFIG['model']['patch70'] | discriminator,
    }
  )


def theirs(golden, group, like):
  """Return their weights in our layout, keyed as our players are."""
  found = {}
  for net, name in NETWORKS.items():
    names = (
      layout.resnet_names(6) if net.startswith('G') else layout.patch_names()
    )
    found[name] = layout.params(golden, names, like[name], f'{group}/{net}/')
  return found


def run_reference(golden, dtype):
  """Run the three recorded steps; return states and metrics after each."""
  made = networks(
    {'features': 8, 'blocks': 6}, {'features': 8, 'spectral': False}
  )
  rules = state.rules(**RULES)
  now = state.create(made, rules, key=rng.root(0), size=64)
  like = now.generators.params | now.discriminators.params
  weights = theirs(golden, 'before', like)
  weights = jax.tree.map(lambda x: jnp.asarray(x, dtype), weights)
  players = {}
  for role, names in (('generators', made.names), ('discriminators', DOMAINS)):
    params = {name: weights[name] for name in names}
    stats = {name: {} for name in names}
    moments = rules.optimizers[role].init(params)
    players[role] = state.Player(params, stats, moments)
  pools = jax.tree.map(lambda x: x.astype(dtype) if x.ndim else x, now.pools)
  ema = players['generators'].params
  now = now.replace(ema=ema, pools=pools, **players)
  run = jax.jit(step.make(made, losses.build(LOSSES), rules))
  states, metrics = [now], []
  for s in (1, 2, 3):
    batch = {
      domain: Frames(
        jnp.asarray(layout.nhwc(golden[f'step{s}/real_{letter}']), dtype),
        jnp.ones((1, 64, 64, 1), dtype),
      )
      for domain, letter in zip(DOMAINS, 'AB', strict=True)
    }
    now, values = run(now, batch, rng.root(0))
    states.append(now)
    metrics.append({k: float(v) for k, v in values.items()})
  return made, states, metrics


def check_losses(golden, metrics, suffix, tolerances):
  for s, (values, atol) in enumerate(zip(metrics, tolerances, strict=True), 1):

    def gold(name, s=s):
      group = f'f64/step{s}/loss' if suffix else f'step{s}/loss'
      return float(golden[f'{group}/{name}{suffix}'])

    expected = {
      'loss/adversarial': gold('G_A') + gold('G_B'),
      'loss/cycle': (gold('cycle_A') + gold('cycle_B')) / 10,
      'loss/identity': (gold('idt_A') + gold('idt_B')) / 5,
      'loss/judge_high': gold('D_A'),
      'loss/judge_low': gold('D_B'),
    }
    for name, value in expected.items():
      assert abs(values[name] - value) <= atol, (s, name)


def weights_of(now):
  return now.generators.params | now.discriminators.params


def test_three_steps_in_float32_are_the_originals(reference):
  golden = reference('cyclegan_step')
  made, states, metrics = run_reference(golden, jnp.float32)
  check_losses(golden, metrics, '', (2e-5, 1e-4, 1e-3))
  for s, near, share in ((1, 1e-6, 0.999), (3, 2e-6, 0.99)):
    ours = weights_of(states[s])
    after = theirs(reference(f'cyclegan_step_after{s}'), f'after{s}', ours)
    gaps = jax.tree.leaves(
      jax.tree.map(lambda a, b: np.abs(np.asarray(a) - b).ravel(), ours, after)
    )
    gaps = np.concatenate(gaps)
    assert np.mean(gaps <= near) >= share
    assert gaps.max() <= 4e-4
    for generator, letter in (('enhance', 'A'), ('degrade', 'B')):
      x = jnp.asarray(layout.nhwc(golden[f'step1/real_{letter}']))
      y = made.generator.apply({'params': ours[generator]}, x)
      probe = golden[f'after{s}/probe/G_{letter}_of_step1_real_{letter}']
      np.testing.assert_allclose(y, layout.nhwc(probe), atol=1e-3)


def test_three_steps_in_float64_are_the_originals_to_rounding(reference):
  golden = reference('cyclegan_step')
  with jax.enable_x64(True):
    _, states, metrics = run_reference(golden, jnp.float64)
    check_losses(golden, metrics, '_f64', (1e-9, 1e-9, 1e-9))
    names = list(golden['f64/tensor_names'])
    skipped = set(golden['zero_gradient_biases'])
    flat = {
      name: flax.traverse_util.flatten_dict(tree, sep='/')
      for name, tree in weights_of(states[0]).items()
    }
    checked = 0
    for s in (1, 3):
      after = {
        name: flax.traverse_util.flatten_dict(tree, sep='/')
        for name, tree in weights_of(states[s]).items()
      }
      sums = golden[f'f64/after{s}/delta_abs_sum_f64']
      signed = golden[f'f64/after{s}/delta_sum_f64']
      for i, tensor in enumerate(names):
        if tensor in skipped:
          continue
        net, key = tensor.split('/')
        module, kind = key.rsplit('.', 1)
        table = (
          layout.resnet_names(6) if net[0] == 'G' else layout.patch_names()
        )
        path = f'{table[module]}/{"kernel" if kind == "weight" else "bias"}'
        moved = after[NETWORKS[net]][path] - flat[NETWORKS[net]][path]
        np.testing.assert_allclose(np.abs(moved).sum(), sums[i], atol=1e-9)
        np.testing.assert_allclose(moved.sum(), signed[i], atol=1e-9)
        checked += 1
  assert checked == 2 * (92 - 40)


@pytest.fixture(scope='module')
def small():
  """A small game with every kind of state, and six batches of eight."""
  made = networks(
    {'features': 2, 'blocks': 1}, {'features': 2, 'spectral': True}
  )
  terms = LOSSES | {
    'ssim': LOSSES['ssim'] | {'weight': 1.0},
    'illumination': {'weight': 1.0, 'grids': (4, 2)},
  }
  rules = state.rules(**RULES | {'pool_size': 9, 'learning_rate': 1e-3})
  random = np.random.default_rng(0)
  batches = [
    {
      d: Frames(
        random.integers(0, 256, (8, 24, 24, 1), dtype=np.uint8),
        random.choice(np.array([0, 255], np.uint8), (8, 24, 24, 1)),
      )
      for d in DOMAINS
    }
    for _ in range(6)
  ]
  fresh = state.create(made, rules, key=rng.root(1), size=24)
  return step.make(made, losses.build(terms), rules), fresh, batches


def six_steps(small, mode, devices=None):
  pure, fresh, batches = small
  run = parallel.compile(pure, mode=mode, batch_size=8, devices=devices)
  now = parallel.place(fresh, mode, devices)
  for batch in batches:
    now, metrics = run(now, [batch], rng.root(2))
  return jax.device_get((now, metrics))


@pytest.fixture(scope='module')
def alone(small):
  return six_steps(small, 'single')


@pytest.mark.parametrize('count', [2, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.parametrize('mode', ['pmap', 'sharded'])
def test_modes_agree_over_six_steps(small, alone, mode, count):
  now, metrics = six_steps(small, mode, jax.devices()[:count])

  def near(rtol):
    return lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5, rtol=rtol)

  jax.tree.map(near(0.0), alone[0], now)
  jax.tree.map(near(1e-5), alone[1], metrics)  # gradient norms are about 20


def test_every_part_of_the_state_moves(small, alone):
  _, fresh, _ = small
  now, _ = alone
  assert int(now.step) == 6
  names = [
    jax.tree_util.keystr(path)
    for path, leaf in jax.tree_util.tree_leaves_with_path(fresh)
    if leaf.size > 1  # a unit vector of one number is always 1 or -1
  ]
  leaves = [
    [x for x in jax.tree.leaves(tree) if x.size > 1] for tree in (fresh, now)
  ]
  for name, before, after in zip(names, *leaves, strict=True):
    assert not np.array_equal(before, after), name


def test_nothing_is_generated_outside_the_mask(small):
  made = networks(
    {'features': 2, 'blocks': 1}, {'features': 2, 'spectral': False}
  )
  _, fresh, batches = small
  real = {d: jnp.asarray(batches[0][d].image / 127.5 - 1) for d in DOMAINS}
  mask = {d: jnp.asarray(batches[0][d].mask / 255.0) for d in DOMAINS}
  cast = play.Cast(
    made, frozenset({'cycled', 'same'}), fresh.discriminators, {}
  )
  params = {'generators': fresh.generators.params}
  now = play.Scene(real, mask, {}, {})
  out = play.play(cast, params, now, rng.root(0))
  for fakes, source in (
    (out.fake['high'], 'low'),
    (out.fake['low'], 'high'),
    (out.cycled['low'], 'low'),
    (out.same['high'], 'high'),
  ):
    outside = np.asarray(mask[source]) == 0
    np.testing.assert_array_equal(
      np.asarray(fakes)[outside], np.asarray(real[source])[outside]
    )
    assert not np.array_equal(fakes, real[source])


def test_passes_that_no_term_needs_are_not_run(small):
  _, fresh, batches = small
  made = networks(
    {'features': 2, 'blocks': 1}, {'features': 2, 'spectral': True}
  )
  rules = state.rules(**RULES | {'pool_size': 9})

  def work(terms):
    run = step.make(made, losses.build(terms), rules)
    return gauge.count(run, fresh, batches[0], rng.root(0))

  whole = work(LOSSES)
  # of the generators' six passes: two are gone
  assert work(LOSSES | {'identity': {'weight': 0.0}}) < 0.8 * whole
  assert work(LOSSES | {'cycle': {'weight': 0.0}}) < 0.8 * whole


def test_batches_that_do_not_split_are_refused(small):
  from echogan_jax.command import BadInput

  with pytest.raises(BadInput, match='multiple of 8'):
    parallel.compile(small[0], mode='pmap', batch_size=3)
  with pytest.raises(BadInput, match='single, pmap, sharded'):
    parallel.compile(small[0], mode='auto', batch_size=8)
