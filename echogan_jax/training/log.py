"""What a run says of itself: metrics.jsonl, TensorBoard, alarms, pictures."""

import collections
import json
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import tensorboardX
from jaxtyping import UInt8
from PIL import Image

from echogan_jax.data.files import replacing

_PATIENCE = 5  # logged steps in a row before an alarm


class Log:
  """Writes `metrics.jsonl` and TensorBoard events below a workdir.

  Args:
    workdir: of the run.
    step: where the run goes on; later lines of an earlier attempt are
      dropped, so that no step stands twice.
    alarms: thresholds by name, see `alarms`.
  """

  def __init__(
    self, workdir: pathlib.Path, *, step: int, alarms: Mapping[str, float]
  ):
    self._path = workdir / 'metrics.jsonl'
    kept = [line for line in read(workdir) if line['step'] <= step]
    text = ''.join(json.dumps(line) + '\n' for line in kept)
    with replacing(self._path) as part:
      part.write_text(text)
    self._recent = collections.deque(kept[-_PATIENCE:], _PATIENCE)
    self._thresholds = dict(alarms)
    self._board = tensorboardX.SummaryWriter(
      str(workdir), purge_step=step + 1 if step else None
    )

  def scalars(self, step: int, values: Mapping[str, float]) -> list[str]:
    """Write one logged step; return the alarms it raises."""
    line = {'step': step, **{k: float(v) for k, v in values.items()}}
    self._recent.append(line)
    raised = alarms(list(self._recent), **self._thresholds)
    if raised:
      line['alarms'] = raised
    with self._path.open('a') as file:
      file.write(json.dumps(line) + '\n')
    for name, value in values.items():
      self._board.add_scalar(name, float(value), step)
    return raised

  def picture(
    self, step: int, picture: UInt8[np.ndarray, 'height width']
  ) -> None:
    """Write `samples/step_<n>.png` and the same to TensorBoard."""
    folder = self._path.parent / 'samples'
    folder.mkdir(exist_ok=True)
    Image.fromarray(picture).save(folder / f'step_{step}.png')
    self._board.add_image('samples', picture, step, dataformats='HW')

  def close(self) -> None:
    """Flush everything."""
    self._board.close()


def read(workdir: pathlib.Path) -> list[dict]:
  """Return the lines of `metrics.jsonl`; a torn last line is left out."""
  path = workdir / 'metrics.jsonl'
  if not path.exists():
    return []
  found = []
  for line in path.read_text().splitlines():
    try:
      found.append(json.loads(line))
    except ValueError:
      break
  return found


def alarms(
  recent: Sequence[Mapping[str, float]],
  *,
  judge: float,
  correlation: float,
  deviation: float,
) -> list[str]:
  """Name what has been wrong for `_PATIENCE` logged steps in a row.

  Args:
    recent: the last logged steps.
    judge: a discriminator whose loss stays below this has won: the
      generators learn nothing from it any more (chance is 0.25).
    correlation: enhanced images that correlate less with their input are
      inverted or unrelated.
    deviation: enhanced images with less spread (of [-1, 1]) are flat.
  """
  watched = {
    'discriminator collapse (low)': ('loss/judge_low', judge),
    'discriminator collapse (high)': ('loss/judge_high', judge),
    'inverted output': ('watch/correlation', correlation),
    'dead output': ('watch/deviation', deviation),
  }
  if len(recent) < _PATIENCE:
    return []
  return [
    name
    for name, (key, least) in watched.items()
    if all(key in line and line[key] < least for line in recent)
  ]
