"""Metrics are functions of arrays; the tables here name them.

Every image is uint8 [height, width] at the model's scale; only pixels inside
the sector count.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from echogan_jax.metrics.artifacts import checkerboard_db
from echogan_jax.metrics.contrast import gcnr
from echogan_jax.metrics.fidelity import psnr, ssim

# (frames, truth, inside) -> one value per frame
PAIRED: dict[str, Callable[..., np.ndarray]] = {'psnr': psnr, 'ssim': ssim}
# (frame, inside) -> one value
ARTIFACTS: dict[str, Callable[..., float]] = {
  'checkerboard_db': checkerboard_db
}
# (pixels of one tissue, pixels of another) -> one value
CONTRAST: dict[str, Callable[..., float]] = {'gcnr': gcnr}

CAVITY, MYOCARDIUM = 1, 2  # in the label masks of the truth


class Case(NamedTuple):
  """One frame before and after, with its truth where there is one."""

  input: UInt8[np.ndarray, 'height width']
  enhanced: UInt8[np.ndarray, 'height width']
  inside: Bool[np.ndarray, 'height width']
  target: UInt8[np.ndarray, 'height width'] | None = None
  labels: UInt8[np.ndarray, 'height width'] | None = None


def measure(case: Case) -> dict[str, float]:
  """Return every metric that this case allows, as `name/what`.

  `what` is `input`, `enhanced` or `target`. What needs a truth is left out
  where there is none, and contrast where a tissue is not in the picture.
  """
  found = {}
  for name, metric in ARTIFACTS.items():
    for what in ('input', 'enhanced', 'target'):
      frame = getattr(case, what)
      if frame is not None:
        found[f'{name}/{what}'] = metric(frame, case.inside)
  if case.target is not None:
    for name, metric in PAIRED.items():
      for what in ('input', 'enhanced'):
        trio = getattr(case, what), case.target, case.inside
        found[f'{name}/{what}'] = float(metric(*(a[None] for a in trio))[0])
  if case.labels is None:
    return found
  tissues = [case.inside & (case.labels == t) for t in (CAVITY, MYOCARDIUM)]
  if all(tissue.any() for tissue in tissues):
    for name, metric in CONTRAST.items():
      for what in ('input', 'enhanced', 'target'):
        frame = getattr(case, what)
        if frame is not None:
          regions = (frame[tissue] for tissue in tissues)
          found[f'{name}/{what}'] = metric(*regions)
  return found


def summarise(
  cases: list[dict[str, float]],
) -> tuple[dict[str, float], dict[str, str]]:
  """Return the mean of every metric over its cases, and why others miss."""
  names = sorted({name for case in cases for name in case})
  means, skipped = {}, {}
  for name in names:
    values = [case[name] for case in cases if name in case]
    finite = [value for value in values if np.isfinite(value)]
    if finite:
      means[name] = float(np.mean(finite))
    else:
      skipped[name] = 'infinite: every image equals its truth'
  for metric in (*PAIRED, *CONTRAST):
    if not any(name.startswith(f'{metric}/') for name in names):
      skipped[metric] = 'no paired truth: pass --truth'
  return means, skipped
