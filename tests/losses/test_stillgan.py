"""StillGAN's whole objective, and its losses at the paper's size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_layout as layout

from echogan_jax import image
from echogan_jax.losses.adversarial import adversarial
from echogan_jax.losses.cycle import cycle, identity
from echogan_jax.losses.structure import illumination, ssim
from echogan_jax.shapes import Outputs, Verdict


def centre(x, side):
  """Cut out the centre, which the original's losses look at."""
  top, left = ((n - side) // 2 for n in x.shape[1:3])
  return x[:, top : top + side, left : left + side]


def unlike(x, y, noise):
  """Return the original's structure loss: noise instead of an epsilon."""
  side = noise.shape[1]
  x, y = (
    jnp.clip(image.to_unit(centre(z, side)) + noise, 0.0, 1.0) for z in (x, y)
  )
  return 1.0 - jnp.mean(image.structure(x, y, border='zero'))


def unevenness(x, side, grids):
  x = centre(x, side)
  out = Outputs({}, {'low': jnp.ones(x.shape)}, {'high': x})
  return jnp.mean(illumination(out, grids=grids))


def test_structure_at_the_papers_size(reference):
  golden = {
    k.rsplit('/', 1)[1]: v
    for k, v in reference('stillgan_roi384').items()
    if k.startswith('structure/')
  }
  first, second, noise = (
    jnp.asarray(layout.nhwc(golden[k])) for k in ('img1', 'img2', 'noise')
  )
  value, slopes = jax.value_and_grad(unlike, (0, 1))(first, second, noise)
  np.testing.assert_allclose(value, golden['loss'], rtol=0, atol=5e-6)
  for slope, k in zip(slopes, ('img1', 'img2'), strict=True):
    norm = np.linalg.norm(slope)
    np.testing.assert_allclose(norm, golden[f'grad_{k}_norm'], rtol=3e-4)
  expected = layout.nhwc(golden['grad_img2_sub8'])
  gap = np.abs(slopes[1][:, ::8, ::8] - expected).max()
  assert gap <= 3e-4 * np.abs(expected).max()


@pytest.mark.parametrize(('patch', 'grid'), [('p48', 8), ('p96', 4)])
def test_illumination_at_the_papers_size(reference, patch, grid):
  golden = reference('stillgan_roi384')
  x = jnp.asarray(layout.nhwc(golden['structure/roi384/img1']))
  value, slope = jax.value_and_grad(unevenness)(x, 384, (grid,))
  expected = golden[f'luminance/{patch}/loss']
  np.testing.assert_allclose(value, expected, rtol=0, atol=1e-6)
  expected = layout.nhwc(golden[f'luminance/{patch}/grad'])
  assert np.abs(slope - expected).max() <= 2e-4 * np.abs(expected).max()


def test_the_whole_objective_is_the_originals(reference):
  golden = reference('stillgan_objective')
  found = {
    k: jnp.asarray(layout.nhwc(v)) for k, v in golden.items() if v.ndim == 4
  }

  def both(name, low='A', high='B'):
    return {'low': found[f'{name}_{low}'], 'high': found[f'{name}_{high}']}

  judged = {
    'high': Verdict((found['pred_D_A_fake_B'],), ()),
    'low': Verdict((found['pred_D_B_fake_A'],), ()),
  }
  real, fake = both('real'), both('fake')
  out = Outputs(
    real,
    jax.tree.map(jnp.ones_like, real),
    fake,
    both('rec'),
    both('idt', 'B', 'A'),  # idt_A is G_A, the enhancer, on an image of B
    judged=judged,
  )
  structure = unlike(real['high'], fake['low'], found['noise_structure_A'])
  structure += unlike(real['low'], fake['high'], found['noise_structure_B'])
  terms = {
    ('G_A', 'G_B'): jnp.mean(adversarial(out)),
    ('cycle_A', 'cycle_B'): 10.0 * jnp.mean(cycle(out)),
    ('idt_A', 'idt_B'): 5.0 * jnp.mean(identity(out)),
    ('Structure_A', 'Structure_B'): 5.0 * structure,
    # 64 pixels in patches of 8 and 16
    ('Luminance_B',): unevenness(fake['high'], 64, (8, 4)),
  }
  for names, value in terms.items():
    expected = sum(golden[f'loss/{name}'] for name in names)
    np.testing.assert_allclose(value, expected, rtol=0, atol=5e-5)
  total = sum(terms.values())
  np.testing.assert_allclose(total, golden['loss/G'], rtol=0, atol=2e-4)


def test_one_sided_systems_use_what_is_there():
  keys = iter(jax.random.split(jax.random.key(0), 8))

  def both():
    shape = (2, 16, 16, 1)
    return {
      d: jax.random.uniform(next(keys), shape, minval=-1.0)
      for d in ('low', 'high')
    }

  out = Outputs(both(), {}, both(), both(), both())
  out = out._replace(mask=jax.tree.map(jnp.ones_like, out.real))
  for term, field in ((ssim, 'fake'), (cycle, 'cycled'), (identity, 'same')):
    images = getattr(out, field)
    sides = [
      term(out._replace(**{field: {d: images[d]}})) for d in ('low', 'high')
    ]
    np.testing.assert_allclose(sum(sides), term(out), rtol=1e-5)
    assert not np.allclose(*sides)
