"""The drawings, as SVG that follows the page from light to dark."""

import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from echogan_jax.page.records import Evaluation, Hallucination, paired
from echogan_jax.page.words import ARROWS, fact, span

# Okabe and Ito (2008): told apart by any eye
BLUE, ORANGE, GREY = '#0072b2', '#d55e00', '#888888'
_COLOURS = (BLUE, ORANGE, '#009e73', '#cc79a7', '#e69f00', '#56b4e9')
_MARKERS = 'osD^vP'
_INK = '#010203'  # stands for the colour of the page's text
_STYLE = """<style>svg { color: #222 }
@media (prefers-color-scheme: dark) { svg { color: #ddd } }</style>"""
_LOOK = {
  'axes.edgecolor': _INK,
  'axes.facecolor': 'none',
  'axes.grid': True,
  'axes.labelcolor': _INK,
  'axes.spines.right': False,
  'axes.spines.top': False,
  'axes.titlesize': 10,
  'font.family': 'sans-serif',
  'font.size': 9,
  'grid.alpha': 0.25,
  'legend.frameon': False,
  'svg.fonttype': 'none',
  'svg.hashsalt': 'echogan_jax',  # the same drawing is the same bytes
  'text.color': _INK,
  'text.parse_math': False,  # names come from files
  'xtick.color': _INK,
  'ytick.color': _INK,
}
_SCATTERED = ('psnr', 'ssim', 'dice_lv', 'gcnr')
_MOST = 60  # panels of a drawing: each takes a second's tenth
_WATCHED = (
  'recovery',
  'invention',
  'psnr',
  'ssim',
  'dice_lv',
  'ef_bias',
  'gcnr',
  'checkerboard_db',
  'fd_vgg16',
)


def scatter(found: Evaluation) -> str:
  """Draw input against enhanced, a point a patient; '' where nothing is."""
  both = ('input', 'enhanced')
  points = {n: paired(found.per_image, n, both) for n in _SCATTERED}
  points = {name: values for name, values in points.items() if len(values)}
  return _panels(points, _one_scatter, columns=4, height=2.8)


def _one_scatter(
  axes: Axes, name: str, points: Float[np.ndarray, 'patients 2']
) -> None:
  known = fact(name)
  low, high = points.min(), points.max()
  room = 0.08 * (high - low) or 0.1
  ends = low - room, high + room
  axes.plot(ends, ends, color=GREY, linewidth=1)
  edge = ends[1] if known.better == 'higher' else ends[0]
  axes.fill_between(ends, ends, edge, color=BLUE, alpha=0.1, linewidth=0)
  up = (points[:, 1] > points[:, 0]) == (known.better == 'higher')
  for side, colour, marker in ((up, BLUE, 'o'), (~up, ORANGE, 'X')):
    axes.scatter(*points[side].T, s=26, color=colour, marker=marker, alpha=0.8)
  axes.set(xlim=ends, ylim=ends, xlabel='input', ylabel='enhanced')
  axes.set_title(' '.join(filter(None, (name, known.unit))))
  axes.set_box_aspect(1)


def ejection(found: Evaluation) -> str:
  """Draw each clip's error of the ejection fraction over the true one."""
  kinds = ('input', 'enhanced')
  drawn = {
    kind: paired(found.per_clip, 'ef', ('truth', kind)) for kind in kinds
  }
  drawn = {kind: values for kind, values in drawn.items() if len(values)}
  errors = [values[:, 1] - values[:, 0] for values in drawn.values()]
  if not errors:
    return ''
  reach = 1.2 * max(np.abs(np.concatenate(errors)).max(), 1.0)

  def one(axes: Axes, kind: str, values: np.ndarray) -> None:
    error = values[:, 1] - values[:, 0]
    axes.axhline(0, color=GREY, linewidth=1)
    axes.scatter(values[:, 0], error, s=26, color=BLUE, alpha=0.8)
    if limits := found.agreement.get('ef', {}).get(kind):
      axes.axhline(limits.value, color=ORANGE)
      for end in (limits.low, limits.high):
        axes.axhline(end, color=ORANGE, linestyle='--', linewidth=1)
    axes.set(xlabel='true ejection fraction', ylabel='read minus true, points')
    axes.set(ylim=(-reach, reach), title=kind)

  return _panels(drawn, one, columns=2, height=2.9)


def areas(found: Evaluation) -> str:
  """Draw the ventricle's area over the beat, a panel a clip."""
  clips = {
    f'clip {n}': clip['lv_area_cm2']
    for n, clip in enumerate(found.clips)
    if clip.get('lv_area_cm2')
  }
  looks = {'truth': GREY, 'input': ORANGE, 'enhanced': BLUE}

  def one(axes: Axes, name: str, drawn: Mapping[str, Sequence[float]]) -> None:
    for what, colour in looks.items():
      line = '--' if what == 'truth' else '-'
      axes.plot(drawn.get(what, []), line, color=colour, label=what)
    axes.set(xlabel='frame', ylabel='LV area, cm²', title=name, ylim=(0, None))
    axes.legend(fontsize=8)

  return _panels(clips, one, columns=3, height=2.6)


def hallucination(found: Hallucination) -> str:
  """Draw what is seen over what the good pictures of the training held."""
  names = list(dict.fromkeys(variant for variant, *_ in found.points))

  def one(axes: Axes, title: str, _: Any) -> None:
    axes.plot((0, 1), (0, 1), ':', color=GREY, label='paints what it learnt')
    if found.truth is not None:
      axes.axhline(found.truth, color=GREY, label='safe: what is there')
    for place, name in enumerate(names):
      points = [p[1:] for p in sorted(found.points) if p[0] == name]
      colour = _COLOURS[place % len(_COLOURS)]
      marker = _MARKERS[place % len(_MARKERS)]
      label = name
      if slope := found.slopes.get(name):
        label += f': slope {slope.value:.2f} ({span(slope.low, slope.high)})'
      axes.scatter(*zip(*points, strict=True), color=colour, marker=marker)
      means = [
        (x, np.mean([seen for share, seen in points if share == x]))
        for x in dict.fromkeys(share for share, _ in points)
      ]
      axes.plot(*zip(*means, strict=True), color=colour, label=label)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), title=title)
    axes.set(xlabel='share of good training pictures with it')
    axes.set(ylabel='share of enhanced pictures with it')
    axes.legend(loc='upper left', bbox_to_anchor=(1.02, 1))

  return _panels({found.finding: None}, one, columns=1, height=3.6, width=7.5)


def curves(lines: Sequence[Mapping[str, Any]]) -> str:
  """Draw losses, and what was validated on the way, over the steps."""
  seen = dict.fromkeys(name for line in lines for name in line)
  watched = [
    name
    for key in _WATCHED
    for name in (f'eval/{key}', f'eval/{key}/enhanced')
    if name in seen
  ]
  names = watched + [name for name in seen if name.startswith('loss/')]
  drawn = {
    name: [(line['step'], line[name]) for line in lines if name in line]
    for name in names
  }

  def one(axes: Axes, name: str, points: list[tuple[int, float]]) -> None:
    validated = name.startswith('eval/')
    form = {'color': ORANGE, 'marker': 'o', 'markersize': 3}
    axes.plot(
      *zip(*points, strict=True),
      linewidth=1,
      **(form if validated else {'color': BLUE}),
    )
    key = name.split('/')[1]
    arrow = ARROWS[fact(key).better][0] if validated else ''
    place = ' (validation)' if validated else ''
    axes.set_title(f'{key} {arrow}{place}'.rstrip())

  return _panels(drawn, one, columns=3, height=2.2)


def _panels(
  drawn: Mapping[str, Any],
  one: Callable[[Axes, str, Any], None],
  *,
  columns: int,
  height: float,
  width: float = 10.0,
) -> str:
  """Draw a panel an entry, side by side, and return the SVG."""
  drawn = dict(itertools.islice(drawn.items(), _MOST))
  if not drawn:
    return ''
  rows = -(-len(drawn) // columns)
  with matplotlib.rc_context(_LOOK):
    used = min(len(drawn), columns)
    size = width * used / columns, height * rows
    figure = Figure(figsize=size, layout='constrained')
    figure.patch.set_alpha(0)
    for place, (name, values) in enumerate(drawn.items(), 1):
      one(figure.add_subplot(rows, used, place), name, values)
    text = io.StringIO()
    silent = dict.fromkeys(('Creator', 'Date', 'Format', 'Type'))
    figure.savefig(text, format='svg', metadata=silent)
  svg = text.getvalue().replace(_INK, 'currentColor')
  start = svg.index('<svg')
  end = svg.index('>', start) + 1
  return svg[start:end] + _STYLE + svg[end:]
