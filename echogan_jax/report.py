"""One self-contained HTML page about a run: curves, pictures, metrics.

  python -m echogan_jax.report --workdir W [--output W/report.html]

Nothing on the page needs a network; every string on it is escaped.
"""

import base64
import io
import json
import pathlib
from collections.abc import Sequence

import jinja2
import markupsafe
import numpy as np
from PIL import Image

import echogan_jax
from echogan_jax import command
from echogan_jax.command import BadInput
from echogan_jax.data.files import replacing

_BETTER = {
  'psnr': 'higher',
  'ssim': 'higher',
  'gcnr': 'higher',
  'checkerboard_db': 'lower',
}
_UNITS = {'psnr': 'dB', 'checkerboard_db': 'dB'}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>echogan_jax: {{ name }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; color: #222;
       margin: 2rem auto; padding: 0 1rem }
h1 { margin-bottom: 0 } h2 { margin-top: 2.5rem }
.warning { background: #fff3cd; border-left: 4px solid #d39e00;
           padding: .5rem 1rem }
table { border-collapse: collapse } td, th { padding: .3rem .9rem }
th { text-align: left; border-bottom: 1px solid #999 }
td.number { text-align: right; font-variant-numeric: tabular-nums }
.good { color: #1a7f37 } .bad { color: #b42318 }
figure { margin: 1rem 0 } figcaption { color: #555; font-size: .9rem }
img { image-rendering: pixelated; max-width: 100% }
figure > img { width: 32rem }
.row { display: flex; gap: .6rem; flex-wrap: wrap }
.row img { width: 15rem } .row div { text-align: center }
.slider { position: relative; width: 26rem; max-width: 100% }
.slider img { width: 100%; display: block }
.slider .after { position: absolute; inset: 0; clip-path: inset(0 0 0 50%) }
.slider input { width: 100%; margin: .3rem 0 0 }
.ends { display: flex; justify-content: space-between; color: #555 }
</style></head><body>
<h1>{{ name }}</h1>
<p>echogan_jax {{ version }}{% if step %}, step {{ step }}{% endif %}</p>
<p class="warning"><b>Research use, not for diagnosis.</b> Enhanced pictures
are derived by a trained network; compare them with the input beside them.</p>

{% for table in tables %}
<h2>Does it help? ({{ table.split }}: {{ table.images }} frames of
{{ table.studies }} studies)</h2>
<table><tr><th>metric</th><th>input</th><th>enhanced</th><th>truth</th>
<th>change</th></tr>
{% for row in table.rows %}<tr><td>{{ row.name }}</td>
{% for value in row.cells %}<td class="number">{{ value }}</td>{% endfor %}
<td class="number {{ row.verdict }}">{{ row.change }}</td></tr>
{% endfor %}</table>
{% for name, reason in table.skipped.items() %}
<p>{{ name }}: not computed, {{ reason }}.</p>{% endfor %}
{% endfor %}

{% if slider %}<h2>Before and after</h2>
<div class="slider"><img src="{{ slider[0] }}" alt="input">
<img class="after" src="{{ slider[1] }}" alt="enhanced">
<input type="range" min="0" max="100" value="50" aria-label="before and after"
oninput="this.previousElementSibling.style.clipPath =
'inset(0 0 0 ' + this.value + '%)'">
<div class="ends"><span>input</span><span>enhanced</span></div></div>{% endif %}

{% if cases %}<h2>Input, enhanced, truth</h2>
{% for case in cases %}<figure class="row">{% for label, source in case %}
<div><img src="{{ source }}" alt="{{ label }}"><br>{{ label }}</div>
{% endfor %}</figure>{% endfor %}{% endif %}

{% if clips %}<h2>Clips</h2>{% for label, source in clips %}
<figure><img src="{{ source }}" alt="{{ label }}">
<figcaption>{{ label }}</figcaption></figure>{% endfor %}{% endif %}

{% if curves %}<h2>Training</h2>{{ curves }}
{% if alarms %}<p class="warning">Alarms: {{ alarms }}</p>{% endif %}{% endif %}

{% if samples %}<h2>As training went on</h2>
<p>Each row: source, translation, and back again where there is a way back; low
quality above.
</p>{% for label, source in samples %}<figure><img src="{{ source }}"
alt="{{ label }}"><figcaption>step {{ label }}</figcaption></figure>
{% endfor %}{% endif %}

<h2>Config</h2><details><summary>resolved, as trained</summary>
<pre>{{ config }}</pre></details>
</body></html>
"""


def main(argv: Sequence[str]) -> None:
  """Gather what lies in a workdir and write the page."""
  parser = command.parser('report', __doc__)
  parser.add_argument('--workdir', required=True, help='of the training run')
  parser.add_argument('--output', type=pathlib.Path)
  flags = parser.parse_args(argv)
  from echogan_jax.training import log, recipe

  workdir = command.existing(flags.workdir, '--workdir')
  config = recipe.read(workdir)
  lines = log.read(workdir)
  if not lines:
    raise BadInput(f'{workdir}: nothing is logged yet (no metrics.jsonl)')
  cases = _cases(workdir)
  alarms = {
    f'{alarm} (from step {line["step"]})': None
    for line in reversed(lines)
    for alarm in line.get('alarms', ())
  }
  environment = jinja2.Environment(autoescape=True)
  page = environment.from_string(_PAGE).render(
    name=workdir.resolve().name,
    version=echogan_jax.__version__,
    step=lines[-1]['step'],
    tables=[
      _table(path) for path in sorted(workdir.glob('eval/*/metrics.json'))
    ],
    slider=[source for _, source in cases[0][:2]] if cases else None,
    cases=cases,
    clips=[
      (path.stem, _embed(path))
      for path in sorted(workdir.glob('enhanced/*.gif'))
    ],
    curves=_curves(lines),
    alarms=', '.join(list(alarms)[-4:]),
    samples=_samples(workdir),
    config=json.dumps(config, indent=2),
  )
  output = flags.output or workdir / 'report.html'
  with replacing(output) as part:
    part.write_text(page, encoding='utf-8')
  print(output.resolve())


def _embed(path: pathlib.Path) -> str:
  kind = {'.gif': 'gif', '.png': 'png'}[path.suffix]
  text = base64.b64encode(path.read_bytes()).decode()
  return f'data:image/{kind};base64,{text}'


def _table(path: pathlib.Path) -> dict:
  try:
    found = json.loads(path.read_text())
  except ValueError as error:
    raise BadInput(f'{path} is damaged: evaluate again') from error
  values = found['metrics']
  rows = []
  for name in dict.fromkeys(key.split('/')[0] for key in values):
    trio = [values.get(f'{name}/{w}') for w in ('input', 'enhanced', 'target')]
    change = None if None in trio[:2] else trio[1] - trio[0]
    rows.append(
      {
        'name': ' '.join(filter(None, (name, _UNITS.get(name), _arrow(name)))),
        'cells': [_number(value) for value in trio],
        'change': '' if change is None else f'{change:+.3f}',
        'verdict': _verdict(name, change),
      }
    )
  return found | {'rows': rows}


def _verdict(name: str, change: float | None) -> str:
  if not change or name not in _BETTER:
    return ''
  return 'good' if (change > 0) == (_BETTER[name] == 'higher') else 'bad'


def _arrow(name: str) -> str:
  return f'({_BETTER[name]} is better)' if name in _BETTER else ''


def _number(value: float | None) -> str:
  return '' if value is None else f'{value:.3f}'


def _cases(workdir: pathlib.Path) -> list[list[tuple[str, str]]]:
  cases = []
  for path in sorted(workdir.glob('eval/*/pictures/*.png')):
    strip = np.asarray(Image.open(path))
    parts = np.split(strip, strip.shape[1] // strip.shape[0], axis=1)
    case = []
    for label, part in zip(('input', 'enhanced', 'truth'), parts, strict=False):
      file = io.BytesIO()
      Image.fromarray(part).save(file, 'PNG')
      text = base64.b64encode(file.getvalue()).decode()
      case.append((label, f'data:image/png;base64,{text}'))
    cases.append(case)
  return cases


def _samples(workdir: pathlib.Path) -> list[tuple[int, str]]:
  found = {
    int(path.stem.removeprefix('step_')): path
    for path in (workdir / 'samples').glob('step_*.png')
  }
  return [(step, _embed(found[step])) for step in sorted(found)]


def _curves(lines: list[dict]) -> markupsafe.Markup:
  """Draw every loss over the steps as inline SVG."""
  from matplotlib.figure import Figure

  names = [name for name in lines[-1] if name.startswith('loss/')]
  columns = 3
  rows = -(-len(names) // columns)
  figure = Figure(figsize=(10, 2.4 * rows), layout='constrained')
  for place, name in enumerate(names, 1):
    axes = figure.add_subplot(rows, columns, place)
    points = [(line['step'], line[name]) for line in lines if name in line]
    axes.plot(*zip(*points, strict=True), linewidth=1, color='#1f5fa8')
    axes.set_title(name.removeprefix('loss/'), fontsize=10)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
  text = io.StringIO()
  figure.savefig(text, format='svg', metadata={'Date': None})
  svg = text.getvalue()
  # our own drawing of numbers: the names in it come from our own terms
  return markupsafe.Markup(svg[svg.index('<svg') :])


if __name__ == '__main__':
  command.run(main)
