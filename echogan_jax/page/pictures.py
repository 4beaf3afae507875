"""Pictures and clips as data URIs, cut and laid out for the page."""

import base64
import contextlib
import io
import itertools
import pathlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageSequence

from echogan_jax.command import BadInput
from echogan_jax.data import limits
from echogan_jax.data.reject import Rejected
from echogan_jax.page.records import Evaluation
from echogan_jax.page.words import number

BUDGET = 5_000_000  # bytes of clips on a page; the rest is named only
_COLUMNS = ('input', 'enhanced', 'truth')
_TALLEST = 16_000  # pixels that every browser can decode
_MOST = 6  # cases of a kind
_STEP = re.compile(r'step_\d{1,18}')
_DELAY = 100  # ms, of a clip that does not say
_KINDS = {'worst': 'Worst', 'best': 'Best', 'typical': 'Typical'}


class Film(NamedTuple):
  """A clip as one tall picture, frame below frame."""

  sheet: str  # data URI
  frames: int
  width: int
  height: int  # of one frame
  delay: int  # ms between frames


def uri(content: bytes, kind: str) -> str:
  """Return a data URI of a picture, `kind` as in image/png."""
  return f'data:image/{kind};base64,{base64.b64encode(content).decode()}'


def embed(path: pathlib.Path) -> str:
  """Return a PNG or GIF file as a data URI.

  Raises:
    BadInput: it is something else: a page is shared, and a file's name may be
      a link to anything.
  """
  with _open(path):
    return uri(path.read_bytes(), path.suffix.removeprefix('.'))


def cases(found: Evaluation) -> list[dict[str, Any]]:
  """Return the pictures, worst first, each with its maps and numbers.

  Older runs list none: then whatever lies in `pictures/` is taken.
  """
  listed = found.pictures or [
    {'file': f'pictures/{path.name}'}
    for path in sorted((found.folder / 'pictures').glob('*.png'))
  ]
  made: dict[str, list] = {name: [] for name in (*_KINDS.values(), '')}
  for case in listed:
    path = _within(found.folder, case['file'])
    kind = made[_KINDS.get(str(case.get('kind')), '')]
    if path is None or len(kind) == _MOST:
      continue
    maps = _within(found.folder, str(case.get('maps', '')))
    columns = case.get('map_columns', [])
    kind.append(
      {
        'kind': _KINDS.get(str(case.get('kind')), ''),
        'patient': str(case.get('patient', '')),
        'columns': _cut(path, case.get('columns') or _COLUMNS),
        'maps': _cut(maps, columns) if maps and columns else [],
        'values': [(k, number(v)) for k, v in case.get('values', {}).items()],
      }
    )
  return [case for kind in made.values() for case in kind]


def clips(found: Evaluation) -> list[dict[str, Any]]:
  """Return the clips as films until `BUDGET` is used up, then their names."""
  made, left = [], BUDGET
  for clip in found.clips:
    path = _within(found.folder, clip['file'])
    if path is None:
      continue
    film = _film(path)
    fits = len(film.sheet) <= left
    left -= len(film.sheet) if fits else 0
    made.append(
      {
        'file': clip['file'],
        'patient': str(clip.get('patient', '')),
        'columns': clip['columns'],
        'film': film if fits else None,
      }
    )
  return made


def enhanced(workdir: pathlib.Path) -> list[tuple[str, str]]:
  """Return name and data URI of clips that `enhance` wrote; '' if too large."""
  made, left = [], BUDGET
  for path in sorted(workdir.glob('enhanced/*.gif')):
    if _within(workdir, f'enhanced/{path.name}') is None:
      continue
    fits = path.stat().st_size * 4 / 3 <= left
    source = embed(path) if fits else ''
    left -= len(source)
    made.append((path.stem, source))
  return made


def samples(workdir: pathlib.Path) -> list[tuple[int, str]]:
  """Return step and data URI of what was drawn as training went on."""
  found = {
    int(path.stem.removeprefix('step_')): path
    for path in (workdir / 'samples').glob('step_*.png')
    if _STEP.fullmatch(path.stem) and _within(workdir, f'samples/{path.name}')
  }
  return [(step, embed(found[step])) for step in sorted(found)]


def _within(folder: pathlib.Path, name: str) -> pathlib.Path | None:
  """Return a file of a folder; nothing outside it is read, nor what is none."""
  try:
    path = limits.within(folder, name)
  except BadInput:
    return None
  return path if path.is_file() else None


@contextlib.contextmanager
def _open(path: pathlib.Path) -> Iterator[Image.Image]:
  try:
    with limits.picture(path, 'PNG', 'GIF') as picture:
      picture.load()
      yield picture
  except (OSError, SyntaxError, ValueError, Rejected) as error:
    raise BadInput(f'{path} is damaged: evaluate again') from error


def _cut(path: pathlib.Path, columns: Any) -> list[tuple[str, str]]:
  """Cut a strip of squares into labelled pictures."""
  with _open(path) as picture:
    strip = np.asarray(picture)
  count = max(1, strip.shape[1] // strip.shape[0])
  parts = np.split(strip[:, : count * strip.shape[0]], count, axis=1)
  return [
    (label, _png(part)) for label, part in zip(columns, parts, strict=False)
  ]


def _film(path: pathlib.Path) -> Film:
  frames, delays = [], []
  with _open(path) as clip:
    most = max(1, _TALLEST // clip.height)
    for frame in itertools.islice(ImageSequence.Iterator(clip), most):
      delays.append(frame.info.get('duration') or _DELAY)
      frames.append(np.asarray(frame.convert('RGB')))
  sheet = np.concatenate(frames)
  if np.ptp(sheet, axis=-1).max() == 0:  # grey: a third of the size
    sheet = sheet[..., 0]
  height, width = frames[0].shape[:2]
  delay = round(np.mean(delays))
  return Film(_png(sheet), len(frames), width, height, delay)


def _png(pixels: np.ndarray) -> str:
  file = io.BytesIO()
  Image.fromarray(pixels).save(file, 'PNG', optimize=True)
  return uri(file.getvalue(), 'png')
