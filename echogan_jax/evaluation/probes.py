"""Questions that only the network itself can answer: it is asked again."""

from collections.abc import Sequence

import numpy as np

from echogan_jax.evaluation.case import Case, Frames, Masks, stacked
from echogan_jax.evaluation.frame import LV, Sheet
from echogan_jax.training.enhancer import Enhancer

_LIGHT = 60.0  # grey levels that the inserted structure is brighter
_RADIUS = 1 / 32  # of it, as a share of the frame: 5 mm in 16 cm
_NOISE = 1.0  # grey levels: half of it is invisible on any display
_ONE_WAY = 'the run has no way back: steganography needs degrade'


def measure(
  model: Enhancer, low: Sequence[Case], high: Sequence[Case]
) -> Sheet:
  """Return what the probes find, each a mean over its frames.

  Args:
    model: the network.
    low: low-quality cases, enhanced.
    high: high-quality cases.
  """
  sheet = Sheet({}, {})
  before, after, inside = stacked(low, 'input', 'enhanced', 'inside')
  twice = model.translate(after, inside)
  sheet.note('idempotence', _distance(after, twice, inside))
  sheet.note('survival', survival(model, low))
  if high:
    good, sector = stacked(high, 'input', 'inside')
    same = model.translate(good, sector)
    sheet.note('identity', _distance(good, same, sector))
  else:
    sheet.reasons['identity'] = 'the split has no high-quality frames'
  if 'degrade' not in model.generators:
    sheet.reasons['steganography'] = _ONE_WAY
    return sheet
  for name, growth in _steganography(model, before, inside).items():
    sheet.note(name, growth)
  return sheet


def survival(model: Enhancer, cases: Sequence[Case]) -> float:
  """Return how much of a small bright structure passes the network.

  A soft disc is put into the left ventricle where it is drawn, or into the
  middle of the sector. With e what that adds to the input and g what it adds
  to the output, it is <g, e> / <e, e>: 1 where the structure comes through as
  it is, 0 where it is cleaned away, above 1 where contrast is raised.
  """
  plain, after, inside = stacked(cases, 'input', 'enhanced', 'inside')
  marked = np.stack([_marked(case) for case in cases])
  added = marked.astype(np.float64) - plain
  gained = model.translate(marked, inside).astype(np.float64) - after
  axes = (1, 2)
  power = (added**2).sum(axes)
  there = power > 0  # white takes no structure
  return float(np.mean((gained * added).sum(axes)[there] / power[there]))


def _marked(case: Case) -> np.ndarray:
  """Return the input with a structure in it that was not there."""
  region = case.inside
  if case.labels is not None and (case.labels == LV).any():
    region = case.labels == LV
  rows, columns = np.nonzero(region)
  y, x = np.indices(region.shape)
  far = np.hypot(y - rows.mean(), x - columns.mean())
  radius = max(1.5, _RADIUS * len(region))
  light = _LIGHT * np.clip(radius + 0.5 - far, 0, 1) * case.inside
  # kept below white, so that all of it is there to survive
  return np.minimum(case.input + light, 255).astype(np.uint8)


def _steganography(
  model: Enhancer, frames: Frames, inside: Masks
) -> dict[str, float]:
  """Return how the cycle error grows when the translation is disturbed.

  A network may hide the input in the translation, too faint to see, to pass
  the cycle test (Chu et al. 2017): a little noise or rounding to 8 bits then
  breaks the way back. What is returned is by how much the cycle error grows
  beyond the disturbance itself, in units of it: 0 for an honest network.
  """
  x = frames.astype(np.float32) / 127.5 - 1
  there = np.where(inside, model.generators['enhance'](x), x)
  noise = np.random.default_rng(0).normal(0, _NOISE / 127.5, there.shape)
  disturbed = {
    '': there + noise.astype(np.float32),
    '_8_bit': np.rint((there + 1) * 127.5) / 127.5 - 1,
  }

  def error(shown: np.ndarray) -> float:
    back = model.generators['degrade'](shown.astype(np.float32))
    return float(np.abs(back - x)[inside].mean())

  honest = error(there)
  found = {}
  for name, shown in disturbed.items():
    put = float(np.abs(shown - there)[inside].mean())
    grown = error(np.where(inside, shown, x)) - honest
    found[f'steganography{name}'] = max(grown / put - 1, 0.0) if put else 0.0
  return found


def _distance(before: Frames, after: Frames, inside: Masks) -> float:
  moved = after.astype(np.float64) - before
  return float(np.abs(moved)[inside].mean())
