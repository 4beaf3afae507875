"""CAMUS: two apical views of 500 patients, graded, drawn by cardiologists.

The release in NIfTI, or that of 2019 in MHD, as they are unpacked:

  database_nifti/patient0001/   (2019: training/…, testing/…)
    Info_4CH.cfg                one for each view, as `ImageQuality: Good`
    patient0001_4CH_half_sequence.nii.gz   (2019: …_4CH_sequence.mhd and .raw)
    patient0001_4CH_{ED,ES}.nii.gz         its ends
    …_gt.nii.gz                            what is drawn of each of them
  database_split/subgroup_{training,validation,testing}.txt

A clip is one view of one patient. Of the drawn frames only ED and ES are
kept, as others do who use the sequences.
"""

import math
from collections.abc import Iterable, Iterator
from itertools import chain, groupby, product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from echogan_jax.command import BadInput
from echogan_jax.data import limits, volumes
from echogan_jax.data.clip import Clip
from echogan_jax.data.item import Item
from echogan_jax.data.reject import Rejected
from echogan_jax.data.volumes import Frames
from echogan_jax.shapes import UNDRAWN

QUALITIES = {'Good': 'high', 'Medium': '', 'Poor': 'low'}
TABLES = ('*database_split/subgroup_*.txt',)
SPLITS = {'training': 'train', 'validation': 'validation', 'testing': 'test'}

_PHASES = ('ED', 'ES')
_SEQUENCES = ('half_sequence', 'sequence')
_TOP = 3  # 1 LV, 2 myocardium, 3 LA: our own numbers
_FRAME = 1000 / 30  # ms, where the frame rate is not known


class Facts(NamedTuple):
  """What a `.cfg` says of its view; empty where it says nothing."""

  quality: str = ''  # a key of QUALITIES
  ef: str = ''
  ends: dict[str, int] = {}  # index of the frame, by phase
  frame: float | None = None  # ms


def matches(folder: Path) -> bool:
  """Return whether a folder looks like CAMUS."""
  return any(True for _ in _files(folder))


def _files(folder: Path) -> Iterator[Path]:
  places = ('', 'patient[0-9]*/', '*/patient[0-9]*/', '*/*/patient[0-9]*/')
  name = 'patient[0-9]*_[24]CH_*.*'
  every = chain.from_iterable(folder.glob(place + name) for place in places)
  roles = {*_PHASES, *_SEQUENCES}
  return (path for path in every if _role(path).removesuffix('_gt') in roles)


def _view(path: Path) -> Path:
  """Return what the names of all files of a view begin with."""
  return path.with_name('_'.join(path.name.split('_')[:2]))


def _role(path: Path) -> str:
  return path.name.partition('.')[0].split('_', 2)[2]


def items(folder: Path) -> Iterator[Item]:
  """Yield one clip for each view of each patient, in the order of their paths.

  Raises:
    BadInput: a `.cfg` or the list of a split cannot be used.
  """
  splits = _splits(folder)
  paths = sorted(_files(folder), key=lambda path: (_view(path), path))
  for view, group in groupby(paths, _view):
    patient, chambers = view.name.split('_')
    # the patients of `testing` are numbered from 1 again: other people
    apart = view.parent.parent.name == 'testing'
    who = f'testing/{patient}' if apart else patient
    cfg = view.with_name(f'Info_{chambers}.cfg')
    facts = _facts(cfg)
    files, rest, diastole = _share(list(group), facts.ends)
    if files:
      rest += [cfg] if cfg.exists() else []
      yield Item(
        files=tuple(p.relative_to(folder).as_posix() for p in files),
        patient=who,
        study=who,
        view=f'A{chambers[0]}C',
        quality=QUALITIES.get(facts.quality, ''),
        split='test' if apart else splits.get(patient, ''),
        labels={'image_quality': facts.quality, 'ef': facts.ef},
        diastole=diastole,
        beside=tuple(p.relative_to(folder).as_posix() for p in rest),
      )


def _share(
  paths: list[Path], ends: dict[str, int]
) -> tuple[list[Path], list[Path], int | None]:
  """Return the files of the clip, the others, and the index of ED."""
  roles = _volumes(paths)
  there = [name for name in _SEQUENCES if name in roles][:1]
  diastole = ends.get('ED')
  if not there:
    order = sorted(_PHASES, key=lambda name: ends.get(name, name == 'ES'))
    there = [name for name in order if name in roles]
    diastole = there.index('ED') if 'ED' in there else None
  files = [_pixels(roles[name], paths) for name in there]
  return files, [path for path in paths if path not in files], diastole


def _pixels(path: Path, paths: list[Path]) -> Path:
  """Return what tells a clip: the headers of two patients may be the same."""
  raw = [path.with_suffix(suffix) for suffix in volumes.RAW]
  return next((there for there in raw if there in paths), path)


def _volumes(paths: Iterable[Path]) -> dict[str, Path]:
  """Return the file of each role; `.raw` belongs to an `.mhd`."""
  return {_role(p): p for p in paths if p.name.endswith(volumes.SUFFIXES)}


def _splits(folder: Path) -> dict[str, str]:
  lists = (
    folder.glob(f'{place}database_split') for place in ('', '*/', '*/*/')
  )
  result = {}
  for (name, split), top in product(SPLITS.items(), chain(*lists)):
    path = top / f'subgroup_{name}.txt'
    for patient in _text(path).split() if path.exists() else ():
      if result.setdefault(patient, split) != split:
        raise BadInput(f'{path}: {patient} is in another list, too: keep one')
  return result


def _text(path: Path) -> str:
  try:
    return limits.regular(path, limits.TABLE).read_text(encoding='utf-8')
  except (OSError, UnicodeDecodeError) as error:
    raise BadInput(f'{path} is not readable as text: restore it') from error


def _facts(path: Path) -> Facts:
  if not path.exists():
    return Facts()
  pairs = (line.partition(':') for line in _text(path).splitlines())
  says = {key.strip(): value.strip() for key, _, value in pairs}
  says = {key: value for key, value in says.items() if value}
  quality = says.get('ImageQuality', '')
  try:
    ends = {name: int(says[name]) - 1 for name in _PHASES if name in says}
    length = int(says.get('NbFrame', 1 + max(ends.values(), default=0)))
    rate = float(says.get('FrameRate', 'nan'))
    ef = float(says.get('EF', says.get('LVef', 'nan')))  # 2019: LVef
  except ValueError as error:
    why = 'ED, ES, NbFrame, FrameRate and EF must be numbers'
    raise BadInput(f'{path}: {why}: restore it') from error
  if not says or quality not in ('', *QUALITIES):
    why = f'ImageQuality must be one of {", ".join(QUALITIES)}'
    raise BadInput(f'{path}: {why}: restore it')
  if not all(0 <= index < length for index in ends.values()):
    raise BadInput(f'{path}: ED and ES must lie in 1 to NbFrame: restore it')
  return Facts(
    quality=quality,
    ef=f'{ef:g}' if math.isfinite(ef) else '',
    ends=ends,
    frame=1000 / rate if math.isfinite(rate) and rate > 0 else None,
  )


def _facts_of(folder: Path, item: Item) -> Facts:
  cfgs = [name for name in item.beside if name.endswith('.cfg')]
  return _facts(folder / cfgs[0]) if cfgs else Facts()


def read(folder: Path, item: Item) -> Clip:
  """Return the frames of one view, their pixels made square.

  Raises:
    BadInput: SimpleITK is not installed.
    Rejected: a file is missing or damaged.
  """
  facts = _facts_of(folder, item)
  stacks, sizes = zip(
    *(volumes.read(folder / name) for name in item.files), strict=True
  )
  if len({stack.shape[1:] for stack in stacks}) > 1 or len(set(sizes)) > 1:
    raise Rejected('bad_geometry', 'ED and ES differ in size')
  raw = np.concatenate(stacks)
  frames, mm = volumes.square(raw, sizes[0])
  ends = facts.ends.values()
  apart = max(ends) - min(ends) if len(stacks) == len(ends) == 2 else 1
  gap = max(apart, 1) * (facts.frame or _FRAME)
  return Clip(
    frames=frames,
    times=gap * np.arange(len(frames), dtype=np.float64),
    timing='FrameRate' if facts.frame else 'default',
    mm_per_pixel=mm,
    notes=() if frames.shape == raw.shape else ('pixels made square',),
  )


def drawn(folder: Path, item: Item, clip: Clip) -> Frames | None:
  """Return the tissues drawn at ED and ES; other frames are undrawn.

  Args:
    folder: of the data set.
    item: a clip of it.
    clip: as `read` returns it.

  Raises:
    Rejected: a drawing is damaged, or does not fit the clip.
  """
  roles = _volumes(folder / name for name in item.beside)
  result = np.full(clip.frames.shape, UNDRAWN, np.uint8)
  for index, name, number in _drawings(folder, item, roles):
    masks, _ = volumes.square(*volumes.read(roles[name]), labels=True)
    if number >= len(masks) or masks.shape[1:] != result.shape[1:]:
      raise Rejected('bad_geometry', 'a drawing has another size than its clip')
    if masks[number].max() > _TOP:
      raise Rejected(
        'corrupt_pixels', 'a drawing holds labels that are unknown'
      )
    if index < len(result):
      result[index] = masks[number]
  return None if (result == UNDRAWN).all() else result


def _drawings(
  folder: Path, item: Item, roles: dict[str, Path]
) -> Iterator[tuple[int, str, int]]:
  """Yield which frame of the clip is drawn in which file, as which frame."""
  ends = _facts_of(folder, item).ends
  clip = [_role(Path(name)) for name in item.files]
  for phase in _PHASES:
    if phase in clip:
      if f'{phase}_gt' in roles:
        yield clip.index(phase), f'{phase}_gt', 0
    elif phase in ends:
      if f'{clip[0]}_gt' in roles:
        yield ends[phase], f'{clip[0]}_gt', ends[phase]
      elif f'{phase}_gt' in roles:
        yield ends[phase], f'{phase}_gt', 0
