"""From the metrics of many runs to one table: a row for each variant."""

import csv
import itertools
import pathlib
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from echogan_jax.data.files import replacing
from echogan_jax.training import log
from experiments.plan import Run

METRICS = ('psnr', 'ssim', 'gcnr', 'checkerboard_db')
COLUMNS = (*METRICS, 'seconds_per_step')


class Row(NamedTuple):
  """A line of the table: the values of each column, one for each seed."""

  name: str
  values: dict[str, list[float]]
  done: int | None = None  # runs; None where the row is no variant
  lacking: str = ''  # which runs are not in it, and why


def gather(runs: Sequence[Run], split: str) -> list[Row]:
  """Return the input, the truth where known, then every variant.

  Args:
    runs: all that should be in the table, done or not.
    split: which was evaluated.
  """
  found = [(run, run.found(split)) for run in runs]
  done = [metrics for _, metrics in found if metrics]
  rows = [Row('(input)', _column(done, 'input'))]
  truth = Row('(truth)', _column(done, 'target'))
  if any(truth.values.values()):
    rows.append(truth)
  for name in dict.fromkeys(run.variant for run in runs):
    own = [(run, metrics) for run, metrics in found if run.variant == name]
    there = [(run, metrics) for run, metrics in own if metrics]
    values = _column([metrics for _, metrics in there], 'enhanced')
    values['seconds_per_step'] = [
      seconds for run, _ in there for seconds in _seconds_per_step(run)
    ]
    lacking = [f'{run.seed} {_state(run)}' for run, m in own if not m]
    rows.append(Row(name, values, len(there), ', '.join(lacking)))
  return rows


def _column(
  metrics: Sequence[dict[str, float]], what: str
) -> dict[str, list[float]]:
  return {
    name: [
      found[f'{name}/{what}'] for found in metrics if f'{name}/{what}' in found
    ]
    for name in METRICS
  }


def _state(run: Run) -> str:
  if run.failure.exists():
    return 'failed'
  return 'unfinished' if run.workdir.exists() else 'missing'


def _seconds_per_step(run: Run) -> list[float]:
  """Return the median over what was logged; nothing if that was one line.

  The first line, and the first after each resume, hold the compilation.
  """
  rates = [line['pairs_per_second'] for line in log.read(run.workdir)[1:]]
  seconds = [run.config.data.batch_size / rate for rate in rates if rate]
  return [statistics.median(seconds)] if seconds else []


def write(rows: Sequence[Row], output: pathlib.Path, title: str) -> str:
  """Write `table.csv` and `table.md` to a folder; return the latter's text.

  Args:
    rows: what `gather` returned.
    output: the folder.
    title: what the table is of, over the Markdown one.
  """
  head = ('variant', *COLUMNS, 'seeds', 'not in it')
  lines = [title, '', _line(head), _line(['---'] * len(head))]
  for row in rows:
    cells = [_cell(row.values.get(name, [])) for name in COLUMNS]
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
    pairs = ((name, f'{name}_std') for name in COLUMNS)
    table.writerow(['variant', *itertools.chain(*pairs), *head[-2:]])
    for row in rows:
      numbers = (_mean_and_std(row.values.get(name, [])) for name in COLUMNS)
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
