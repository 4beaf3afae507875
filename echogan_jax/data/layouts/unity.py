"""Unity Imaging: pictures out of many studies, with points and curves.

  png-cache/01/ab/cd/01-abcd….png     <class>-<hash>-<number of the frame>
  labels/labels-{all,train,tune,ival}.json

`tune` is taken for validation and `ival` for testing. The class may be left
out of a name. Frames of one hash come from one video and are one item; each
hash counts as a patient. Source: data.unityimaging.net.
"""

import functools
import json
import pathlib
import re
from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8

from echogan_jax.command import BadInput
from echogan_jax.data import limits
from echogan_jax.data.clip import Clip
from echogan_jax.data.item import Item
from echogan_jax.data.layouts import tracing
from echogan_jax.data.reject import Rejected

TABLES = ('*labels-*.json',)

_PICTURES = 'png-cache'
_CLASSES = ('01', '02')
_SPLITS = {'train': 'train', 'tune': 'validation', 'ival': 'test'}
_NAME = re.compile(r'(?:\d\d-)?([0-9a-f]{64})-(\d{4})(?:\.png)?')
_ENDO = 'curve-lv-endo'
_OPEN = 1 / 3  # of a curve's length: ends further apart enclose nothing
_FRAME = 1000 / 30  # ms; how far apart the frames are is not known

_Outlines = dict[int, tracing.Outline | None]  # by number of the frame


def matches(folder: pathlib.Path) -> bool:
  """Return whether a folder looks like Unity Imaging's data."""
  return (folder / _PICTURES).is_dir()


def items(folder: pathlib.Path) -> Iterator[Item]:
  """Yield the labelled pictures that are there, in the order of the hashes.

  Raises:
    BadInput: the labels are missing or cannot be used.
  """
  outlines, splits = _labels(folder)
  for code in sorted(outlines):
    found = (_find(folder, code, frame) for frame in sorted(outlines[code]))
    files = tuple(file for file in found if file)
    if files:
      yield Item(
        files=files,
        patient=code,
        study=code,
        split=splits.get(code, ''),
        still=True,
      )


def _find(folder: pathlib.Path, code: str, frame: int) -> str | None:
  """Return where a picture lies, None if it does not."""
  name = f'{code}-{frame:04d}.png'
  places = [f'{kind}/{code[:2]}/{code[2:4]}' for kind in _CLASSES]
  names = [(place, f'{place[:2]}-{name}') for place in places]
  names += [(place, name) for place in (*places, f'{code[:2]}/{code[2:4]}')]
  files = ('/'.join((_PICTURES, *parts)) for parts in names)
  return next((file for file in files if (folder / file).is_file()), None)


@functools.lru_cache(maxsize=1)
def _labels(
  folder: pathlib.Path,
) -> tuple[dict[str, _Outlines], dict[str, str]]:
  """Return the ventricle's outline by hash and frame, and the split by hash.

  Raises:
    BadInput: the labels are missing or cannot be used.
  """
  tables = sorted((*folder.glob(TABLES[0]), *folder.glob('*/labels-*.json')))
  if not tables:
    raise BadInput(f'{folder} has no labels/labels-*.json: put them there')
  outlines, splits = {}, []
  for table in tables:
    part = _SPLITS.get(table.stem.removeprefix('labels-'), '')
    for name, labels in _load(table):
      code, frame = name[1], int(name[2])
      splits.append((code, part))
      outlines.setdefault(code, {})[frame] = _outline(labels.get(_ENDO))
  return outlines, tracing.strictest(splits)


def _load(table: pathlib.Path) -> Iterator[tuple[re.Match, dict]]:
  """Yield the parts of a picture's name and its labels."""
  limits.regular(table, limits.TABLE)
  try:
    found = json.loads(table.read_bytes())
    for key, entry in found.items():
      name, labels = _NAME.fullmatch(key), entry.get('labels') or {}
      if not name or not isinstance(labels, dict):
        raise ValueError('a name or its labels are in another form')
      yield name, labels
  except OSError as error:
    raise BadInput(f'{table} cannot be opened: {error.strerror}') from error
  except (AttributeError, ValueError, RecursionError) as error:
    raise BadInput(
      f'{table} does not hold the labels of Unity Imaging: fetch it again '
      f'({error})'
    ) from error


def _outline(curve: object) -> tracing.Outline | None:
  """Return the curve as an outline, None if it encloses nothing.

  It runs from one hinge of the mitral valve to the other. Where it is called
  off (not in the picture) or blurred (not known) it has no points.
  """
  if isinstance(curve, list) and len(curve) == 1:
    curve = curve[0]
  if not isinstance(curve, dict) or curve.get('type') != 'curve':
    return None
  try:
    texts = [str(curve.get(axis, '')).split() for axis in 'xy']
    points = np.array(texts, float).T
  except ValueError:  # not numbers, or not as many of x as of y
    return None
  if len(points) < 3 or not np.isfinite(points).all():
    return None
  steps = np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=1)
  return points if steps[-1] < _OPEN * steps[:-1].sum() else None


def read(folder: pathlib.Path, item: Item) -> Clip:
  """Return the pictures as frames, their numbers' distance not kept.

  Raises:
    Rejected: a file is damaged, or the pictures differ in size.
  """
  clips = [tracing.decode(folder / file) for file in item.files]
  frames = [clip.frames[0] for clip in clips]
  if len({frame.shape for frame in frames}) > 1:
    raise Rejected('bad_geometry', 'pictures of one video differ in size')
  return Clip(
    frames=np.stack(frames), times=_FRAME * np.arange(len(frames)), lossy=True
  )


def drawn(
  folder: pathlib.Path, item: Item, clip: Clip
) -> UInt8[np.ndarray, 'time height width'] | None:
  """Return the left ventricle where its endocardium is traced.

  None if it is not traced in any of the frames.
  """
  known, _ = _labels(folder)
  outlines = {}
  for index, file in enumerate(item.files):
    name = _NAME.fullmatch(pathlib.PurePosixPath(file).name)
    outline = known[name[1]][int(name[2])] if name else None
    if outline is not None:
      outlines[index] = outline
  return tracing.fill(outlines, clip.frames.shape[:3])
