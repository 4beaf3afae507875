"""The page of `serve`: drop a clip, look at before and after, take it home."""

import html
import os
import pathlib
import shutil
import tempfile
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from echogan_jax.command import BadInput
from echogan_jax.delivery import preview
from echogan_jax.delivery.treatment import Options

_HERE = pathlib.Path(__file__).parent
_KEPT = 3600  # seconds that an upload lies on the disk
_TITLE = """<h1>Echo enhancer</h1>
<p>Makes a technically limited echocardiogram easier to read, on this computer
only. <b>Research use, not for diagnosis.</b></p>"""
_HINT = """<p>Drop a clip and press Start. Before and after then play here, one
over the other, with what changed in colour.</p>"""
_LEGEND = {
  True: 'Orange, where there is any: changed more abruptly than is usual for '
  'this network. Look there twice.',
  False: 'Orange: made brighter. Blue: made darker. This network was not '
  'evaluated, so what is usual for it is not known.',
}
_TEXT = (
  'There seems to be text inside the sector, which may name someone. Look at '
  'the clip: if it names nobody, tick the box above Start, and start again.'
)
_GONE = 'The clip was cleared away after an hour: drop it again.'
_BUG = 'Something went wrong that should not: the terminal says what.'


class Answer(NamedTuple):
  """What the page shows after Start.

  Attributes:
    words: HTML.
    made: the clip and what to show of it, None if there is none.
    refused: for text inside the sector.
  """

  words: str
  made: preview.Preview | None = None
  refused: bool = False


def answer(
  path: str | None,
  place: pathlib.Path,
  network: preview.Network,
  options: Options,
  follow: Callable[[int, int], None],
) -> Answer:
  """Enhance what was dropped; what goes wrong is said, not raised.

  Args:
    path: of the upload, None without one.
    place: an empty folder for what is made.
    network: what enhances.
    options: how.
    follow: see `preview.make`.
  """
  if not path:
    return Answer(_error('Drop a clip first.'))
  # its name may be the patient's, and names appear in errors
  source = place / f'clip{pathlib.Path(path).suffix.lower()}'
  try:
    os.link(path, source)
    made = preview.make(source, place, network, options, follow)
  except BadInput as error:
    refused = getattr(error, 'reason', '') == 'text_in_sector'
    line = str(error).replace(str(source), 'the file')
    said = _TEXT if refused else f'{line[:1].upper()}{line[1:]}.'
    return Answer(_error(said), refused=refused)
  except FileNotFoundError:
    return Answer(_error(_GONE))
  except Exception:  # noqa: BLE001  the page is there for the next clip
    traceback.print_exc()
    return Answer(_error(_BUG))
  finally:
    source.unlink(missing_ok=True)
  listed = ''.join(f'<li>{html.escape(line)}</li>' for line in made.words)
  return Answer(f'<ul>{listed}</ul>', made)


def _error(line: str) -> str:
  return f'<p role="alert">{html.escape(line)}</p>'


def build(network: preview.Network, folder: pathlib.Path):
  """Return the page as Gradio's blocks.

  Args:
    network: what enhances.
    folder: for uploads and results; the caller deletes it.
  """
  import gradio

  def begin(path, strength, smooth, sure, old, progress=gradio.Progress()):  # noqa: B008
    progress(0, desc='looking for sector and text')
    place = pathlib.Path(tempfile.mkdtemp(dir=folder))
    options = Options(strength, smooth, allow_text=sure)
    told = answer(path, place, network, options, _follower(progress))
    _remove(old)
    asked = gradio.update(visible=told.refused or sure)
    return *_shown(told, network), asked, str(place)

  with gradio.Blocks(
    title='Echo enhancer',
    analytics_enabled=False,
    delete_cache=(_KEPT // 4, _KEPT),
  ) as page:
    gradio.HTML(_TITLE, elem_id='title')
    with gradio.Row(elem_id='bench'):
      with gradio.Column(scale=1, min_width=280):
        inputs, start = _settings(gradio)
        result = gradio.DownloadButton(visible=False, elem_id='result')
      with gradio.Column(scale=3, min_width=320):
        player = _player(gradio)
        words = gradio.HTML(_HINT, elem_id='words')
    last = gradio.State(delete_callback=_remove)
    start.click(
      begin,
      [*inputs, last],
      [words, player, result, inputs[-1], last],
      api_visibility='private',
      show_progress_on=[words],
    )
    # a new clip has been looked at by nobody
    inputs[0].change(
      lambda: gradio.update(value=False, visible=False),
      outputs=inputs[-1],
      api_visibility='private',
    )
  return page


def _settings(gradio) -> tuple[list[Any], Any]:
  clip = gradio.File(
    label='DICOM, MP4, AVI, GIF or PNG', height=150, elem_id='clip'
  )
  strength = gradio.Slider(
    0, 1, 1, step=0.05, label='Strength', elem_id='strength'
  )
  smooth = gradio.Checkbox(True, label='Smooth over time', elem_id='smooth')
  sure = gradio.Checkbox(
    label='I looked: the picture names nobody', visible=False, elem_id='sure'
  )
  start = gradio.Button('Start', variant='primary', elem_id='start')
  return [clip, strength, smooth, sure], start


def _player(gradio):
  return gradio.HTML(
    html_template=(_HERE / 'player.html').read_text(),
    js_on_load=(_HERE / 'player.js').read_text(),
    apply_default_css=False,
    elem_id='player',
  )


def _follower(progress) -> Callable[[int, int], None]:
  return lambda done, count: progress((done, count), unit='frames')


def _shown(told: Answer, network: preview.Network) -> Sequence[Any]:
  """Return what becomes of words, player and download."""
  import gradio

  if told.made is None:
    return told.words, None, gradio.update(visible=False)
  film = {
    'source': f'gradio_api/file={told.made.film}',
    'times': told.made.times,
    'legend': _LEGEND[network.expected is not None],
  }
  name = told.made.result
  button = gradio.update(
    value=str(name), visible=True, label=f'Download {name.name}'
  )
  return told.words, film, button


def _remove(place: str | None) -> None:
  if place:
    shutil.rmtree(place, ignore_errors=True)


def styles() -> str:
  """Return how the page looks."""
  return (_HERE / 'page.css').read_text()
