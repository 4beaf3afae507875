"""Read GIF, PNG and (with the `video` extra) MP4 and AVI into a `Clip`."""

import functools
import io
import pathlib
from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8
from PIL import ImageSequence

from echogan_jax.command import BadInput
from echogan_jax.data import limits
from echogan_jax.data.clip import Clip, Film
from echogan_jax.data.reject import Rejected

PICTURES = ('.gif', '.png')
VIDEOS = ('.mp4', '.avi')

_FRAME = 1000 / 30  # ms, where a file does not say
_CONTAINERS = 'h264,hevc,mpegvideo,mpeg,mpegts,mov,mp4,avi'


def read(path: pathlib.Path, *, strict: bool = False) -> Clip:
  """Return the frames and times of a GIF, PNG, MP4 or AVI.

  Colour whose channels agree everywhere comes back grey.

  Args:
    path: of the file.
    strict: refuse damage in a video that a decoder would conceal.

  Raises:
    BadInput: the file cannot be decoded, or needs the `video` extra.
    Rejected: `too_large`.
  """
  return opened(path, strict=strict, most=limits.BYTES).clip


def opened(path: pathlib.Path, *, strict: bool = False, most: int) -> Film:
  """Return a file to play; all its frames are tried first.

  Args:
    path: of the file.
    strict: as for `read`.
    most: bytes of decoded pixels to hold; longer clips are sampled.

  Raises:
    BadInput: as `read`.
    Rejected: `too_large`.
  """
  play = _of_video if path.suffix.lower() in VIDEOS else _of_picture
  play = functools.partial(play, path, strict)
  held, times, step, coloured = [], [], 1, False
  try:
    for frame, time in play():
      if len(times) % step == 0:
        held.append(frame)
      times.append(time)
      _check(len(times), *frame.shape[:2])
      coloured = coloured or np.ptp(frame, axis=-1).max() > 0
      if len(held) > limits.FEW and len(held) * frame.nbytes > most:
        held, step = held[::2], 2 * step
    if not times:
      raise ValueError('no video frames')
  except (OSError, ValueError, SyntaxError) as error:
    raise BadInput(f'{path} cannot be decoded: {error}') from error
  except MemoryError as error:
    raise Rejected('too_large', 'more pixels than memory holds') from error
  channels = np.s_[...] if coloured else np.s_[..., 0]
  frames = np.stack([frame[channels] for frame in held])
  if np.any(np.diff(times) <= 0):  # a stream without usable time stamps
    times = _FRAME * np.arange(len(times))
  times = np.asarray(times) - times[0]
  return Film(
    clip=Clip(frames=frames, times=times[::step], lossy=True),
    times=times,
    play=lambda: (frame[channels] for frame, _ in play()),
  )


Timed = tuple[UInt8[np.ndarray, 'height width 3'], float]


def _of_picture(path: pathlib.Path, strict: bool) -> Iterator[Timed]:
  limits.regular(path)
  time = 0.0
  with limits.picture(path, 'PNG', 'GIF') as file:
    for frame in ImageSequence.Iterator(file):
      yield np.asarray(frame.convert('RGB')), time
      time += frame.info.get('duration') or _FRAME


def _of_video(path: pathlib.Path, strict: bool) -> Iterator[Timed]:
  with limits.regular(path).open('rb') as file:
    yield from decode(file, strict=strict)


def decode(
  file: io.BufferedIOBase, *, strict: bool = False
) -> Iterator[tuple[UInt8[np.ndarray, 'height width 3'], float]]:
  """Yield each frame of a video stream as RGB, and its time in milliseconds.

  Only the containers of clips are opened: a playlist that a file holds
  instead would make PyAV open other files, or the network.

  Args:
    file: an elementary stream, or a container.
    strict: stop at damage that a decoder would conceal.

  Raises:
    ValueError: the stream is damaged, or no video.
    BadInput: it needs the `video` extra.
  """
  av = library()
  try:
    with av.open(file, options={'format_whitelist': _CONTAINERS}) as opened:
      stream = opened.streams.video[0]
      largest = {'max_pixels': str(limits.SIDE**2)}
      strictly = {'err_detect': 'explode'} if strict else {}
      if stream.codec_context is None:
        raise ValueError('a video of an unknown kind')
      _check(stream.frames, stream.height, stream.width)
      stream.codec_context.options = largest | strictly
      for frame in opened.decode(stream):
        if strict and frame.is_corrupt:
          raise ValueError('a frame is damaged')
        rgb = frame.to_ndarray(format='rgb24')
        yield rgb, 1000.0 * float(frame.time or 0.0)
  except (av.error.FFmpegError, IndexError) as error:
    raise ValueError('no intact video stream') from error


def _check(count: int, height: int, width: int) -> None:
  if why := limits.excess(count, height, width, 3):
    raise Rejected('too_large', why)


def library():
  """Return PyAV, or raise BadInput."""
  try:
    import av
  except ImportError as error:
    raise BadInput(
      "MP4 and AVI need PyAV: pip install 'echogan_jax[video]', or use GIF, "
      'PNG or DICOM'
    ) from error
  return av
