"""A made-up curated data set for the tests of what reads one."""

import csv

import numpy as np
import pytest
from PIL import Image

from echogan_jax.data import curate, sector
from echogan_jax.shapes import GRADES


def save(data, path, picture):
  (data / path).parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(picture.astype(np.uint8)).save(data / path)


def draw(data, name, side, i):
  """Draw a frame whose annotations follow from it: 40 tissue + i; inverted."""
  tissue = np.random.default_rng(i).integers(0, 6, (side, side))
  save(data, f'frames/{name}', 40 * tissue + i)
  save(data, f'anatomy/{name}', tissue)
  save(data, f'targets/{name}', 255 - (40 * tissue + i))


@pytest.fixture(scope='session')
def curated(tmp_path_factory):
  """Write a folder as `ingest` would: frame i has the grey level 20 i + 50.

  With `annotated`, so many frames of each domain are drawn by `draw` instead.
  """

  def write(counts, side=32, *, annotated=0, lvh=lambda domain, i: i % 2):
    data = tmp_path_factory.mktemp('curated')
    corners = ((side // 2, 0), (side - 1, side - 1), (0, side - 1))
    fan = sector.Sector(side, side, (0, 0, side), corners)
    rows = []
    for (split, domain), count in counts.items():
      for i in range(count):
        name = f'{split}/{domain}/{domain}{i}_0.png'
        if i < annotated:
          draw(data, name, side, i)
        else:
          save(data, f'frames/{name}', fan.mask() * (20 * i + 50))
        row = dict.fromkeys((*curate.COLUMNS, *GRADES), '')
        row |= {'path': f'frames/{name}', 'split': split, 'domain': domain}
        row |= {'patient': f'{split}{i}', 'study': f's{i}', 'frame': i}
        row |= {'width': side, 'height': side, 'sector': fan.to_json()}
        grade = lvh(domain, i)
        rows.append(row | {'lvh': '' if grade is None else int(grade)})
    with (data / 'manifest.csv').open('w', newline='') as file:
      table = csv.DictWriter(file, rows[0])
      table.writeheader()
      table.writerows(rows)
    return data

  return write
