"""Text burned into the sector: the last look before pixels leave.

A name typed over the tissue is inside every mask, so only reading finds it.
What is read is never kept, only where it stands. The network is PP-OCRv6 as
rapidocr ships it in its wheel (https://github.com/RapidAI/RapidOCR).
"""

import functools
import importlib.util
import os
import pathlib
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image
from scipy import ndimage

from echogan_jax.command import BadInput
from echogan_jax.data import select

# chosen on phantoms: speckle reads as one or two letters, or below 0.45
_DETECTED = 0.3
_READ = 0.5
_LETTERS = 3
_STROKES = 8  # pixels: what is wider is tissue or the fan itself, not a letter
_MARGIN = 16  # letters at the edge of a picture are missed
_SIDE = 256  # smaller pictures are enlarged to about this
_MEDIAN = 15  # frames that the median over time takes


UNSEARCHED = (
  'warning: text inside the sector is not searched for: pip install '
  "'echogan_jax[ocr]', or look at every frame"
)


class Find(NamedTuple):
  """One piece of text.

  Attributes:
    box: x0, y0, x1, y1 in pixels of the frame, the ends not included.
    score: how sure the reader is, in [0, 1].
  """

  box: tuple[int, int, int, int]
  score: float


def available() -> bool:
  """Return whether the `ocr` extra is installed."""
  names = ('rapidocr', 'onnxruntime')
  return all(importlib.util.find_spec(name) for name in names)


def search(
  frames: UInt8[np.ndarray, 'time height width'],
  inside: Bool[np.ndarray, 'height width'],
) -> list[Find]:
  """Return the text that reaches into the sector.

  Each of one or two frames is read; of more the minimum over time, where
  speckle goes and text stays, the median, and the sharpest frame. The maximum
  over time is read as a negative, for dark letters. Text of fewer than three
  letters or digits is not counted, for speckle looks like it.

  Args:
    frames: grey; what lies outside the sector is read too, not counted.
    inside: the sector.

  Raises:
    BadInput: the `ocr` extra is missing.
  """
  read = _reader()
  if not inside.any():
    return []
  rows, columns = (np.flatnonzero(inside.any(axis=a)) for a in (1, 0))
  y, x = (max(int(n[0]) - _MARGIN, 0) for n in (rows, columns))
  window = np.s_[y : rows[-1] + _MARGIN + 1, x : columns[-1] + _MARGIN + 1]
  finds = []
  for picture in _pictures(frames[:, *window], inside[window]):
    for box, score in _texts(read, picture):
      x0, y0, x1, y1 = box + (x, y, x, y)
      if inside[y0:y1, x0:x1].any():
        finds.append(Find((int(x0), int(y0), int(x1), int(y1)), score))
  return _distinct(finds)


def _pictures(frames: np.ndarray, inside: np.ndarray) -> list[np.ndarray]:
  count = len(frames)
  dark = 255 - frames.max(axis=0)
  if count <= 2:
    return [*frames, dark]
  some = frames[:: -(-count // _MEDIAN)]
  median = np.partition(some, len(some) // 2, axis=0)[len(some) // 2]
  sharpest = select.choose(frames, inside, 1)[0]
  return [frames.min(axis=0), median, frames[sharpest], dark]


def _texts(read, picture: np.ndarray) -> list[tuple[np.ndarray, float]]:
  """Return box and score of each text of a picture."""
  height, width = picture.shape
  scale = max(1, round(_SIDE / max(height, width)))
  # the fan would be found as one large letter that hides those inside it
  level = picture.astype(np.float32)
  strokes = 128 + level - ndimage.gaussian_filter(level, _STROKES)
  image = Image.fromarray(np.clip(strokes, 0, 255).astype(np.uint8))
  image = image.resize((scale * width, scale * height), Image.BICUBIC)
  result = read(np.asarray(image.convert('RGB')))
  if result.boxes is None:
    return []
  found = []
  for corners, words, score in zip(
    result.boxes, result.txts, result.scores, strict=True
  ):
    if sum(map(str.isalnum, words)) >= _LETTERS:
      low = np.floor(corners.min(axis=0) / scale)
      high = np.ceil(corners.max(axis=0) / scale)
      found.append((np.append(low, high).astype(int), float(score)))
  return found


def _distinct(finds: list[Find]) -> list[Find]:
  """Leave out finds that overlap one that is surer."""
  kept: list[Find] = []
  for find in sorted(finds, key=lambda f: -f.score):
    x0, y0, x1, y1 = find.box
    if not any(
      x0 < b[2] and b[0] < x1 and y0 < b[3] and b[1] < y1 for b, _ in kept
    ):
      kept.append(find)
  return kept


@functools.cache
def _reader():
  missing = BadInput(
    'looking for text in the sector needs rapidocr 3.10 and onnxruntime: pip '
    "install 'echogan_jax[ocr]'"
  )
  # its wheel reports to its makers, and keeps an id in the temporary folder
  os.environ['ORT_DISABLE_TELEMETRY'] = '1'
  try:
    import cv2
    import onnxruntime  # noqa: F401  rapidocr asks for it only when it reads
    import rapidocr
  except ImportError as error:
    raise missing from error
  models = pathlib.Path(rapidocr.__file__).parent / 'models'
  # a model is downloaded unless its path is given
  detect, read = (models / f'PP-OCRv6_{n}_small.onnx' for n in ('det', 'rec'))
  if not (detect.exists() and read.exists()):
    raise missing
  cv2.setNumThreads(1)  # clips run in parallel, not the steps of one
  threads = 'EngineConfig.onnxruntime.{}_op_num_threads'
  return rapidocr.RapidOCR(
    params={
      'Global.log_level': 'critical',
      'Global.use_cls': False,
      'Global.text_score': _READ,
      'Det.model_path': str(detect),
      'Det.limit_side_len': 32,
      'Det.box_thresh': _DETECTED,
      'Rec.model_path': str(read),
      threads.format('intra'): 1,
      threads.format('inter'): 1,
    }
  )
