"""A polite end: a signal ends the run where nothing is lost by it."""

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

_PATIENCE = 2.0  # seconds for Python to notice, before it is taken for deaf
_REPEATED = 5.0  # seconds after which a second signal is meant
GO_ON = 'stopped; the same command goes on from what is saved'


class Stopped(BaseException):
  """A signal came, and what there was to save is saved."""


class Interrupt:
  """SIGTERM and SIGINT raise `Stopped`; from `hold` on they are only noted.

  Python hears of a signal between two of its own instructions, so a
  compilation of a minute would outlast a scheduler's patience. A thread hears
  of it at once, and where nothing is held it ends the process; and so it does
  when a second one comes while a step seems never to end.

  Args:
    many: there are other processes. JAX has taken SIGTERM then: its service
      lets all of them end after the same step, whichever was told.
  """

  leaving = False  # whether a `Stopped` of any of them is on its way

  def __init__(self, *, many: bool = False):
    self._many, self._held = many, many
    self._came, self._asked = 0.0, 0  # when, on the monotonic clock

  def came(self) -> bool:
    """Return whether to end here; all processes ask equally often."""
    if not self._many:
      return bool(self._came)
    from jax.experimental import multihost_utils

    # counted from 1, as JAX does: where all have asked n times they agree on
    # n + 1, also if they were told before they asked at all
    self._asked += 1
    return multihost_utils.reached_preemption_sync_point(self._asked)

  def hold(self) -> None:
    """Let nothing interrupt what follows: what was begun is ended first."""
    self._held = True

  def unheld(self, work: Callable[[], None]) -> None:
    """Do what a signal may interrupt, and need not be done if one came."""
    if self._came and not self._many:
      return
    before, self._held = self._held, self._many
    try:
      work()
    except Stopped:
      Interrupt.leaving = False
    finally:
      self._held = before

  def _notice(self, number: int, frame: Any) -> None:
    del number, frame
    self._came = self._came or time.monotonic()
    if self._many:
      os.kill(os.getpid(), signal.SIGTERM)
    elif not self._held:
      for child in multiprocessing.active_children():
        child.terminate()  # or leaving waits for the work they have queued
      Interrupt.leaving = True
      raise Stopped

  def _listen(self) -> None:
    while heard := self._ear.recv(1):
      if heard[0] not in self._before or self._many:
        continue
      if not (self._held or self._left.wait(_PATIENCE) or self._came):
        self._exit(GO_ON, 0)
      if self._came and time.monotonic() > self._came + _REPEATED:
        self._exit('given up; the same command goes on from what is saved', 1)
    self._ear.close()

  def _exit(self, line: str, status: int) -> None:
    print(line, flush=True)
    sys.stderr.flush()
    os._exit(status)

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
