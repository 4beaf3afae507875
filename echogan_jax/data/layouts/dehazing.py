"""DehazingEcho2025: apical four-chamber frames, clean or hazy, 256 x 256.

Every file is one frame, `patient-<n>-4C-frame-<k>.png` or `.mha`. Its folders
tell the group: `clean`, `easy` or `high` against `noisy`, `hazy`, `difficult`
or `low`, as words of a folder's name, the innermost first. We know the names
of the challenge's files but not of the release's folders: rename those that
have none of these words. Regions that the scores are measured in lie under
the frames' names in a folder with one of the words `mask`, `roi` or `label`.

The groups are numbered apart. Whether patient 3 is the same person in both is
not told, so they are taken for one, who stays on one side of the split.
"""

import re
from collections.abc import Iterator
from itertools import chain, groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from echogan_jax.command import BadInput
from echogan_jax.data import limits, volumes
from echogan_jax.data.clip import Clip
from echogan_jax.data.item import Item
from echogan_jax.data.reject import Rejected
from echogan_jax.data.volumes import Frames

GROUPS = {
  **dict.fromkeys(('clean', 'easy', 'high'), 'high'),
  **dict.fromkeys(('noisy', 'hazy', 'difficult', 'low'), 'low'),
}
REGIONS = {'septum': 255, 'ventricle': 128}  # levels of the masks

_NAME = re.compile(r'patient-(\d+)-4C-frame-(\d+)\.(png|mha)')
_MASKS = {'mask', 'masks', 'roi', 'rois', 'label', 'labels'}
_FRAME = 1000 / 30  # ms: the frame rate is not told


class _File(NamedTuple):
  folder: str
  patient: int
  number: int
  name: str
  quality: str
  mask: bool


def matches(folder: Path) -> bool:
  """Return whether a folder looks like DehazingEcho."""
  return any(True for _ in _files(folder))


def _files(folder: Path) -> Iterator[_File]:
  places = ('', '*/', '*/*/', '*/*/*/')
  every = (folder.glob(f'{place}patient-*-4C-frame-*') for place in places)
  for path in chain.from_iterable(every):
    if found := _NAME.fullmatch(path.name):
      name = path.relative_to(folder)
      parts = (folder.name, *name.parent.parts)[::-1]
      words = [re.findall('[a-z]+', part.lower()) for part in parts]
      yield _File(
        folder=name.parent.as_posix(),
        patient=int(found[1]),
        number=int(found[2]),
        name=name.as_posix(),
        quality=next((GROUPS[w] for w in chain(*words) if w in GROUPS), ''),
        mask=not _MASKS.isdisjoint(chain(*words[:-1])),
      )


def items(folder: Path) -> Iterator[Item]:
  """Yield one clip for each patient of a folder, in order.

  Raises:
    BadInput: a folder holds a frame twice.
  """
  files = sorted(_files(folder))
  masks = [file for file in files if file.mask]
  pictures = [file for file in files if not file.mask]
  for _, group in groupby(pictures, lambda file: file[:2]):
    clip = list(group)
    first, numbers = clip[0], [file.number for file in clip]
    if len(set(numbers)) < len(numbers):
      raise BadInput(
        f'{folder / first.folder} holds a frame of patient {first.patient} '
        'twice, as .png and .mha: keep one of them'
      )
    who = f'patient-{first.patient}'
    yield Item(
      files=tuple(file.name for file in clip),
      patient=who,
      study=f'{first.folder}/{who}',
      view='A4C',
      quality=first.quality,
      still=len(clip) == 1,
      beside=tuple(m.name for m in masks if _belongs(m, first, numbers)),
    )


def _belongs(mask: _File, first: _File, numbers: list[int]) -> bool:
  """Return whether a mask is of a clip; one in neither group is of any."""
  if mask.patient != first.patient or mask.number not in numbers:
    return False
  return not mask.quality or mask.quality == first.quality


def read(folder: Path, item: Item) -> Clip:
  """Return the frames of a patient at 30 frames per second.

  Raises:
    BadInput: SimpleITK is needed and not installed.
    Rejected: a frame is missing or damaged, or they differ in size.
  """
  found = [_read(folder / name) for name in item.files]
  frames, sizes = zip(*found, strict=True)
  if len({frame.shape for frame in frames}) > 1:
    raise Rejected('bad_geometry', 'its frames differ in size')
  stack = np.concatenate(frames)
  if stack.any() and set(np.unique(stack)) <= {0, *REGIONS.values()}:
    raise Rejected('not_in_layout', 'masks, in a folder that does not say so')
  return Clip(
    frames=stack,
    times=_FRAME * np.arange(len(stack), dtype=np.float64),
    mm_per_pixel=sizes[0] if len(set(sizes)) == 1 else None,
  )


def _read(path: Path) -> tuple[Frames, volumes.Size | None]:
  if path.suffix == '.mha':
    return volumes.read(path)
  try:
    with limits.picture(path, 'PNG') as file:
      if file.mode.startswith(('I', 'F')):
        raise Rejected('bad_geometry', 'more than 8 bits a pixel')
      return np.asarray(file.convert('L'))[None], None
  except volumes.CLOSED as error:
    detail = 'a frame is missing or cannot be opened'
    raise Rejected('unreadable', detail) from error
  except (OSError, ValueError, SyntaxError) as error:
    raise Rejected('corrupt_pixels', 'a frame cannot be decoded') from error


def drawn(folder: Path, item: Item, clip: Clip) -> Frames | None:
  """Return None: two small regions are drawn, no anatomy."""
  del folder, item, clip
