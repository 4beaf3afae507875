"""A polite end: a signal finishes the step instead of killing the run."""

import signal
from typing import Any


class Interrupt:
  """Notices SIGTERM and SIGINT instead of dying of them."""

  def __init__(self):
    self.came = False

  def _notice(self, number: int, frame: Any) -> None:
    del frame
    self.came = True
    # a second one gets through, should the step never end
    signal.signal(number, self._before[number])

  def __enter__(self) -> 'Interrupt':
    numbers = (signal.SIGTERM, signal.SIGINT)
    self._before = {n: signal.getsignal(n) for n in numbers}
    for number in numbers:
      signal.signal(number, self._notice)
    return self

  def __exit__(self, *problem: object) -> None:
    for number, handler in self._before.items():
      signal.signal(number, handler)
