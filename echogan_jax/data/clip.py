"""A clip: frames with their timing and geometry, whatever file they lay in."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import pydicom
from jaxtyping import Float64, UInt8

Region = tuple[int, int, int, int]
Frame = UInt8[np.ndarray, 'height width *channels']


def luma(
  frames: UInt8[np.ndarray, 'time height width *channels'],
) -> UInt8[np.ndarray, 'time height width']:
  """Return frames as one channel: ITU-R BT.601 luma where there is colour."""
  if frames.ndim == 3:
    return frames
  weights = np.array([0.299, 0.587, 0.114], np.float32)
  result = np.empty(frames.shape[:3], np.uint8)
  for grey, frame in zip(result, frames, strict=True):
    grey[...] = np.rint(frame @ weights)  # a clip of floats would not fit
  return result


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clip:
  """Frames of one acquisition.

  Attributes:
    frames: uint8, [time, height, width] where the picture is grey, or
      [time, height, width, 3] (RGB) where any pixel has colour.
    times: start of each frame in milliseconds, from 0.
    timing: where `times` comes from: `FrameTime`, `FrameTimeVector`,
      `CineRate`, `RecommendedDisplayFrameRate`, `FrameRate` or `default`.
    mm_per_pixel: (x, y) size of a pixel, None where unknown.
    region: x0, y0, x1, y1 (inclusive) of the tissue image as the header
      declares it, clamped to the frame; None where it declares none usable.
    header: the source's DICOM header without pixel data, None for others.
    lossy: whether the frames went through lossy compression before.
    notes: what was odd about the file and how it was taken.
  """

  frames: UInt8[np.ndarray, 'time height width *channels']
  times: Float64[np.ndarray, ' time']
  timing: str = 'default'
  mm_per_pixel: tuple[float, float] | None = None
  region: Region | None = None
  header: pydicom.Dataset | None = None
  lossy: bool = False
  notes: tuple[str, ...] = ()

  @property
  def grey(self) -> UInt8[np.ndarray, 'time height width']:
    """The frames as one channel."""
    return luma(self.frames)

  @property
  def fps(self) -> float:
    """Mean frame rate in frames per second; 0 for a single frame."""
    if len(self.times) < 2:
      return 0.0
    return 1000.0 * (len(self.times) - 1) / (self.times[-1] - self.times[0])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Film:
  """A clip of any length that is decoded as it is played.

  Attributes:
    clip: as many of its frames as were asked for, evenly spaced: enough to
      find the sector and to look for text.
    times: start of every frame in milliseconds, from 0.
    play: yields every frame, grey or RGB as those of `clip`; as often as it
      is called, while the file is open.
  """

  clip: Clip
  times: Float64[np.ndarray, ' time']
  play: Callable[[], Iterator[Frame]]
