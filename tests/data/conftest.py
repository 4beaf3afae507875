"""A made-up curated data set for the tests of what reads one."""

import csv

import numpy as np
import pytest
from PIL import Image

from echogan_jax.data import curate, sector
from echogan_jax.shapes import GRADES


@pytest.fixture(scope='session')
def curated(tmp_path_factory):
  """Write a folder as `ingest` would: frame i has the grey level 20 i + 50."""

  def write(counts, side=32):
    data = tmp_path_factory.mktemp('curated')
    corners = ((side // 2, 0), (side - 1, side - 1), (0, side - 1))
    fan = sector.Sector(side, side, (0, 0, side), corners)
    rows = []
    for (split, domain), count in counts.items():
      for i in range(count):
        path = f'frames/{split}/{domain}/{domain}{i}_0.png'
        frame = fan.mask().astype(np.uint8) * (20 * i + 50)
        (data / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(frame).save(data / path)
        row = dict.fromkeys((*curate.COLUMNS, *GRADES), '')
        row |= {'path': path, 'split': split, 'domain': domain, 'frame': i}
        row |= {'patient': f'{split}{i}', 'study': f's{i}', 'lvh': i % 2}
        row |= {'width': side, 'height': side, 'sector': fan.to_json()}
        rows.append(row)
    with (data / 'manifest.csv').open('w', newline='') as file:
      table = csv.DictWriter(file, rows[0])
      table.writeheader()
      table.writerows(rows)
    return data

  return write
