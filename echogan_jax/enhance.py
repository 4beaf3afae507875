"""Enhance clips: DICOM, MP4, AVI, GIF or PNG in, any of them out.

  python -m echogan_jax.enhance --workdir W --input CLIP.dcm \
    --output ENHANCED.dcm [--side_by_side] [--strength 1.0]

A folder, or several inputs, go into a folder, each in its own format. Outside
the sector the result is black, for names are burned in there; --keep_outside
leaves the input's own pixels, text included. Text inside the sector ends a
clip, where the `ocr` extra is there to find it, unless --allow_text is given.
The header of derived DICOM carries pseudonyms, never the name. In a folder,
files keep the names of their sources, but for parts that name the patient.
"""

import argparse
import csv
import os
import pathlib
import secrets
import sys
from collections.abc import Sequence

import numpy as np
import tqdm

import echogan_jax
from echogan_jax import command
from echogan_jax.command import BadInput
from echogan_jax.data import (
  derive,
  dicom,
  identity,
  naming,
  secret,
  sector,
  select,
  text,
  video,
)
from echogan_jax.data.clip import Clip, luma
from echogan_jax.data.files import replacing
from echogan_jax.data.reject import Rejected

_FILMED = video.PICTURES + video.VIDEOS
_SWITCHES = {
  'side_by_side': 'input left, result right (video and pictures only)',
  'keep_outside': 'leave what is outside the sector, burned-in names included',
  'blank_outside': 'clear it: the default',
  'recover': 'use what is left of cut files',
  'changes': 'write CLIP_changes.gif too: what changed beyond expectation',
  'allow_text': 'go on where text lies inside the sector',
}


def main(argv: Sequence[str]) -> None:
  """Enhance every input; record what cannot be, and go on."""
  flags = _flags(argv)
  if not 0.0 <= flags.strength <= 1.0:
    raise BadInput(f'--strength={flags.strength}: give a number from 0 to 1')
  jobs, folder = _jobs(flags.input, flags.output)
  from echogan_jax.training import enhancer

  workdir = command.existing(flags.workdir, '--workdir')
  model = enhancer.load(workdir)
  if flags.changes:
    from echogan_jax.evaluation import expectation

    flags.expected = expectation.read(workdir, model)
  # one, so that a study stays together
  asked = flags.key and command.existing(flags.key, '--key')
  flags.key = secret.read(asked) if asked else secrets.token_bytes(32)
  if not (flags.keep_outside or flags.allow_text or text.available()):
    print(text.UNSEARCHED, file=sys.stderr)
  if not folder:
    clip = _read(*jobs[0], flags)
    _enhance(clip, jobs[0][0], flags.output, model, flags)
    print(flags.output)
    return
  # what names a patient in one file does so in the names of all
  known = {w for path, _ in jobs for w in naming.words(path, flags.key)}
  failed = []
  for source, name in tqdm.tqdm(jobs, desc='enhance', unit='clip'):
    shown = identity.hide(name, flags.key, known.__contains__)
    try:
      clip = _read(source, name, flags)
      _enhance(clip, source, flags.output / shown, model, flags)
    except BadInput as error:
      reason = getattr(error, 'reason', 'bad_input')
      detail = str(error).replace(str(source), 'the file')
      failed.append((shown, reason, detail))
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
    '--strength',
    type=float,
    default=1.0,
    help='from 0, the input, to 1, the full change',
  )
  for name, meaning in _SWITCHES.items():
    parser.add_argument(f'--{name}', action='store_true', help=meaning)
  parser.add_argument('--key', help="the data's, to get the same pseudonyms")
  return parser.parse_args(argv)


def _jobs(
  inputs: Sequence[str], output: pathlib.Path
) -> tuple[list[tuple[pathlib.Path, str]], bool]:
  """Return each source with its path below the output, and if that is a folder.

  A folder with one clip is that clip.
  """
  sources = [command.existing(path, '--input').resolve() for path in inputs]
  tops = [path if path.is_dir() else path.parent for path in sources]
  top = pathlib.Path(os.path.commonpath(tops))
  found = []
  for source in sources:
    within = sorted(source.rglob('*')) if source.is_dir() else [source]
    for path in within:
      hidden = any(part.startswith('.') for part in path.relative_to(top).parts)
      # what an earlier run wrote is no input
      ours = output.resolve() in path.parents
      if path.is_file() and not (hidden or ours):
        name = naming.shown(path.relative_to(top).as_posix())
        found.append((path, name))
  if not found:
    raise BadInput(f'--input={inputs[0]}: the folder holds no files')
  folder = output.suffix.lower() not in ('.dcm', *_FILMED)
  if folder and output.suffix:
    raise BadInput(f'--output={output}: end it in .dcm, {", ".join(_FILMED)}')
  if len(found) > 1 and not folder:
    raise BadInput(f'--output={output}: {len(found)} inputs need a folder')
  return found, folder


def _read(path: pathlib.Path, name: str, flags: argparse.Namespace) -> Clip:
  top = path.parents[name.count('/')]
  select.check_place(top, path.relative_to(top).as_posix())
  if path.suffix.lower() in _FILMED:
    return video.read(path)
  clip = dicom.read(path, recover=flags.recover)
  dicom.check_tissue(clip)
  return clip


def _enhance(
  clip: Clip, source: pathlib.Path, target: pathlib.Path, model, flags
) -> None:
  if target.exists() and target.samefile(source):
    raise BadInput(f'{target} is the input itself: choose another --output')
  fan = sector.find(clip)
  frames, clean = _cleared(clip, fan, flags)
  before = sector.crop(clip.grey, fan, model.size)
  after = model.translate(before, sector.crop_mask(fan, model.size))
  made = sector.paste(before, after, fan, frames, flags.strength)
  if flags.changes:
    _changes(before, after, fan, clip, target, flags)
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
  derive.write(target, clip, made, model=name, key=flags.key, blanked=clean)


def _changes(before, after, fan, clip: Clip, target, flags) -> None:
  """Write what changed beyond expectation, orange over the enhanced clip."""
  from echogan_jax.evaluation import expectation, pictures

  inside = sector.crop_mask(fan, after.shape[1])
  painted = [
    pictures.paint(
      new,
      np.maximum(expectation.excess(old, new, inside, flags.expected) - 1, 0),
      inside,
    )
    for old, new in zip(before, after, strict=True)
  ]
  name = target.with_name(f'{target.stem}_changes.gif')
  video.write(name, np.stack(painted), clip.times)


def _cleared(
  clip: Clip, fan: sector.Sector, flags: argparse.Namespace
) -> tuple[np.ndarray, bool]:
  """Return the frames as they may leave, and whether nothing names anyone.

  Raises:
    Rejected: `text_in_sector`.
  """
  if flags.keep_outside:
    return clip.frames, False
  inside = fan.mask()
  shape = (*inside.shape, *[1] * (clip.frames.ndim - 3))
  black = np.zeros((), np.uint8)
  frames = np.where(inside.reshape(shape), clip.frames, black)
  searched = text.available() and not flags.allow_text
  if searched and text.search(luma(frames), inside):
    detail = 'text inside the sector may name someone: --allow_text goes on'
    raise Rejected('text_in_sector', detail)
  return frames, searched


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
