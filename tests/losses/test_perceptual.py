"""Feature terms against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echogan_jax.command import BadInput
from echogan_jax.losses.perceptual import gram, perceptual, style
from echogan_jax.shapes import Outputs, Verdict

SHAPES = ((2, 8, 6, 3), (2, 4, 3, 5))


def features(seed):
  keys = jax.random.split(jax.random.key(seed), len(SHAPES))
  return tuple(map(jax.random.normal, keys, SHAPES))


def outputs(source, domains=('low', 'high')):
  real = {d: features(i) for i, d in enumerate(domains)}
  cycled = {d: features(i + 7) for i, d in enumerate(domains)}
  if source == 'vgg16':
    return Outputs({}, {}, {}, seen_real=real, seen_cycled=cycled)
  real, cycled = (
    {d: Verdict((), x) for d, x in both.items()} for both in (real, cycled)
  )
  return Outputs({}, {}, {}, judged_real=real, judged_cycled=cycled)


def expected(term, domains):
  total = np.zeros(2)
  for i in range(len(domains)):
    for x, y in zip(features(i + 7), features(i), strict=True):
      x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
      for b in range(2):
        if term is perceptual:
          total[b] += np.abs(x[b] - y[b]).mean()
          continue
        flat = [z[b].reshape(-1, z.shape[3]) for z in (x, y)]
        grams = [z.T @ z / z.size for z in flat]
        depth = x.shape[3]
        total[b] += ((grams[0] - grams[1]) ** 2).sum() / (4 * depth**2)
  return total


@pytest.mark.parametrize('domains', [('low',), ('low', 'high')])
@pytest.mark.parametrize('source', ['judge', 'vgg16'])
@pytest.mark.parametrize('term', [perceptual, style])
def test_terms_are_the_papers_formulas(term, source, domains):
  found = term(outputs(source, domains), source=source)
  np.testing.assert_allclose(found, expected(term, domains), rtol=1e-5)


def test_style_does_not_see_places():
  maps = features(0)[0]
  moved = jnp.roll(maps, (3, 2), (1, 2))
  np.testing.assert_allclose(gram(moved), gram(maps), rtol=1e-5)
  assert not np.allclose(gram(2 * maps), gram(maps))


@pytest.mark.parametrize('term', [perceptual, style])
def test_slopes_are_finite_where_nothing_changed(term):
  out = outputs('vgg16')

  def total(cycled):
    return jnp.sum(term(out._replace(seen_cycled=cycled), source='vgg16'))

  zeros = jax.tree.map(jnp.zeros_like, out.seen_real)
  out = out._replace(seen_real=zeros)
  for slope in jax.tree.leaves(jax.grad(total)(zeros)):
    assert np.isfinite(slope).all()


@pytest.mark.parametrize('term', [perceptual, style])
def test_an_unknown_source_is_refused(term):
  with pytest.raises(BadInput, match='choose judge or vgg16'):
    term(outputs('judge'), source='inception')
