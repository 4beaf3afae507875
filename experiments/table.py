"""From the metrics of many runs to one table: a row for each variant."""

import csv
import functools
import itertools
import pathlib
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from echogan_jax.data.files import replacing
from echogan_jax.training import log
from experiments.plan import Rival, Run

METRICS = ('psnr', 'ssim', 'gcnr', 'checkerboard_db')
_TIME = 'seconds_per_step'


class Row(NamedTuple):
  """A line of the table: the values of each column, one for each seed."""

  name: str
  values: dict[str, list[float]]
  done: int | None = None  # runs; None where the row is no variant
  lacking: str = ''  # which runs are not in it, and why


def gather(
  runs: Sequence[Run | Rival], split: str, metrics: Sequence[str] = METRICS
) -> list[Row]:
  """Return the input, the truth where known, then every variant.

  Args:
    runs: all that should be in the table, done or not.
    split: which was evaluated.
    metrics: the columns.
  """
  found = [(run, run.found(split)) for run in runs]
  done = [measured for _, measured in found if measured]
  column = functools.partial(_column, names=metrics)
  rows = [Row('(input)', column(done, 'input'))]
  truth = Row('(truth)', column(done, 'target'))
  if any(truth.values.values()):
    rows.append(truth)
  for name in dict.fromkeys(run.variant for run in runs):
    own = [(run, measured) for run, measured in found if run.variant == name]
    there = [(run, measured) for run, measured in own if measured]
    values = column([measured for _, measured in there], 'enhanced')
    trained = [run for run, _ in there if isinstance(run, Run)]
    values[_TIME] = [s for run in trained for s in _seconds_per_step(run)]
    lacking = [f'{run.seed} {_state(run)}' for run, m in own if not m]
    rows.append(Row(name, values, len(there), ', '.join(lacking)))
  return rows


def _column(
  metrics: Sequence[dict[str, float]], what: str, *, names: Sequence[str]
) -> dict[str, list[float]]:
  """Return the values of each metric; a bare one is of the enhanced."""
  keys = {name: [f'{name}/{what}'] for name in names}
  if what == 'enhanced':
    keys = {name: [*some, name] for name, some in keys.items()}
  return {
    name: [found[key] for found in metrics for key in some if key in found]
    for name, some in keys.items()
  }


def _state(run: Run | Rival) -> str:
  if run.failure.exists():
    return 'failed'
  return 'unfinished' if run.workdir.exists() else 'missing'


def _seconds_per_step(run: Run) -> list[float]:
  """Return the median over what was logged; nothing if that was one line.

  The first line, and the first after each resume, hold the compilation.
  """
  lines = log.read(run.workdir, 'speed.jsonl')[1:]
  rates = [line['pairs_per_second'] for line in lines]
  seconds = [run.config.data.batch_size / rate for rate in rates if rate]
  return [statistics.median(seconds)] if seconds else []


def write(rows: Sequence[Row], output: pathlib.Path, title: str) -> str:
  """Write `table.csv` and `table.md` to a folder; return the latter's text.

  Args:
    rows: what `gather` returned.
    output: the folder.
    title: what the table is of, over the Markdown one.
  """
  columns = list(dict.fromkeys(n for row in rows for n in row.values))
  if not any(row.values.get(_TIME) for row in rows):
    columns = [name for name in columns if name != _TIME]
  head = ('variant', *columns, 'seeds', 'not in it')
  lines = [title, '', _line(head), _line(['---'] * len(head))]
  for row in rows:
    cells = [_cell(row.values.get(name, [])) for name in columns]
    count = '' if row.done is None else str(row.done)
    lines.append(_line([row.name, *cells, count, row.lacking]))
  text = '\n'.join(lines) + '\n'
  with replacing(output / 'table.md') as part:
    part.write_text(text, encoding='utf-8')
  with (
    replacing(output / 'table.csv') as part,
    part.open('w', newline='') as file,
  ):
    table = csv.writer(file, lineterminator='\n')
    pairs = ((name, f'{name}_std') for name in columns)
    table.writerow(['variant', *itertools.chain(*pairs), *head[-2:]])
    for row in rows:
      numbers = (_mean_and_std(row.values.get(name, [])) for name in columns)
      done = '' if row.done is None else row.done
      table.writerow([row.name, *itertools.chain(*numbers), done, row.lacking])
  return text


def _line(cells: Sequence[str]) -> str:
  return f'| {" | ".join(cells)} |'


def _mean_and_std(values: Sequence[float]) -> tuple[float | str, float | str]:
  """Return mean and sample standard deviation, '' for what is not defined."""
  if not values:
    return '', ''
  spread = statistics.stdev(values) if len(values) > 1 else ''
  return statistics.fmean(values), spread


def _cell(values: Sequence[float]) -> str:
  mean, spread = _mean_and_std(values)
  if mean == '':
    return ''
  # of inputs, which no seed changes, there is none
  shown = '' if len(set(values)) < 2 else f' ± {spread:.3f}'
  return f'{mean:.3f}{shown}'
