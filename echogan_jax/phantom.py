"""Write synthetic echo studies in a real on-disk format, with their truth.

  python -m echogan_jax.phantom --output=phantom --studies=40 --seed=0

writes studies/<patient>/<study>/<clip>.dcm, labels.csv and
truth/<sha256 of the .dcm>.npz. Half the studies are degraded. Every patient
is made up, and named in the files as a scanner would. The same flags give
the same bytes; an interrupted run continues where it was.
"""

import argparse
import concurrent.futures
import csv
import dataclasses
import hashlib
import json
import math
import multiprocessing
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tqdm

from echogan_jax import command
from echogan_jax.command import BadInput
from echogan_jax.data import anatomy, cart, derive, phantom
from echogan_jax.data.files import replacing, write_npz

_FAMILY = 6  # of so many studies, the last two are one patient's


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
  """One study to write; everything about it follows from these."""

  output: pathlib.Path
  seed: int
  index: int
  size: int
  frames: int
  setting: str
  prevalence: Mapping[str, float]
  low: bool

  @property
  def patient(self) -> int:
    """Number of the patient; every fifth has two studies."""
    return self.index - (self.index + 1) // _FAMILY

  @property
  def again(self) -> bool:
    """Whether the patient has been here before."""
    return self.index % _FAMILY == _FAMILY - 1

  @property
  def path(self) -> pathlib.Path:
    """Where the clip is written."""
    folder = f'patient_{self.patient:05d}/study_{self.index:05d}'
    return self.output / 'studies' / folder / 'apical_four_chamber.dcm'

  @property
  def truth(self) -> pathlib.Path:
    """Where the truth belongs, once the clip is written."""
    digest = hashlib.sha256(self.path.read_bytes()).hexdigest()
    return self.output / 'truth' / f'{digest}.npz'

  @property
  def encoding(self) -> str:
    """How the clip is stored: independent of its quality."""
    if self.index % 2:
      return 'raw'
    return 'jpeg' if self.index // 4 % 2 else 'jpeg_colour'


def main(argv: Sequence[str]) -> None:
  """Run the verb; see the module's docstring."""
  flags = _flags(argv)
  output = pathlib.Path(flags.output).expanduser()
  jobs = list(_jobs(flags, output))
  _settle(flags, output)
  made = _rows(jobs, flags.workers)
  rows = list(tqdm.tqdm(made, 'phantom', total=len(jobs), unit='study'))
  _write_labels(output / 'labels.csv', rows)
  low = sum(job.low for job in jobs)
  patients = len({job.patient for job in jobs})
  print(
    f'{len(jobs)} studies ({low} low quality) of {patients} patients in '
    f'{output}/studies, labels in {output}/labels.csv, truth in {output}/truth'
  )


def _write_labels(path: pathlib.Path, rows: Sequence[Mapping]) -> None:
  with replacing(path) as part, part.open('w', newline='') as file:
    writer = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)


def _flags(argv: Sequence[str]) -> argparse.Namespace:
  parser = command.parser('phantom', __doc__)
  parser.add_argument('--output', required=True, help='folder to write to')
  parser.add_argument('--studies', required=True, type=int)
  parser.add_argument('--seed', required=True, type=int)
  parser.add_argument('--size', default=128, type=int, help='pixels to a side')
  parser.add_argument('--frames', default=24, type=int, help='in a clip')
  parser.add_argument('--setting', default='default', choices=phantom.SETTINGS)
  parser.add_argument(
    '--low_fraction', default=0.5, type=float, help='share of low quality'
  )
  parser.add_argument(
    '--prevalence',
    default=[],
    action='extend',
    nargs='+',
    metavar='KEY=FRACTION',
    help='how often a finding occurs, e.g. thrombus=0.5',
  )
  parser.add_argument('--workers', default=2, type=int, help='processes')
  parser.add_argument('--format', default='dicom', help='only dicom so far')
  flags = parser.parse_args(argv)
  if flags.format != 'dicom':
    raise BadInput(f'--format {flags.format} cannot be written: use dicom')
  if min(flags.studies, flags.frames, flags.workers) < 1 or flags.seed < 0:
    raise BadInput('--studies, --frames, --workers start at 1, --seed at 0')
  for name, least, most in (('low_fraction', 0, 1), ('size', 64, 1024)):
    if not least <= vars(flags)[name] <= most:
      raise BadInput(
        f'--{name} {vars(flags)[name]} is not within {least} to {most}'
      )
  return flags


def _prevalence(pairs: Sequence[str]) -> dict[str, float]:
  try:
    result = {k: float(v) for k, v in (pair.split('=') for pair in pairs)}
  except ValueError:
    result = {'': math.nan}
  if any(
    k not in anatomy.PREVALENCE or not 0 <= result[k] <= 1 for k in result
  ):
    raise BadInput(
      f'--prevalence {" ".join(pairs)}: write KEY=FRACTION, 0 to 1, KEY one of '
      f'{", ".join(anatomy.PREVALENCE)}'
    )
  return result


def _jobs(flags: argparse.Namespace, output: pathlib.Path) -> Iterator[Job]:
  prevalence = _prevalence(flags.prevalence)
  for index in range(flags.studies):
    # even and odd studies are encoded differently: spread each kind evenly
    # over both qualities, else a network could tell them by the encoding
    turn, odd = divmod(index, 2)
    before = turn * flags.low_fraction + odd / 2
    yield Job(
      output=output,
      seed=flags.seed,
      index=index,
      size=flags.size,
      frames=flags.frames,
      setting=flags.setting,
      prevalence=prevalence,
      low=math.floor(before + flags.low_fraction) > math.floor(before),
    )


def _settle(flags: argparse.Namespace, output: pathlib.Path) -> None:
  """Write down what is being made; refuse to mix it with something else.

  Raises:
    BadInput: the folder holds studies made with other flags.
  """
  if output.exists() and not output.is_dir():
    raise BadInput(f'--output {output} is a file: name a folder')
  path = output / 'phantom.json'
  kept = ('seed', 'size', 'frames', 'setting', 'low_fraction', 'prevalence')
  asked = {name: getattr(flags, name) for name in kept}
  if path.exists():
    there = json.loads(path.read_text(encoding='utf-8'))
    other = [name for name in kept if there.get(name) != asked[name]]
    if other or there['studies'] > flags.studies:
      what = ', '.join(other) or 'studies'
      raise BadInput(
        f'{output} holds a phantom with another --{what}: '
        'use another folder or remove this one'
      )
  asked['studies'] = flags.studies
  with replacing(path) as part:
    part.write_text(json.dumps(asked) + '\n', encoding='utf-8')


def _rows(jobs: Sequence[Job], workers: int) -> Iterator[dict[str, object]]:
  if workers == 1:
    yield from map(make, jobs)
    return
  context = multiprocessing.get_context('spawn')  # TensorFlow does not fork
  with concurrent.futures.ProcessPoolExecutor(workers, context) as pool:
    try:
      yield from pool.map(make, jobs)
    except BaseException:
      pool.shutdown(wait=False, cancel_futures=True)
      raise


def make(job: Job) -> dict[str, object]:
  """Write a study and its truth unless there; return its row of labels."""
  who = cart.visit(job.seed, job.patient, job.index)
  if not (job.path.exists() and job.truth.exists()):
    study = phantom.simulate(
      [job.seed, job.patient],
      visit=int(job.again),
      size=job.size,
      frames=job.frames,
      setting=job.setting,
      prevalence=job.prevalence,
    )
    frames = study.degraded if job.low else study.clean
    dataset = cart.dataset(
      cart.screen(frames, who),
      who,
      mm_per_pixel=study.mm_per_pixel,
      frame_time=study.frame_time,
      heart_rate=study.heart_rate,
      encoding=job.encoding,
    )
    derive.save(dataset, job.path)
    _write_truth(job.truth, study)
  with np.load(job.truth) as truth:
    labels = json.loads(str(truth['labels']))
  quality = 'low' if job.low else 'high'
  return {'study': who.uid, 'quality': quality, **labels}


def _write_truth(path: pathlib.Path, study: phantom.Study) -> None:
  """Write the truth in the grid of the file's frames, banner included."""
  arrays = {}
  for name, found in (vars(study) | study.labels).items():
    if isinstance(found, dict):
      found = json.dumps(found, default=float)
    elif np.ndim(found):
      pad = [(0, 0)] * np.ndim(found)
      pad[0 if name == 'fan' else 1] = (cart.BANNER, 0)
      found = np.pad(found, pad)
    arrays[name] = np.array(found)
  write_npz(path, arrays)


if __name__ == '__main__':
  command.run(main)
