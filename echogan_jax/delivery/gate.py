"""What a browser may ask of the page, and from where.

Gradio answers much more than one page needs: it fetches addresses for others,
lists functions, serves folders. What is not on the list here never gets there.
"""

import pathlib
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

_GET = re.compile(
  r'/|/(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt)'
  r'|/(static|assets)/.+'
  r'|/gradio_api/(info|app_id|startup-events|queue/data|upload_progress'
  r'|heartbeat/\w+|file=.+)'
)
_POST = re.compile(r'/gradio_api/(queue/join|upload|reset|cancel)/?')
_FILE = '/gradio_api/file='
_HEADERS = {
  # Gradio's templates are made of inline scripts; nothing leaves all the same
  'content-security-policy': "default-src 'self' blob: data:; "
  "script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
  "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; "
  "base-uri 'self'; form-action 'none'",
  'cache-control': 'no-store',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

Message = Mapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Any, Send], Awaitable[None]]


def gate(app: App, port: int, folder: pathlib.Path) -> App:
  """Return an ASGI app that lets through what the page needs.

  Args:
    app: what is behind it.
    port: that it is reached at. Other names of this machine are refused, so
      that no page of the web can pretend to be one of ours (DNS rebinding).
    folder: the only one whose files are served.
  """
  hosts = {f'127.0.0.1:{port}', f'localhost:{port}'}

  async def guarded(scope: Message, receive: Any, send: Send) -> None:
    if scope['type'] == 'lifespan':
      await app(scope, receive, send)
    elif not _allowed(scope, hosts, folder):
      await send({'type': 'http.response.start', 'status': 403, 'headers': []})
      await send({'type': 'http.response.body', 'body': b'not allowed'})
    else:
      await app(scope, receive, _marked(send))

  return guarded


def _allowed(scope: Message, hosts: set[str], folder: pathlib.Path) -> bool:
  said = {}
  for name, value in scope['headers']:
    said.setdefault(name, []).append(value.decode('latin-1'))
  host, origin = said.get(b'host', []), said.get(b'origin', [])
  if len(host) != 1 or host[0] not in hosts:
    return False
  if origin not in ([], [f'http://{host[0]}']):
    return False
  path, method = scope['path'], scope['method']
  if path.startswith(_FILE):
    wanted = pathlib.Path(path.removeprefix(_FILE))
    # resolved, as a link or `..` leads elsewhere
    if not wanted.resolve().is_relative_to(folder.resolve()):
      return False
  known = {'GET': _GET, 'HEAD': _GET, 'POST': _POST}.get(method)
  return known is not None and known.fullmatch(path) is not None


def _marked(send: Send) -> Send:
  async def answer(message: Message) -> None:
    if message['type'] == 'http.response.start':
      own = [(k.encode(), v.encode()) for k, v in _HEADERS.items()]
      kept = [h for h in message['headers'] if h[0].decode() not in _HEADERS]
      message = {**message, 'headers': [*kept, *own]}
    await send(message)

  return answer
