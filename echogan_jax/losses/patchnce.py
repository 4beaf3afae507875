"""Patchwise contrastive term (Park et al. 2020, CUT)."""

import jax
import jax.numpy as jnp

from echogan_jax.command import BadInput
from echogan_jax.losses.perceptual import wide
from echogan_jax.shapes import Outputs, Patches, Values

_NEVER = -1e9  # a logit without share in a softmax, finite for the gradient


def _depth(patches: Patches, temperature: float, negatives: str) -> Values:
  query, key = wide(patches.query), wide(patches.key)
  batch, places, features = query.shape
  valid = patches.valid > 0
  bags = batch if negatives == 'image' else 1
  rows = (bags, batch * places // bags)
  # row s holds the positive on its diagonal and every negative beside it
  similarity = jnp.einsum(
    'bsf,bkf->bsk',
    query.reshape(*rows, features),
    key.reshape(*rows, features),
    precision='highest',
  )
  allowed = valid.reshape(rows)[:, None, :] | jnp.eye(rows[1], dtype=bool)
  logits = jnp.where(allowed, similarity / temperature, _NEVER)
  positive = jnp.diagonal(logits, axis1=1, axis2=2)
  entropy = jax.nn.logsumexp(logits, axis=2) - positive
  entropy = entropy.reshape(batch, places) * valid
  return jnp.sum(entropy, axis=1) / jnp.maximum(jnp.sum(valid, axis=1), 1)


def patchnce(
  out: Outputs, *, temperature: float = 0.07, negatives: str = 'image'
) -> Values:
  """Return how hard it is to find each place of a translation in its source.

  Cross-entropy of q·k/τ, the same place against the other places (ibid.,
  Eq. 3), mean over the places inside the sector and over the depths, summed
  over the directions. An image without such a place gives 0. With patches of
  `same` it is half the sum of both (`nce_idt`, what tells CUT from FastCUT).

  Args:
    out: the generators' pass.
    temperature: τ.
    negatives: `image`, the other places of the same image, or `batch`, those
      of all images. On several devices a batch is each device's own share.

  Raises:
    BadInput: `negatives` is neither.
  """
  if negatives not in ('image', 'batch'):
    raise BadInput(
      f'losses.patchnce.negatives={negatives}: choose image or batch'
    )
  sides = [out.patches, out.patches_same] if out.patches_same else [out.patches]
  total = 0.0
  for side in sides:
    for depths in side.values():
      values = [_depth(depth, temperature, negatives) for depth in depths]
      total += sum(values) / (len(values) * len(sides))
  return total
