"""What the discriminators are tried on: real images, pooled fakes, mixtures."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, PyTree

from echogan_jax.losses import cutmix
from echogan_jax.models import Models
from echogan_jax.shapes import GENERATORS, Outputs, Trial, Verdict
from echogan_jax.training import pool, rng
from echogan_jax.training.play import Scene, view
from echogan_jax.training.state import Shown

_SOURCE = {target: source for source, target in GENERATORS.values()}


def show(
  models: Models,
  pools: dict[str, pool.Pool],
  key: Array,
  out: Outputs,
  axis: str | None,
) -> tuple[dict[str, Shown], dict[str, pool.Pool]]:
  """Pass the fakes through the pools; return what came out, and the pools."""
  # every device queries with the whole batch, so that the pools stay the
  # same everywhere and are state like any other
  shown, after = {}, {}
  for d in models.targets:
    source = _SOURCE[d]
    seen = view(models, out.fake[d], out.anatomy.get(source))
    shown[d] = fresh = lax.stop_gradient(Shown(seen, out.mask[source]))
    if d not in pools:
      continue
    whole = lax.all_gather(fresh, axis, tiled=True) if axis else fresh
    after[d], whole = pool.query(pools[d], rng.stream(key, f'pool/{d}'), whole)
    shown[d] = _own(whole, axis)
  return shown, after


def boxes(now: Scene, key: Array, axis: str | None) -> dict[str, Array]:
  """Draw which part of each mixed image is real (CutMix)."""
  found = {}
  for d, real in now.real.items():
    batch, height, width, _ = real.shape
    batch *= lax.axis_size(axis) if axis else 1
    draws = cutmix.draw(rng.stream(key, f'cutmix/{d}'), batch, height, width)
    found[d] = cutmix.boxes(_own(draws, axis), height, width)
  return found


def hold(
  models: Models,
  variables: dict[str, PyTree],
  now: Scene,
  domain: str,
  shown: Shown,
  boxes: dict[str, Array],
) -> tuple[Trial, PyTree]:
  """Let one discriminator judge; return that and its spectral norms."""
  stats = variables['stats']

  def judge(seen: Array) -> Verdict:
    nonlocal stats
    verdict, changed = models.discriminator.apply(
      variables | {'stats': stats}, seen, mutable=['stats']
    )
    stats = changed.get('stats', {})
    return verdict

  real = view(models, now.real[domain], now.anatomy.get(domain))
  mask, mixed, mix = now.mask[domain], None, None
  verdicts = judge(real), judge(shown.view)
  if domain in boxes:
    # cut only where both have tissue; beside that the mixture is the real one
    mix = jnp.where(mask * shown.mask > 0, boxes[domain], 1.0)
    mixed = judge(mix * real + (1.0 - mix) * shown.view)
  made = Trial(*verdicts, mask, shown.mask, now.grades.get(domain), mixed, mix)
  return made, stats


def _own(whole: PyTree, axis: str | None) -> PyTree:
  """Return this device's share of what was drawn for the whole batch."""
  if not axis:
    return whole
  count = lax.axis_size(axis)

  def cut(x: Array) -> Array:
    own = len(x) // count
    return lax.dynamic_slice_in_dim(x, lax.axis_index(axis) * own, own)

  return jax.tree.map(cut, whole)
