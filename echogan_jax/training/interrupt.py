"""A polite end: a signal ends the run where nothing is lost by it."""

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

_PATIENCE = 2.0  # seconds for Python to notice, before it is taken for deaf
GO_ON = 'stopped and saved; the same command goes on from here'


class Stopped(BaseException):
  """A signal came while nothing would be lost by leaving."""


class Interrupt:
  """SIGTERM and SIGINT raise `Stopped`; from `hold` on they are only noted.

  Python hears of a signal between two of its own instructions, so a
  compilation of a minute would outlast a scheduler's patience. A thread hears
  of it at once, and where nothing is held it ends the process.

  Args:
    many: there are other processes. JAX has taken SIGTERM then: its service
      lets all of them end after the same step, whichever was told.
  """

  def __init__(self, *, many: bool = False):
    self._many, self._came, self._held = many, False, many
    self.leaving = False  # whether `Stopped` is on its way

  def came(self, step: int) -> bool:
    """Return whether to end after this step; ask once for each."""
    if not self._many:
      return self._came
    from jax.experimental import multihost_utils

    return multihost_utils.reached_preemption_sync_point(step)

  def hold(self) -> None:
    """Let nothing interrupt what follows: what was begun is ended first."""
    self._held = True

  @contextlib.contextmanager
  def letting_go(self) -> Iterator[None]:
    """Let a signal interrupt this, also one that came before."""
    before, self._held = self._held, self._many
    try:
      if self._came and not self._many:
        raise Stopped
      yield
    finally:
      self._held = before

  def _notice(self, number: int, frame: Any) -> None:
    del frame
    around = getattr(self._before[number], '__self__', None)
    told = [self, around] if isinstance(around, Interrupt) else [self]
    for each in told:
      each._came = True
    if self._many:
      os.kill(os.getpid(), signal.SIGTERM)
    elif not self._held:
      for child in multiprocessing.active_children():
        child.terminate()  # or leaving waits for the work they have queued
      for each in told:
        each.leaving = True
      raise Stopped
    # a second one gets through, should the step never end
    signal.signal(number, self._before[number])

  def _listen(self) -> None:
    while self._ear.recv(1):
      if not (self._held or self._left.wait(_PATIENCE) or self._came):
        print(GO_ON, flush=True)
        sys.stderr.flush()
        os._exit(0)

  def __enter__(self) -> 'Interrupt':
    numbers = [signal.SIGINT] if self._many else [signal.SIGINT, signal.SIGTERM]
    self._before = {n: signal.getsignal(n) for n in numbers}
    self._left = threading.Event()
    self._ear, self._mouth = socket.socketpair()
    self._mouth.setblocking(False)
    threading.Thread(target=self._listen, daemon=True).start()
    self._wakeup = signal.set_wakeup_fd(self._mouth.fileno())
    for number in numbers:
      signal.signal(number, self._notice)
    return self

  def __exit__(self, *problem: object) -> None:
    self._left.set()
    for number, handler in self._before.items():
      signal.signal(number, handler)
    signal.set_wakeup_fd(self._wakeup)
    self._mouth.close()
