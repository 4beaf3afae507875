"""Make the README's pictures.

  python -m experiments.pictures runs/quickstart

The phantom's contact sheet comes from the simulation itself, before and
after from what `evaluate` wrote in the workdir of the quick start.
"""

import pathlib
import sys

import numpy as np
from PIL import Image

from echogan_jax.data.phantom import simulate

HERE = pathlib.Path(__file__).parent / 'images'


def contact_sheet(patients: int = 16, size: int = 160) -> Image.Image:
  """Draw patients in rows of eight, clean above degraded."""
  rows = []
  for first in range(0, patients, 8):
    studies = [
      simulate([7, index], size=size, frames=1)
      for index in range(first, first + 8)
    ]
    for which in ('clean', 'degraded'):
      frames = [getattr(study, which)[0] for study in studies]
      rows.append(np.concatenate(frames, axis=1))
  return Image.fromarray(np.concatenate(rows))


def before_and_after(workdir: pathlib.Path, count: int = 4) -> Image.Image:
  """Stack input, enhanced and truth of evenly spread test frames."""
  paths = sorted(workdir.glob('eval/test/pictures/*.png'))
  chosen = np.linspace(0, len(paths) - 1, count).round().astype(int)
  strips = [np.asarray(Image.open(paths[i])) for i in chosen]
  pairs = [np.concatenate(strips[i : i + 2], axis=1) for i in (0, 2)]
  sheet = Image.fromarray(np.concatenate(pairs))
  return sheet.resize((2 * sheet.width, 2 * sheet.height), Image.BICUBIC)


if __name__ == '__main__':
  HERE.mkdir(exist_ok=True)
  contact_sheet().save(HERE / 'phantom.png', optimize=True)
  before_and_after(pathlib.Path(sys.argv[1])).save(
    HERE / 'quickstart.png', optimize=True
  )
