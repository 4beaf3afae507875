"""Enhance clips: DICOM, MP4, AVI, GIF or PNG in, any of them out.

  python -m echogan_jax.enhance --workdir W --input CLIP.dcm \
    --output ENHANCED.dcm [--side_by_side] [--strength 1.0]

A folder, or several inputs, go into a folder, each in its own format. Pixels
outside the sector stay the input's own, text there included, unless
--blank_outside is given. The header of derived DICOM carries pseudonyms, never
the name; files keep the names of their sources.
"""

import argparse
import csv
import os
import pathlib
import secrets
from collections.abc import Sequence

import numpy as np
import tqdm

import echogan_jax
from echogan_jax import command
from echogan_jax.command import BadInput
from echogan_jax.data import derive, dicom, sector, video
from echogan_jax.data.clip import Clip
from echogan_jax.data.files import replacing

_FILMED = video.PICTURES + video.VIDEOS


def main(argv: Sequence[str]) -> None:
  """Enhance every input; record what cannot be, and go on."""
  flags = _flags(argv)
  if not 0.0 <= flags.strength <= 1.0:
    raise BadInput(f'--strength={flags.strength}: give a number from 0 to 1')
  jobs = _jobs(flags.input, flags.output)
  from echogan_jax.training import enhancer

  model = enhancer.load(command.existing(flags.workdir, '--workdir'))
  flags.key = secrets.token_bytes(32)  # one, so that a study stays together
  if len(jobs) == 1:
    source, target = jobs[0]
    _enhance(source, target, model, flags)
    print(target)
    return
  failed = []
  for source, target in tqdm.tqdm(jobs, desc='enhance', unit='clip'):
    try:
      _enhance(source, target, model, flags)
    except BadInput as error:
      reason = getattr(error, 'reason', 'bad_input')
      failed.append((str(target.relative_to(flags.output)), reason, str(error)))
  _record(failed, flags.output / 'rejected.csv')
  if len(failed) == len(jobs):
    raise BadInput(
      f'none of {len(jobs)} inputs could be enhanced: see '
      f'{flags.output / "rejected.csv"}'
    )
  print(f'{len(jobs) - len(failed)} of {len(jobs)} clips in {flags.output}')


def _flags(argv: Sequence[str]) -> argparse.Namespace:
  parser = command.parser('enhance', __doc__)
  parser.add_argument('--workdir', required=True, help='of the training run')
  parser.add_argument('--input', required=True, nargs='+', metavar='PATH')
  parser.add_argument('--output', required=True, type=pathlib.Path)
  parser.add_argument(
    '--side_by_side',
    action='store_true',
    help='input left, result right (video and pictures only)',
  )
  parser.add_argument(
    '--strength',
    type=float,
    default=1.0,
    help='from 0, the input, to 1, the full change',
  )
  parser.add_argument(
    '--blank_outside',
    action='store_true',
    help='clear everything outside the sector, burned-in names included',
  )
  return parser.parse_args(argv)


def _jobs(
  inputs: Sequence[str], output: pathlib.Path
) -> list[tuple[pathlib.Path, pathlib.Path]]:
  """Return (source, target) pairs; a folder with one clip is that clip."""
  sources = [command.existing(path, '--input').resolve() for path in inputs]
  tops = [path if path.is_dir() else path.parent for path in sources]
  top = pathlib.Path(os.path.commonpath(tops))
  found = []
  for source in sources:
    within = sorted(source.rglob('*')) if source.is_dir() else [source]
    for path in within:
      hidden = any(part.startswith('.') for part in path.relative_to(top).parts)
      if path.is_file() and not hidden:
        found.append((path, path.relative_to(top)))
  if not found:
    raise BadInput(f'--input={inputs[0]}: the folder is empty')
  if output.suffix.lower() not in ('.dcm', *_FILMED):
    if output.suffix:
      raise BadInput(f'--output={output}: end it in .dcm, {", ".join(_FILMED)}')
    return [(source, output / name) for source, name in found]
  if len(found) > 1:
    raise BadInput(f'--output={output}: {len(found)} inputs need a folder')
  return [(found[0][0], output)]


def _read(path: pathlib.Path) -> Clip:
  if path.suffix.lower() in _FILMED:
    return video.read(path)
  clip = dicom.read(path)
  dicom.check_tissue(clip)
  return clip


def _enhance(source: pathlib.Path, target: pathlib.Path, model, flags) -> None:
  if target.exists() and target.samefile(source):
    raise BadInput(f'{target} is the input itself: choose another --output')
  clip = _read(source)
  fan = sector.find(clip)
  before = sector.crop(clip.grey, fan, model.size)
  after = model.translate(before, sector.crop_mask(fan, model.size))
  frames = clip.frames
  if flags.blank_outside:
    inside = fan.mask()
    inside = inside[..., None] if frames.ndim == 4 else inside
    frames = np.where(inside, frames, 0).astype(np.uint8)
  made = sector.paste(before, after, fan, frames, flags.strength)
  if target.suffix.lower() in _FILMED:
    if flags.side_by_side:
      made = np.concatenate([frames, made], axis=2)
    video.write(target, made, clip.times)
    return
  if flags.side_by_side:
    raise BadInput('--side_by_side writes .mp4, .gif or .png, not DICOM')
  name = {
    'version': echogan_jax.__version__,
    'step': str(model.step),
    'config_sha256': model.config_sha256,
  }
  derive.write(target, clip, made, model=name, key=flags.key)


def _record(failed: list[tuple[str, str, str]], path: pathlib.Path) -> None:
  path.unlink(missing_ok=True)
  if not failed:
    return
  with replacing(path) as part, part.open('w', newline='') as file:
    table = csv.writer(file, lineterminator='\n')
    table.writerow(['source', 'reason', 'detail'])
    table.writerows(failed)


if __name__ == '__main__':
  command.run(main)
