"""A page on this computer: drop a clip, see before and after, take it home.

  python -m echogan_jax.serve --workdir W [--port=7860]

Then open http://127.0.0.1:7860 in a browser. Nobody else can: the page answers
to this machine only, and asks nothing of the network. What is dropped and made
lies in a temporary folder that is deleted at the end (Ctrl-C).
"""

import importlib.util
import os
import pathlib
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence

from echogan_jax import command
from echogan_jax.command import BadInput
from echogan_jax.data import limits, text

_HOST = '127.0.0.1'
_PATIENCE = 1  # seconds for open pages to let go


def main(argv: Sequence[str]) -> None:
  """Load the network and answer a browser until Ctrl-C."""
  parser = command.parser('serve', __doc__)
  parser.add_argument('--workdir', required=True, help='of the training run')
  parser.add_argument('--port', type=int, default=7860, help='0: any free one')
  flags = parser.parse_args(argv)
  workdir = command.existing(flags.workdir, '--workdir')
  with _listening(flags.port) as listening:
    network = _network(workdir)
    if not text.available():
      print(text.UNSEARCHED, file=sys.stderr)
    # as Ctrl-C, or what was dropped would be left behind
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(
      prefix='echogan_jax_', ignore_cleanup_errors=True
    ) as folder:
      _isolate(folder)
      _answer(network, listening, pathlib.Path(folder))


def _listening(port: int) -> socket.socket:
  """Return a socket on this machine's own address.

  Raises:
    BadInput: the port cannot be had.
  """
  found = socket.socket()
  found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
  try:
    found.bind((_HOST, port))
    found.listen()  # or another could still take it while the network loads
  except (OSError, OverflowError) as error:
    found.close()
    why = getattr(error, 'strerror', None) or error
    raise BadInput(f'--port={port}: {why}; choose another') from error
  return found


def _isolate(folder: str) -> None:
  """Keep libraries from the network, and what they store in a folder."""
  os.environ |= {
    'GRADIO_ANALYTICS_ENABLED': 'False',
    'GRADIO_TEMP_DIR': folder,
    'GRADIO_EXAMPLES_CACHE': folder,
    'HF_HUB_OFFLINE': '1',
  }


def _network(workdir: pathlib.Path):
  """Load what enhances.

  Raises:
    BadInput: there is no network, or an extra is missing.
  """
  if not all(map(importlib.util.find_spec, ('av', 'gradio'))):
    raise BadInput(
      "the page needs Gradio and PyAV: pip install 'echogan_jax[serve]'"
    )
  from echogan_jax.delivery import preview
  from echogan_jax.evaluation import expectation
  from echogan_jax.training import enhancer

  model = enhancer.load(workdir)
  try:
    expected = expectation.read(workdir, model)
  except BadInput as error:  # the page then shows all that changed
    print(f'warning: {error}', file=sys.stderr)
    expected = None
  return preview.Network(model, expected, secrets.token_bytes(32))


def _answer(network, listening: socket.socket, folder: pathlib.Path) -> None:
  """Serve the page until a signal comes."""
  import fastapi
  import gradio
  import uvicorn

  from echogan_jax.delivery import gate, page

  port = listening.getsockname()[1]
  app = gradio.mount_gradio_app(
    fastapi.FastAPI(openapi_url=None),
    page.build(network, folder),
    '/',
    server_name=_HOST,
    server_port=port,
    footer_links=[],
    run_history=False,
    show_error=False,
    max_file_size=limits.BYTES,
    ssr_mode=False,
    pwa=False,
    mcp_server=False,
    enable_monitoring=False,
    theme=gradio.themes.Base(
      primary_hue='slate', font=['system-ui', 'sans-serif']
    ),
    css=page.styles(),
  )
  server = uvicorn.Server(
    uvicorn.Config(
      gate.gate(app, port, folder),
      ws='none',
      log_level='critical',  # a log would have the names of files
      timeout_graceful_shutdown=_PATIENCE,
    )
  )
  print(f'http://{_HOST}:{port} (Ctrl-C ends it)', flush=True)
  try:
    server.run([listening])
  except KeyboardInterrupt:  # raised again when the server has ended
    print()


if __name__ == '__main__':
  # at once: else the thread that enhances a clip would end it first
  command.run(main, os._exit)
