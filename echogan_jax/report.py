"""One self-contained HTML page about a run: verdict, metrics, pictures.

  python -m echogan_jax.report --workdir W [--output W/report.html] \
    [--hallucination W/eval/hallucination.json]

Nothing on the page needs a network; every string on it is escaped.
"""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import jinja2
import markupsafe

import echogan_jax
from echogan_jax import command
from echogan_jax.command import BadInput
from echogan_jax.data import limits
from echogan_jax.data.files import replacing

_PAGE = pathlib.Path(__file__).parent / 'page'


def main(argv: Sequence[str]) -> None:
  """Gather what lies in a workdir and write the page."""
  parser = command.parser('report', __doc__)
  parser.add_argument('--workdir', required=True, help='of the training run')
  parser.add_argument('--output', type=pathlib.Path)
  parser.add_argument(
    '--hallucination',
    help='sweep over the prevalence of a finding, by default '
    'WORKDIR/eval/hallucination.json if it is there',
  )
  flags = parser.parse_args(argv)
  from echogan_jax.page import figures, pictures, records, rules
  from echogan_jax.training import recipe

  workdir = command.existing(flags.workdir, '--workdir')
  for name in ('config.json', 'metrics.jsonl', 'alarms.jsonl'):
    limits.regular(workdir / name, limits.TABLE)
  try:
    config = records.writable(recipe.read(workdir))
    lines, alarms = _logged(workdir)
  except (ArithmeticError, KeyError, TypeError, RecursionError) as error:
    raise BadInput(f'{workdir}: its config or its log is damaged') from error
  if not lines:
    raise BadInput(f'{workdir}: nothing is logged yet (no metrics.jsonl)')
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_PAGE), autoescape=True, trim_blocks=True
  )
  page = environment.get_template('template.html').render(
    name=workdir.resolve().name,
    version=echogan_jax.__version__,
    step=lines[-1]['step'],
    inverted=rules.INVERTED,
    splits=[
      _split(path) for path in sorted(workdir.glob('eval/*/metrics.json'))
    ],
    hallucination=_hallucination(workdir, flags.hallucination),
    enhanced=pictures.enhanced(workdir),
    # our own drawing: matplotlib has escaped every name in it
    curves=markupsafe.Markup(figures.curves(lines)),
    alarms=', '.join(alarms[-4:]),
    samples=pictures.samples(workdir),
    config=json.dumps(config, indent=2),
  )
  output = flags.output or workdir / 'report.html'
  with replacing(output) as part:
    # a file's name may be half a character
    part.write_bytes(page.lstrip().encode(errors='replace'))
  print(output.resolve())


def _logged(workdir: pathlib.Path) -> tuple[list[dict], list[str]]:
  """Return the numbers of each logged step, and the alarms."""
  from echogan_jax.page import records
  from echogan_jax.training import log

  lines = [
    {k: float(v) for k, v in line.items() if isinstance(v, int | float)}
    | {'step': int(line['step'])}
    for line in records.writable(log.read(workdir))
  ]
  alarms = {
    f'{line["alarm"]} (step {line["step"]})': None
    for line in records.writable(log.read(workdir, 'alarms.jsonl'))
  }
  return lines, list(alarms)


def _split(path: pathlib.Path) -> dict[str, Any]:
  """Lay out one evaluation for the template."""
  from echogan_jax.page import figures, pictures, records, tables, verdict

  found = records.evaluation(path)
  cases = pictures.cases(found)
  typical = [case for case in cases if case['kind'] == 'Typical'] or cases
  return {
    'label': path.parent.name,
    'about': found.about,
    'verdict': verdict.verdict(found),
    'groups': tables.metrics(found),
    'agreement': tables.agreement(found),
    'findings': tables.findings(found),
    'skipped': found.skipped,
    'extractors': found.extractors,
    'scatter': _drawn(figures.scatter(found)),
    'ejection': _drawn(figures.ejection(found)),
    'areas': _drawn(figures.areas(found)),
    'slider': typical[0]['columns'][:2] if typical else [],
    'cases': cases,
    'clips': pictures.clips(found),
  }


def _hallucination(
  workdir: pathlib.Path, given: str | None
) -> dict[str, Any] | None:
  from echogan_jax.page import figures, records, tables

  path = workdir / 'eval' / 'hallucination.json'
  if given:
    path = command.existing(given, '--hallucination')
  if not path.exists():
    return None
  found = records.hallucination(path)
  return {
    'finding': found.finding,
    'drawing': _drawn(figures.hallucination(found)),
    'slopes': tables.slopes(found),
  }


def _drawn(svg: str) -> str:
  from echogan_jax.page import pictures

  return pictures.uri(svg.encode(), 'svg+xml') if svg else ''


if __name__ == '__main__':
  command.run(main)
