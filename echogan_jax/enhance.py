"""Enhance clips: DICOM, MP4, AVI, GIF or PNG in, any of them out.

  python -m echogan_jax.enhance --workdir W --input CLIP.dcm \
    --output ENHANCED.dcm [--side_by_side] [--strength 1.0]

A folder, or several inputs, go into a folder, each in its own format. Clips
may be of any length and size: they are enhanced as they are played. Outside
the sector the result is black, for names are burned in there; --keep_outside
leaves the input's own pixels, text included. Text inside the sector ends a
clip, where the `ocr` extra is there to find it, unless --allow_text is given.
The header of derived DICOM carries pseudonyms, unless --keep_identity is
given. In a folder, files keep the names of their sources, but for parts that
name the patient.
"""

import argparse
import contextlib
import csv
import os
import pathlib
import secrets
import sys
from collections.abc import Sequence

import tqdm

from echogan_jax import command
from echogan_jax.command import BadInput
from echogan_jax.data import film, identity, naming, secret, select, text
from echogan_jax.data.files import replacing

_SWITCHES = {
  'side_by_side': 'input left, result right (video and pictures only)',
  'keep_outside': 'leave what is outside the sector, burned-in names included',
  'blank_outside': 'clear it: the default',
  'keep_identity': 'leave patient and study in the header of derived DICOM',
  'no_persistence': 'do not average over time where nothing moves',
  'compress': 'write DICOM in JPEG-LS, lossless',
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
    _enhance(*jobs[0], flags.output, model, flags)
    print(flags.output)
    return
  # what names a patient in one file does so in the names of all
  known = {w for path, _ in jobs for w in naming.words(path, flags.key)}
  failed = []
  for source, name in tqdm.tqdm(jobs, desc='enhance', unit='clip'):
    shown = identity.hide(name, flags.key, known.__contains__)
    shown = name if flags.keep_identity else shown
    try:
      _enhance(source, name, flags.output / shown, model, flags)
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
  folder = output.suffix.lower() not in ('.dcm', *film.FILMED)
  if folder and output.suffix:
    raise BadInput(
      f'--output={output}: end it in .dcm, {", ".join(film.FILMED)}'
    )
  if len(found) > 1 and not folder:
    raise BadInput(f'--output={output}: {len(found)} inputs need a folder')
  return found, folder


def _enhance(
  source: pathlib.Path, name: str, target: pathlib.Path, model, flags
) -> None:
  """Enhance one file; `name` is its path below the folder it may not leave."""
  from echogan_jax.delivery import output, treatment

  if target.exists() and target.samefile(source):
    raise BadInput(f'{target} is the input itself: choose another --output')
  select.check_place(source.parents[name.count('/')], name)
  with contextlib.ExitStack() as stack:
    clip = stack.enter_context(film.opened(source, recover=flags.recover))
    options = treatment.Options(
      strength=flags.strength,
      persistence=not flags.no_persistence,
      keep_outside=flags.keep_outside,
      allow_text=flags.allow_text,
    )
    treated = treatment.enhance(clip, model, options)
    also = []
    if flags.changes:
      shown = target.with_name(f'{target.stem}_changes.gif')
      changes = output.changes(shown, clip, treated.sector, flags.expected)
      also.append(stack.enter_context(changes))
    style = output.Style(
      side_by_side=flags.side_by_side,
      identity='keep' if flags.keep_identity else 'remove',
      compress=flags.compress,
    )
    output.write(
      target, clip, treated, model=model, key=flags.key, style=style, also=also
    )


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
