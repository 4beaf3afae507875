"""A real browser without a screen, driven through a pipe of its own.

The DevTools protocol over file descriptors 3 and 4 needs no port and no
package: https://chromedevtools.github.io/devtools-protocol/.
"""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time

import pytest

_NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
_FLAGS = (
  '--headless=new',
  '--no-sandbox',  # containers have none to give
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-background-networking',
  '--disable-component-update',
  '--no-first-run',
  '--remote-debugging-pipe',
  '--autoplay-policy=no-user-gesture-required',
)


@contextlib.contextmanager
def opened(folder, width=1280, height=800):
  """Start a browser that keeps what it stores in a folder; yield a `Tab`."""
  program = next(filter(None, map(shutil.which, _NAMES)), None)
  if program is None:
    pytest.skip(f'needs one of {", ".join(_NAMES)} on the PATH')
  process = subprocess.Popen(
    # its descriptors 3 and 4 are our pipes
    ['sh', '-c', 'exec "$@" 3<&0 4>&1', 'sh', program, *_FLAGS]
    + [f'--user-data-dir={folder}/profile', f'--window-size={width},{height}'],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    stderr=subprocess.DEVNULL,
  )
  try:
    yield Tab(process, folder)
  finally:
    process.terminate()
    process.wait(10)
    process.stdin.close()
    process.stdout.close()


class Tab:
  """A tab of the browser.

  Attributes:
    folder: where downloads go.
    errors: what went wrong on the page, in words.
    requests: every address that it asked for.
  """

  def __init__(self, process, folder):
    self._process, self.folder = process, folder
    self._rest, self._count, self._session = b'', 0, None
    self.errors, self.requests = [], []
    target = self.call('Target.createTarget', url='about:blank')['targetId']
    attached = self.call('Target.attachToTarget', targetId=target, flatten=True)
    self._session = attached['sessionId']
    for domain in ('Page', 'Runtime', 'Log', 'Network', 'DOM'):
      self.call(f'{domain}.enable')
    self.call(
      'Browser.setDownloadBehavior',
      behavior='allow',
      downloadPath=str(folder),
      eventsEnabled=True,
    )

  def call(self, method, **params):
    """Call a method of the protocol and return its result."""
    self._count += 1
    number = self._count
    message = {'id': number, 'method': method, 'params': params}
    if self._session:
      message['sessionId'] = self._session
    self._process.stdin.write(json.dumps(message).encode() + b'\0')
    self._process.stdin.flush()
    while True:
      answer = self._next()
      if answer.get('id') == number:
        assert 'error' not in answer, (method, answer['error'])
        return answer['result']

  def _next(self, seconds=60):
    stream = self._process.stdout.fileno()
    while b'\0' not in self._rest:
      ready, _, _ = select.select([stream], [], [], seconds)
      part = os.read(stream, 1 << 20) if ready else b''
      assert part, 'the browser says nothing any more'
      self._rest += part
    whole, _, self._rest = self._rest.partition(b'\0')
    message = json.loads(whole)
    self._note(message.get('method'), message.get('params', {}))
    return message

  def _note(self, method, params):
    if method == 'Network.requestWillBeSent':
      self.requests.append(params['request']['url'])
    elif method == 'Runtime.exceptionThrown':
      details = params['exceptionDetails']
      thrown = details.get('exception', {}).get('description', '')
      self.errors.append(f'{details["text"]} {thrown}')
    elif method == 'Log.entryAdded' and params['entry']['level'] == 'error':
      entry = params['entry']
      self.errors.append(f'{entry["text"]} {entry.get("url", "")}')
    elif method == 'Runtime.consoleAPICalled' and params['type'] == 'error':
      said = [a.get('value', a.get('description')) for a in params['args']]
      self.errors.append(str(said))

  def open(self, url):
    """Go to an address and wait until it is loaded."""
    self.call('Page.navigate', url=url)
    self.wait(
      'document.readyState === "complete" && location.href !== "about:blank"'
    )

  def run(self, script):
    """Return the value of a JavaScript expression, awaited."""
    result = self.call(
      'Runtime.evaluate',
      expression=script,
      awaitPromise=True,
      returnByValue=True,
      userGesture=True,
    )
    assert 'exceptionDetails' not in result, (script, result)
    return result['result'].get('value')

  def wait(self, script, seconds=30):
    """Wait until an expression is true."""
    end = time.monotonic() + seconds
    while not self.run(f'!!({script})'):
      if time.monotonic() > end:
        body = self.run('document.body.innerText')
        raise AssertionError(f'not in {seconds} s: {script}\n{body}')
      time.sleep(0.05)

  def choose(self, selector, path):
    """Give a file to an input."""
    found = self.call(
      'Runtime.evaluate',
      expression=f'document.querySelector({json.dumps(selector)})',
    )
    self.call(
      'DOM.setFileInputFiles',
      files=[str(path)],
      objectId=found['result']['objectId'],
    )

  def press(self, key, code=''):
    """Press and release a key."""
    for kind in ('keyDown', 'keyUp'):
      self.call('Input.dispatchKeyEvent', type=kind, key=key, code=code or key)

  def drag(self, start, end):
    """Drag the mouse from one (x, y) to another, in pixels of the window."""
    steps = (
      ('mousePressed', start),
      ('mouseMoved', end),
      ('mouseReleased', end),
    )
    for kind, (x, y) in steps:
      self.call(
        'Input.dispatchMouseEvent',
        type=kind,
        x=x,
        y=y,
        button='left',
        buttons=int(kind != 'mouseReleased'),
        clickCount=int(kind != 'mouseMoved'),
      )

  def size(self, width, height, *, mobile=False):
    """Give the window another size."""
    self.call(
      'Emulation.setDeviceMetricsOverride',
      width=width,
      height=height,
      deviceScaleFactor=1,
      mobile=mobile,
    )

  def picture(self, path):
    """Write what is seen into a PNG file."""
    data = self.call('Page.captureScreenshot', format='png')['data']
    path.write_bytes(base64.b64decode(data))
