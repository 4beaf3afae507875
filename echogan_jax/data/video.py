"""GIF, PNG and (with the `video` extra) MP4 and AVI to and from a `Clip`."""

import fractions
import io
import pathlib
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image, ImageSequence, PngImagePlugin

from echogan_jax.command import BadInput
from echogan_jax.data import limits
from echogan_jax.data.clip import Clip
from echogan_jax.data.files import replacing
from echogan_jax.data.reject import Rejected

PICTURES = ('.gif', '.png')
VIDEOS = ('.mp4', '.avi')
DERIVED = 'derived by echogan_jax; research use, not for diagnosis'

_FRAME = 1000 / 30  # ms, where a file does not say
_CONTAINERS = 'h264,hevc,mpegvideo,mpeg,mpegts,mov,mp4,avi'

Frames = UInt8[np.ndarray, 'time height width *channels']
Times = Float64[np.ndarray, ' time']


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
  limits.regular(path)
  try:
    frames, times = (
      _read_video(path, strict)
      if path.suffix.lower() in VIDEOS
      else _read_picture(path)
    )
  except (OSError, ValueError, SyntaxError) as error:
    raise BadInput(f'{path} cannot be decoded: {error}') from error
  except MemoryError as error:
    raise Rejected('too_large', 'more pixels than memory holds') from error
  if np.ptp(frames, axis=-1).max() == 0:
    frames = frames[..., 0]
  return Clip(frames=frames, times=times - times[0], lossy=True)


def _read_picture(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
  frames, durations = [], []
  with limits.picture(path, 'PNG', 'GIF') as file:
    for frame in ImageSequence.Iterator(file):
      frames.append(np.asarray(frame.convert('RGB')))
      durations.append(frame.info.get('duration') or _FRAME)
  times = np.concatenate([[0.0], np.cumsum(durations[:-1])])
  return np.stack(frames), times


def _read_video(
  path: pathlib.Path, strict: bool
) -> tuple[np.ndarray, np.ndarray]:
  frames, times = [], []
  with path.open('rb') as file:
    for frame, time in decode(file, strict=strict):
      frames.append(frame)
      times.append(time)
      _check(len(frames), *frame.shape[:2])
  if not frames:
    raise ValueError('no video frames')
  if np.any(np.diff(times) <= 0):  # a stream without usable time stamps
    times = _FRAME * np.arange(len(frames))
  return np.stack(frames), np.asarray(times)


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
  av = _av()
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


def _av():
  try:
    import av
  except ImportError as error:
    raise BadInput(
      "MP4 and AVI need PyAV: pip install 'echogan_jax[video]', or use GIF, "
      'PNG or DICOM'
    ) from error
  return av


def write(path: pathlib.Path, frames: Frames, times: Times) -> None:
  """Write frames in the format of the suffix, timing kept, marked as derived.

  A PNG of several frames becomes `<stem>_0000.png` and so on. MP4 is H.264,
  its sides made even by repeating the last row or column.

  Args:
    path: where to; replaced if there.
    frames: grey or RGB.
    times: start of each frame in milliseconds.

  Raises:
    BadInput: the format needs the `video` extra.
  """
  suffix = path.suffix.lower()
  if suffix == '.png':
    _write_png(path, frames)
  elif suffix == '.gif':
    _write_gif(path, frames, times)
  else:
    _write_video(path, frames, times)


def _write_png(path: pathlib.Path, frames: Frames) -> None:
  info = PngImagePlugin.PngInfo()
  info.add_text('Comment', DERIVED)
  for number, frame in enumerate(frames):
    name = f'{path.stem}_{number:04d}.png' if len(frames) > 1 else path.name
    with replacing(path.with_name(name)) as part:
      Image.fromarray(frame).save(part, 'PNG', pnginfo=info)


def _write_gif(path: pathlib.Path, frames: Frames, times: Times) -> None:
  first, *rest = (Image.fromarray(frame) for frame in frames)
  # a GIF counts in hundredths: round the ends, so that errors do not add up
  ends = np.rint(np.append(times, times[-1] + _last(times)) / 10) * 10
  with replacing(path) as part:
    first.save(
      part,
      'GIF',
      save_all=True,
      append_images=rest,
      duration=np.maximum(np.diff(ends), 10).astype(int).tolist(),
      loop=0,
      comment=DERIVED,
    )


def _last(times: Times) -> float:
  """Return how long the last frame is shown: as long as the one before."""
  return float(times[-1] - times[-2]) if len(times) > 1 else 1000.0


def _write_video(path: pathlib.Path, frames: Frames, times: Times) -> None:
  av = _av()
  height, width = frames.shape[1:3]
  even = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
  frames = frames if frames.ndim == 4 else np.repeat(frames[..., None], 3, -1)
  frames = np.pad(frames, even, mode='edge')
  ticks = fractions.Fraction(1, 90_000)
  with replacing(path) as part:
    with av.open(str(part), 'w', format=path.suffix[1:].lower()) as file:
      file.metadata['comment'] = DERIVED
      rate = fractions.Fraction(1000 / _last(times)).limit_denominator(1000)
      stream = file.add_stream('libx264', rate=rate)
      stream.height, stream.width = frames.shape[1:3]
      stream.pix_fmt, stream.options = 'yuv420p', {'crf': '12'}
      stream.codec_context.time_base = ticks
      for frame, time in zip(frames, times, strict=True):
        picture = av.VideoFrame.from_ndarray(frame, format='rgb24')
        picture.time_base, picture.pts = ticks, round(time * 90)
        file.mux(stream.encode(picture))
      file.mux(stream.encode())
