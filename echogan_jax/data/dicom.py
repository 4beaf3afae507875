"""Read ultrasound DICOM into a `Clip`; say in one line why not.

Everything the header claims is checked against limits and against the file
before a byte is allocated for pixels. Frames are decoded one at a time.
"""

import contextlib
import functools
import io
import math
import pathlib
from collections.abc import Iterator

import numpy as np
import pydicom

from echogan_jax.data import claims, fragments, limits, part10, pixels
from echogan_jax.data import header as headers
from echogan_jax.data.clip import Clip, Film, Frame
from echogan_jax.data.header import quiet, value
from echogan_jax.data.reject import Rejected

_JPEG = '1.2.840.10008.1.2.4.'
_LOSSY = {
  'ISO_10918_1': ('50', '51'),
  'ISO_14495_1': ('81',),
  'ISO_15444_1': ('91',),
  'ISO_15444_15': ('203',),
  'ISO_13818_2': ('100', '101'),
  'ISO_14496_10': ('102', '103', '104', '105', '106'),
  'ISO_23008_2': ('107', '108'),
}
_TINT = 30  # grey levels between channels from which a pixel has a colour
_MOVING = 2.0  # grey levels of standard deviation over time
_FLOW = 0.005  # share of moving coloured pixels: 0.000 grey, 0.035 Doppler


def read(path: pathlib.Path, *, recover: bool = False) -> Clip:
  """Return the clip that an ultrasound DICOM file holds.

  A colour clip whose channels agree within 4 grey levels in every pixel of
  every frame comes back grey.

  Args:
    path: a Part 10 file.
    recover: keep the intact frames of a cut or damaged file.

  Raises:
    Rejected: the file cannot be used; `reason` says why.
  """
  with opened(path, recover=recover, most=limits.BYTES) as film:
    return film.clip


@contextlib.contextmanager
def opened(
  path: pathlib.Path, *, recover: bool = False, most: int
) -> Iterator[Film]:
  """Open an ultrasound DICOM file to play it; all its frames are tried first.

  Args:
    path: a Part 10 file.
    recover: as for `read`.
    most: bytes of decoded pixels to hold; longer clips are sampled.

  Raises:
    Rejected: the file cannot be used; `reason` says why.
  """
  with contextlib.ExitStack() as stack:
    try:
      with quiet():
        file = stack.enter_context(path.open('rb'))
        film = _open(file, recover, most)
    except OSError as error:
      detail = f'cannot be opened: {error.strerror}'
      raise Rejected('unreadable', detail) from error
    except MemoryError as error:
      raise Rejected('too_large', 'more than memory holds') from error
    yield film


def _open(file: io.BufferedIOBase, recover: bool, most: int) -> Film:
  file, header = part10.read(file)
  part10.admit(file, header)
  claimed, notes = claims.read(header)
  claimed.check()
  source = fragments.find(file, header, claimed)
  present = source.layout.count
  if present < max(claimed.count, 1):
    if not (recover and present):
      advice = ': --recover takes them' if present else ''
      detail = f'{present} of {claimed.count} frames are present{advice}'
      raise Rejected('truncated', detail)
    notes.append('fewer frames than claimed')
  elif present > claimed.count:
    notes.append('more frames than claimed')
  step = limits.stride(present, math.prod(source.layout.shape[1:]), most)
  frames, kept, stored = pixels.decode(
    source, header, recover=recover, step=step
  )
  if stored[:3] != source.layout.photometric[:3]:
    notes.append(f'labelled {claimed.photometric}, stored as {stored}')
  if len(kept) < present:
    notes.append('frames that cannot be decoded are left out')
  times, timing, odd = headers.times(header, present)
  main, stale = _main(header, *frames.shape[2:0:-1])
  _complete(header, claimed.frame * present / source.size)
  times = times[kept] - times[kept[0]]
  clip = Clip(
    frames=frames,
    times=times[[index % step == 0 for index in kept]],
    timing=timing,
    mm_per_pixel=main.mm_per_pixel if main else None,
    region=main.box if main else None,
    header=header,
    lossy=value(header, 'LossyImageCompression') == '01',
    notes=(*notes, *source.notes, *odd, *stale),
  )
  play = functools.partial(_play, source, header, recover, frames.ndim == 4)
  return Film(clip=clip, times=times, play=play)


def _play(
  source: fragments.Source,
  header: pydicom.Dataset,
  recover: bool,
  coloured: bool,
) -> Iterator[Frame]:
  with quiet():
    for _, frame in pixels.play(source, header, recover=recover):
      yield frame if coloured or frame.ndim == 2 else pixels.grey(frame)


def _main(
  header: pydicom.Dataset, width: int, height: int
) -> tuple[headers.Area | None, list[str]]:
  """Return the region that holds the clip's tissue, and notes on the choice.

  It is the largest 2D image; the first item is as often the whole screen.
  """
  found, notes = headers.areas(header, width, height)
  images = headers.tissue(found)
  if not images:
    notes.append('no usable region of tissue')
  if len(images) > 1:
    notes.append('the largest of several regions is taken')
  if images and images[0].mm_per_pixel is None:
    notes.append('the region has no usable pixel size')
  sides = headers.several(header, 'PixelAspectRatio')
  whole = all(isinstance(side, int) for side in sides)
  if whole and max(sides) > 1.01 * min(sides):
    notes.append('pixels are not square')
  return images[0] if images else None, notes


def _complete(header: pydicom.Dataset, ratio: float) -> None:
  """Say in the header what is known of the pixels now that they are decoded.

  Args:
    header: changed in place.
    ratio: of the bytes of the pixels to those in the file.
  """
  syntax = header.file_meta.TransferSyntaxUID
  kind = syntax.removeprefix(_JPEG).partition('.')[0]
  method = next((m for m, kinds in _LOSSY.items() if kind in kinds), None)
  if method:
    header.LossyImageCompression = '01'
  if method and value(header, 'LossyImageCompressionRatio') is None:
    header.LossyImageCompressionRatio = f'{ratio:.2f}'
  if method and value(header, 'LossyImageCompressionMethod') is None:
    header.LossyImageCompressionMethod = method
  if headers.number(header, 'HeartRate') == 0:  # scanners mean: not measured
    del header.HeartRate


def check_tissue(clip: Clip, *, allow_colour: bool = False) -> None:
  """Raise Rejected unless a clip is one moving or still 2D tissue image.

  Headers are not enough: a colour Doppler clip may declare tissue only, so
  colour that moves is looked for in the pixels, too. A tinted greyscale map
  counts as colour.

  Args:
    clip: any clip.
    allow_colour: admit colour Doppler.

  Raises:
    Rejected: `spectral_or_m_mode`, `colour_flow` or `several_views`.
  """
  height, width = clip.frames.shape[1:3]
  says = headers.modes(clip.header, width, height) if clip.header else []
  share = moving_colour(clip)
  if share > _FLOW:
    detail = f'{100 * share:.1f} % of the pixels have moving colour'
    says.append(('colour_flow', detail))
  for reason, detail in says:
    if not (allow_colour and reason == 'colour_flow'):
      raise Rejected(reason, detail)


def moving_colour(clip: Clip) -> float:
  """Return the share of the region's pixels that are coloured and move.

  In a single frame every coloured pixel counts.
  """
  if clip.frames.ndim == 3:
    return 0.0
  height, width = clip.frames.shape[1:3]
  x0, y0, x1, y1 = clip.region or (0, 0, width - 1, height - 1)
  window = clip.frames[:, y0 : y1 + 1, x0 : x1 + 1]
  tinted = np.zeros(window.shape[1:3], bool)
  first = second = np.zeros(window.shape[1:3], np.float32)
  thirds = np.full(3, 1 / 3, np.float32)
  for frame in window:
    tinted |= pixels.spread(frame) > _TINT
    level = frame @ thirds  # many times as quick as a mean over three
    first, second = first + level, second + level**2
  count = len(window)
  variance = second / count - (first / count) ** 2
  moves = (variance > _MOVING**2) | (count == 1)
  return float((tinted & moves).mean())
