"""What a record holds of a frame: pictures, pseudonyms and grades."""

import functools
import pathlib
from collections.abc import Iterator

import numpy as np

from echogan_jax.data import annotation, limits, manifest, sector, select
from echogan_jax.shapes import DOMAINS, GRADES

UNKNOWN = -1


def splits(data: pathlib.Path) -> list[str]:
  """Return which splits have frames, such as `train_low`.

  It ends where all have been seen, mostly after a few rows.
  """
  found, most = {}, len(select.SPLITS) * len(DOMAINS)
  for row in manifest.rows(data):
    found[split_of(row)] = None
    if len(found) == most:
      break
  return list(found)


def split_of(row: manifest.Row) -> str:
  """Return the name of the split that a frame is in."""
  return f'{row["split"]}_{row["domain"]}'


def rows(split: str, data: pathlib.Path) -> Iterator[manifest.Row]:
  """Yield the rows of a split in the order of the manifest."""
  return (row for row in manifest.rows(data) if split_of(row) == split)


def make(
  row: manifest.Row, data: pathlib.Path
) -> tuple[str, dict[str, object]]:
  """Return the key and the features of a frame.

  Args:
    row: of the manifest.
    data: what `ingest` wrote.
  """
  side = int(row['width'])
  drawn = {
    kind: _annotation(data, row, kind) for kind in annotation.kinds(data)
  }
  return row['path'], {
    'image': limits.within(data, row['path']).read_bytes(),
    'mask': _mask(row['sector'], side),
    **drawn,
    'patient': row['patient'],
    'study': row['study'],
    'clip': row['clip'],
    'frame': int(row['frame']),
    **{name: int(row[name] or UNKNOWN) for name in GRADES},
  }


@functools.lru_cache(maxsize=256)
def _mask(place: str, side: int) -> bytes:
  inside = sector.crop_mask(sector.Sector.from_json(place), side)
  return annotation.png(inside.astype(np.uint8) * 255)


def _annotation(data: pathlib.Path, row: manifest.Row, kind: str) -> bytes:
  name = annotation.beside(row['path'], kind)
  if (data / name).exists():
    return limits.within(data, name).read_bytes()
  return _blank(kind, int(row['width']))


@functools.lru_cache(maxsize=4)
def _blank(kind: str, side: int) -> bytes:
  level = annotation.KINDS[kind].blank
  return annotation.png(np.full((side, side), level, np.uint8))
