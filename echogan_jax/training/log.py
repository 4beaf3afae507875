"""What a run says of itself: metrics.jsonl, TensorBoard, pictures.

`metrics.jsonl` holds what follows from the config and the step alone: a run
that was killed writes the same bytes as one that was not. How fast it went is
in `speed.jsonl`, what went wrong in `alarms.jsonl`.
"""

import contextlib
import json
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

from echogan_jax.command import BadInput
from echogan_jax.data import files, limits

_FILES = ('metrics.jsonl', 'speed.jsonl', 'alarms.jsonl')


class Log:
  """Writes `metrics.jsonl` and TensorBoard events below a workdir.

  Args:
    workdir: of the run.
    step: where the run goes on; what an earlier attempt wrote of later steps
      is dropped, so that none stands twice.
    due: whether a line of metrics is due at that step; if not, one that
      stands there was the end of a shorter run.
  """

  def __init__(self, workdir: pathlib.Path, *, step: int, due: bool = True):
    self._workdir = workdir
    for name in _FILES:
      last = step if due or name != 'metrics.jsonl' else step - 1
      if (workdir / name).exists():
        self._write(name, read(workdir, name, last=last))
    # SummaryWriter has a thread, which a full disk kills, and waits for it
    self._board = EventsWriter(str(workdir / 'events'))
    if step:  # of what follows, an earlier attempt may have drawn some
      self._event(step + 1, file_version='brain.Event:2')
      start = SessionLog(status=SessionLog.START)
      self._event(step + 1, session_log=start)

  def scalars(self, step: int, values: Mapping[str, Any]) -> None:
    """Write the metrics of one step."""
    self._append('metrics.jsonl', step, values)

  def add(self, step: int, values: Mapping[str, float]) -> None:
    """Write the last line of metrics again, with more in it."""
    *lines, last = read(self._workdir)
    self._write('metrics.jsonl', [*lines, last | values])
    self._chart(step, values)

  def speed(self, step: int, pairs_per_second: float) -> None:
    """Note how fast it was since the last note."""
    self._append('speed.jsonl', step, {'pairs_per_second': pairs_per_second})

  def alarm(self, step: int, values: Mapping[str, Any]) -> None:
    """Note an alarm, and what was done about it."""
    self._append('alarms.jsonl', step, values)

  def picture(
    self, step: int, picture: UInt8[np.ndarray, 'height width']
  ) -> None:
    """Write `samples/step_<n>.png` and the same to TensorBoard."""
    path = self._workdir / 'samples' / f'step_{step}.png'
    with files.replacing(path) as part:
      Image.fromarray(picture).save(part, 'png')
    drawn = summary.image('samples', picture, dataformats='HW')
    self._event(step, summary=drawn)
    self._board.flush()

  def close(self) -> None:
    """Close what is open; all is written."""
    with contextlib.suppress(OSError):  # said when it was written
      self._board.close()

  def _append(self, name: str, step: int, values: Mapping[str, Any]) -> None:
    with (self._workdir / name).open('a', encoding='utf-8') as file:
      file.write(_text({'step': step, **values}))
    self._chart(step, values)

  def _write(self, name: str, lines: list[dict[str, Any]]) -> None:
    content = ''.join(map(_text, lines)).encode()
    files.write(self._workdir / name, content)

  def _chart(self, step: int, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
      if isinstance(value, float):
        self._event(step, summary=summary.scalar(name, value))
    self._board.flush()

  def _event(self, step: int, **content: Any) -> None:
    event = Event(step=step, wall_time=time.time(), **content)
    self._board.write_event(event)


def _text(line: Mapping[str, Any]) -> str:
  return json.dumps(line) + '\n'


def read(
  workdir: pathlib.Path,
  name: str = 'metrics.jsonl',
  *,
  last: float = float('inf'),
) -> list[dict[str, Any]]:
  """Return the lines of a log up to a step; a torn last line is left out.

  Raises:
    BadInput: a line is none of ours.
  """
  path = workdir / name
  if not path.exists():
    return []
  found = []
  text = limits.regular(path).read_text(encoding='utf-8')
  for line in text.splitlines():
    try:
      values = json.loads(line)
      if values['step'] > last:
        continue
    except ValueError:
      break
    except (TypeError, LookupError, RecursionError) as error:
      raise BadInput(f'{path} is damaged: remove it') from error
    found.append(values)
  return found
