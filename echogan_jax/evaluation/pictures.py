"""What a person looks at: strips of pictures, maps over them, playing clips."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from jaxtyping import Real, UInt8
from PIL import Image

from echogan_jax.data import recorder
from echogan_jax.data.files import replacing
from echogan_jax.evaluation.case import Case
from echogan_jax.evaluation.clips import Played
from echogan_jax.evaluation.frame import Sheet
from echogan_jax.metrics import change, resolution

_SHOWN = ('psnr/input', 'psnr/enhanced', 'recovery', 'invention', 'difference')
_NAMES = {'target': 'truth'}


class Shown(NamedTuple):
  """A case to look at, and why it was picked."""

  kind: str
  case: Case
  sheet: Sheet


class Gallery:
  """Keeps the worst, the best and some typical cases of many.

  The gain in PSNR decides, each patient once among the worst and once among
  the best; where no truth is known, all are typical.
  """

  def __init__(self, total: int, count: int):
    """Keep up to `count` of `total` cases that will be offered."""
    self._count, self._each = count, max(1, count // 3)
    typical = np.linspace(0, total - 1, min(total, count)).round().astype(int)
    self._typical, self._offered = set(typical.tolist()), 0
    self._plain: list[tuple[Case, Sheet]] = []
    self._worst: dict[str, _Ranked] = {}
    self._best: dict[str, _Ranked] = {}

  def offer(self, case: Case, sheet: Sheet) -> None:
    """Look at the next case and keep it if it is among those."""
    if self._offered in self._typical:
      self._plain.append((case, sheet))
    values = sheet.values
    if 'psnr/input' in values and 'psnr/enhanced' in values:
      gain = values['psnr/enhanced'] - values['psnr/input']
      for kept, rank in ((self._worst, gain), (self._best, -gain)):
        self._rank(kept, (rank, self._offered, case, sheet))
    self._offered += 1

  def _rank(self, kept: dict[str, '_Ranked'], one: '_Ranked') -> None:
    """Keep the first of each patient, and of few patients."""
    patient = one[2].row['patient']
    kept[patient] = min(kept.get(patient, one), one, key=lambda r: r[:2])
    if len(kept) > self._each:
      del kept[max(kept, key=lambda name: kept[name][:2])]

  def shown(self) -> list[Shown]:
    """Return the kept cases, the worst first; without truth the typical."""
    found: list[Shown] = []
    for kind, kept in (('worst', self._worst), ('best', self._best)):
      for *_, case, sheet in sorted(kept.values(), key=lambda one: one[:2]):
        found.append(Shown(kind, case, sheet))
    found += [Shown('typical', *pair) for pair in self._plain]
    first = {id(one.case): one for one in reversed(found)}
    return [one for one in found if first[id(one.case)] is one][: self._count]


_Ranked = tuple[float, int, Case, Sheet]


def write(shown: Sequence[Shown], output: pathlib.Path) -> list[dict]:
  """Write strips and maps below a folder; return what they are."""
  listed = []
  turns: dict[str, int] = {}
  for kind, case, sheet in shown:
    turns[kind] = turns.get(kind, -1) + 1
    name = f'{kind}_{turns[kind]}.png'
    _save(
      np.concatenate(list(case.seen.values()), 1), output / 'pictures' / name
    )
    found = maps(case)
    _save(np.concatenate(list(found.values()), 1), output / 'maps' / name)
    listed.append(
      {
        'file': f'pictures/{name}',
        'columns': [_NAMES.get(what, what) for what in case.seen],
        'maps': f'maps/{name}',
        'map_columns': list(found),
        'kind': kind,
        'patient': case.row['patient'],
        'values': {n: sheet.values[n] for n in _SHOWN if n in sheet.values},
      }
    )
  return listed


def maps(case: Case) -> dict[str, UInt8[np.ndarray, 'size size 3']]:
  """Return maps over the enhanced frame, by name.

  `change` is what was added (orange) and taken away (blue). With truth also
  `recovery` (blue undone, orange the wrong way), `invention` (the same
  colours as `change`, of what nobody asked for) and `resolution` (bright where
  fine detail agrees with the truth).
  """
  frame, inside = case.enhanced, case.inside
  moved = (frame.astype(np.float64) - case.input) * inside
  found = {'change': paint(frame, moved / 80, inside)}
  if case.target is None:
    return found
  try:
    along, beside = change.maps(case.input, frame, case.target, inside)
  except ValueError:
    return found
  found['recovery'] = paint(frame, -along / 4, inside)
  found['invention'] = paint(frame, beside / 3, inside)
  resolved = _resolution(case)
  if resolved is not None:
    found['resolution'] = resolved
  return found


def paint(
  frame: UInt8[np.ndarray, 'height width'],
  values: Real[np.ndarray, 'height width'],
  inside: np.ndarray,
) -> UInt8[np.ndarray, 'height width 3']:
  """Lay signed values over a frame: orange above 0, blue below, -1 to 1."""
  values = np.clip(values, -1, 1)
  colours = np.array([[230, 120, 20], [40, 110, 230]], np.float64)
  chosen = colours[(values < 0).astype(int)]
  share = np.abs(values)[..., None] * inside[..., None]
  grey = np.repeat(frame[..., None], 3, -1).astype(np.float64)
  return np.rint(grey * (1 - share) + chosen * share).astype(np.uint8)


def _resolution(case: Case) -> UInt8[np.ndarray, 'size size 3'] | None:
  found = resolution.frc_map(
    case.enhanced[None], case.target[None], case.inside[None]
  )[0]
  if not np.isfinite(found).any():
    return None
  size = len(case.inside)
  found = np.where(np.isnan(found), np.nanmean(found), found)
  coarse = Image.fromarray(found.astype(np.float32))
  wide = np.asarray(coarse.resize((size, size), Image.BILINEAR)) / 0.5
  colours = matplotlib.colormaps['viridis'](np.clip(wide, 0, 1))[..., :3]
  return np.rint(255 * colours * case.inside[..., None]).astype(np.uint8)


def _save(picture: np.ndarray, path: pathlib.Path) -> None:
  with replacing(path) as part:
    Image.fromarray(picture).save(part, 'PNG')


def play(clips: Sequence[Played], output: pathlib.Path) -> list[dict]:
  """Write clips as input, enhanced and truth side by side; list them."""
  listed = []
  for number, clip in enumerate(clips):
    columns = (clip.truth.input, clip.enhanced, clip.truth.target)
    frames = np.concatenate(columns, axis=2)
    name = f'clips/{number}.gif'
    times = clip.truth.frame_time * np.arange(len(frames), dtype=np.float64)
    recorder.write(output / name, frames, times)
    listed.append(
      {
        'file': name,
        'columns': ['input', 'enhanced', 'truth'],
        'lv_area_cm2': clip.areas,
        'patient': clip.row['patient'],
      }
    )
  return listed
