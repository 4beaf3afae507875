"""Curation: which clips become training frames, under which name, where.

Nothing that tells who the patient is leaves this file: patients, studies and
clips are keyed hashes, and frames are black outside the sector.
"""

import dataclasses
import hashlib
import pathlib

import numpy as np
import pydicom

from echogan_jax.command import BadInput
from echogan_jax.data import (
  annotation,
  deidentify,
  dicom,
  files,
  identity,
  layouts,
  likeness,
  naming,
  quality,
  screen,
  sector,
  select,
  text,
)
from echogan_jax.data.clip import Clip, luma
from echogan_jax.data.item import Item
from echogan_jax.data.record import Record, Settings
from echogan_jax.data.reject import Rejected

COLUMNS = (
  *('path', 'split', 'domain', 'patient', 'study', 'clip', 'frame', 'view'),
  *('width', 'height', 'mm_per_pixel_x', 'mm_per_pixel_y', 'fps', 'sector'),
  *('source_sha256', 'quality_score'),
)
_GLIMPSE = 128  # pixels: what a clip is worth must not depend on --size
_GLIMPSES = 8  # frames that tell how good it is, and whether it is another


def process(item: Item, settings: Settings) -> Record:
  """Curate one clip.

  Args:
    item: with files relative to `settings.source`.
    settings: of this run.

  Raises:
    BadInput: its annotations cannot be used.
  """
  called = []
  try:
    for name in (*item.files, *item.beside):
      select.check_place(settings.source, name)
    hashes = [_sha256(settings.source / name) for name in item.files]
    clip = layouts.read(
      settings.format, settings.source, item, recover=settings.recover
    )
    called = naming.called(item, clip, settings)
    used = _use(item, clip, hashes, called, settings)
    header = clip.header or pydicom.Dataset()
    words = naming.words_of(header, settings.key)
    return dataclasses.replace(used, words=words, beside=len(item.beside))
  except Rejected as error:
    return Record(
      reason=error.reason,
      detail=error.detail,
      files=len(item.files),
      beside=len(item.beside),
      called=called,
      words=_words(item, settings),
    )


def _sha256(path: pathlib.Path) -> str:
  try:
    with path.open('rb') as file:
      return hashlib.file_digest(file, 'sha256').hexdigest()
  except OSError as error:
    detail = f'cannot be opened: {error.strerror}'
    raise Rejected('unreadable', detail) from error


def _words(item: Item, settings: Settings) -> list[str]:
  """Return what in its path would say who it is; published names do not."""
  if settings.format != layouts.CLINICAL:
    return []
  return naming.words(settings.source / item.files[0], settings.key)


def _use(
  item: Item,
  clip: Clip,
  hashes: list[str],
  called: list[str],
  settings: Settings,
) -> Record:
  """Take frames of a clip, cheap questions first.

  Raises:
    Rejected: it is of no use.
  """
  said = naming.label(called, settings).get('quality') or item.quality
  if said == 'exclude':
    raise Rejected('excluded', 'the labels exclude its study')
  if not said and settings.low_max is None and settings.high_min is None:
    raise Rejected('unlabelled', 'its study has no row in the labels')
  dicom.check_tissue(clip, allow_colour=settings.allow_colour)
  grey = clip.grey
  try:
    fan = sector.find(clip)
  except BadInput as error:
    raise Rejected('no_sector', str(error)) from error
  screen.check(clip, fan)
  inside = fan.mask()
  if not (settings.allow_stills or item.still):
    select.check_motion(grey, inside)
  glimpse = sector.crop(grey[_spread(len(grey))], fan, _GLIMPSE)
  shown = sector.crop_mask(fan, _GLIMPSE)
  score = quality.score(glimpse, shown)
  base = naming.pseudonyms(item, clip, hashes, settings) | {
    'domain': select.domain(said, score, settings.low_max, settings.high_min),
    'view': item.view,
    'quality_score': f'{score:.4f}',
    **_geometry(clip, fan, settings.size),
    **item.labels,
  }
  chosen = select.choose(
    grey,
    inside,
    settings.frames_per_clip,
    diastole=item.diastole if settings.choose == 'end_diastolic' else None,
  )
  taken = grey[chosen]
  if settings.search_text:
    cleared = np.where(inside, taken, np.zeros((), np.uint8))
    if text.search(cleared, inside):
      raise Rejected('text_in_sector', 'text over tissue')
  record = _keep(
    item, clip, settings, chosen=chosen, fan=fan, base=base, hashes=hashes
  )
  return dataclasses.replace(
    record,
    called=called,
    signature=likeness.signature(glimpse, shown),
    still=len(grey) == 1,
    blackened=bool(taken[:, ~inside].any()),
  )


def _keep(
  item: Item,
  clip: Clip,
  settings: Settings,
  *,
  chosen: list[int],
  fan: sector.Sector,
  base: dict[str, object],
  hashes: list[str],
) -> Record:
  """Write the chosen frames, and what is drawn in them."""
  rows = []
  small = sector.crop(luma(clip.frames[chosen]), fan, settings.size)
  for index, frame in zip(chosen, small, strict=True):
    path = f'{base["split"]}/{base["domain"]}/{base["clip"]}_{index}.png'
    files.write(settings.data / 'frames' / path, annotation.png(frame))
    source = hashes[index] if len(hashes) > 1 else hashes[0]
    own = {'path': f'frames/{path}', 'frame': index, 'source_sha256': source}
    rows.append(base | own)
  drawn, notes = _drawn(item, clip, settings)
  found = annotation.gather(
    [annotation.of(settings.annotations, h) for h in hashes],
    chosen,
    fan,
    settings.size,
    length=len(clip.frames),
    drawn=drawn,
  )
  instance = naming.attribute(clip, 'SOPInstanceUID') or base['clip']
  written = annotation.write(found, settings.data, rows)
  names = [str(row['path']) for row in rows] + [*written]
  return Record(
    rows=rows,
    files=len(item.files),
    instance=identity.pseudonym(settings.key, 'instance', instance),
    # a frame carries no header, so no element is kept
    dropped=deidentify.dropped(clip.header or pydicom.Dataset(), keep=()),
    timing=clip.timing,
    notes=[*clip.notes, *notes, *sector.check(clip, fan)],
    annotations=written,
    annotated=annotation.state(settings.annotations, rows),
    written=files.state(settings.data, names),
  )


def _drawn(
  item: Item, clip: Clip, settings: Settings
) -> tuple[np.ndarray | None, list[str]]:
  """Return what the data set draws in a clip, and a note if it is damaged."""
  try:
    return layouts.drawn(settings.format, settings.source, item, clip), []
  except Rejected:
    return None, ['its drawing cannot be read and is left out']


def _spread(count: int) -> list[int]:
  """Return frames spread evenly over a clip."""
  return sorted({i * count // _GLIMPSES for i in range(_GLIMPSES)})


def _geometry(clip: Clip, fan: sector.Sector, size: int) -> dict[str, object]:
  scale = fan.box[2] / size
  mm = [f'{v * scale:.6g}' for v in clip.mm_per_pixel or ()] or ['', '']
  return {
    'width': size,
    'height': size,
    'mm_per_pixel_x': mm[0],
    'mm_per_pixel_y': mm[1],
    'fps': f'{clip.fps:.6g}',
    'sector': fan.to_json(),
  }
