"""Enhance a file that someone brought, and show it beside what it was."""

import pathlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from echogan_jax.data import film, recorder, sector, text
from echogan_jax.data.clip import Film, luma
from echogan_jax.delivery import output, treatment
from echogan_jax.delivery.treatment import Options, Shot, Treatment
from echogan_jax.evaluation import expectation, pictures
from echogan_jax.training.enhancer import Enhancer

_SIDE = 1400  # pixels of a panel: three of them are still decoded
_MOVED = 80  # grey levels that get the full colour, as in the report

Panels = UInt8[np.ndarray, 'height width 3']


class Network(NamedTuple):
  """What enhances.

  Attributes:
    model: the enhancer.
    expected: how much it changes as a rule, None where nobody measured it.
    key: secret of pseudonyms and UIDs.
  """

  model: Enhancer
  expected: expectation.Expectation | None
  key: bytes


class Preview(NamedTuple):
  """A clip that has been enhanced.

  Attributes:
    result: the derived file.
    film: MP4 of three panels below each other: before, after, and after with
      what changed in colour.
    times: start of each frame in milliseconds.
    words: what was done, in sentences.
  """

  result: pathlib.Path
  film: pathlib.Path
  times: list[float]
  words: list[str]


def make(
  source: pathlib.Path,
  folder: pathlib.Path,
  network: Network,
  options: Options,
  follow: Callable[[int, int], None],
) -> Preview:
  """Enhance a file in one pass.

  Args:
    source: DICOM gives DICOM, a picture or video its own format.
    folder: where the results go, under names that tell nothing.
    network: what enhances.
    options: how.
    follow: is told how many frames are done, of how many.

  Raises:
    BadInput: the file cannot be used.
    Rejected: it can be read, but not be used.
  """
  shown = folder / 'shown.mp4'
  with film.opened(source) as opened:
    treated = treatment.enhance(opened, network.model, options)
    result = folder / f'enhanced{_suffix(source, opened)}'
    paint = painter(treated.sector, network, options.strength)
    done, count = iter(range(1, len(opened.times) + 1)), len(opened.times)
    with recorder.writing(shown, opened.times) as add:
      output.write(
        result,
        opened,
        treated,
        model=network.model,
        key=network.key,
        also=[
          lambda shot: add(paint(shot)),
          lambda _: follow(next(done), count),
        ],
      )
    words = tell(opened, treated, network, options)
  return Preview(result, shown, opened.times.tolist(), words)


def _suffix(source: pathlib.Path, opened: Film) -> str:
  suffix = source.suffix.lower()
  if suffix == '.png' and len(opened.times) > 1:  # a PNG that moves
    return '.gif'
  return suffix if suffix in film.FILMED else '.dcm'


def painter(
  place: sector.Sector, network: Network, strength: float
) -> Callable[[Shot], Panels]:
  """Return what lays before, after and changed of a frame below each other.

  Only the sector is shown, each panel of even height and width. The colours
  are what changed beyond expectation (orange), or, where nothing is known of
  that, all that got brighter (orange) and darker (blue).
  """
  inside = place.mask()
  small = sector.crop_mask(place, network.model.size)
  x0, y0, side = place.box
  xs, ys = zip(*place.polygon, strict=True)
  rows, columns = (slice(min(n), max(n) + 1) for n in (ys, xs))
  in_square = np.s_[
    rows.start - y0 : rows.stop - y0, columns.start - x0 : columns.stop - x0
  ]

  def paint(shot: Shot) -> Panels:
    old, new = shot.before, shot.after.astype(np.float32)
    new = np.rint(old + strength * (new - old)).astype(np.uint8)
    if network.expected:
      found = expectation.excess(old, new, small, network.expected)
      values = np.maximum(found - 1, 0)
    else:
      values = (new.astype(np.float32) - old) / _MOVED
    wide = Image.fromarray(values.astype(np.float32)).resize((side, side))
    before, after = (
      luma(frame[None, rows, columns])[0] for frame in (shot.source, shot.made)
    )
    coloured = pictures.paint(
      after, np.asarray(wide)[in_square], inside[rows, columns]
    )
    panels = [np.repeat(p[..., None], 3, -1) for p in (before, after)]
    return np.concatenate([_fitted(p) for p in (*panels, coloured)])

  return paint


def _fitted(panel: Panels) -> UInt8[np.ndarray, 'even_height even_width 3']:
  """Make a panel small enough to be decoded anywhere, and its sides even."""
  times = -(-max(panel.shape) // _SIDE)
  if times > 1:
    panel = np.asarray(Image.fromarray(panel).reduce(times))
  height, width = panel.shape[:2]
  return np.pad(panel, ((0, height % 2), (0, width % 2), (0, 0)), mode='edge')


def tell(
  opened: Film, treated: Treatment, network: Network, options: Options
) -> list[str]:
  """Return what was done to a clip, in sentences."""
  count, times, place = len(opened.times), opened.times, treated.sector
  what = f'One picture of {place.width} × {place.height} pixels'
  if count > 1:
    seconds = (times[-1] - times[0]) / 1000 * count / (count - 1)
    what = (
      f'{count} frames of {place.width} × {place.height} pixels, '
      f'{seconds:.1f} s at {count / seconds:.0f} frames a second'
    )
  smooth = options.persistence and count > 1
  how = f'strength {options.strength:g}' + ', smoothed over time' * smooth
  return [
    f'{what}.',
    'The sector was found; everything outside it is black.',
    f'Enhanced by the network of step {network.model.step}, {how}.',
    _identity(opened, treated, options),
  ]


def _identity(opened: Film, treated: Treatment, options: Options) -> str:
  header = 'The header carries pseudonyms. '
  if opened.clip.header is None:
    header = 'There is no header that could name anyone. '
  if treated.blanked:
    return f'{header}No text was found inside the sector.'
  if options.allow_text:
    return (
      f'{header}That the picture holds no name is your word: the file does not '
      'claim it.'
    )
  if not text.available():
    return (
      f'{header}Text inside the sector was not searched for (the extra `ocr` '
      'is not installed): look at every frame before you pass it on.'
    )
  return header
