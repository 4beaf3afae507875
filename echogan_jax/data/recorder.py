"""Write GIF, PNG and (with the `video` extra) MP4 and AVI frame by frame.

Everything written is marked as derived, and nothing else is said in it.
"""

import contextlib
import fractions
import pathlib
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import GifImagePlugin, Image, PngImagePlugin

from echogan_jax.data import video
from echogan_jax.data.clip import Frame
from echogan_jax.data.files import replacing

DERIVED = 'derived by echogan_jax; research use, not for diagnosis'

Times = Float64[np.ndarray, ' time']
Add = Callable[[Frame], None]


def write(
  path: pathlib.Path,
  frames: UInt8[np.ndarray, 'time height width *channels'],
  times: Times,
) -> None:
  """Write frames that are all there; see `writing`."""
  with writing(path, times) as add:
    for frame in frames:
      add(frame)


@contextlib.contextmanager
def writing(path: pathlib.Path, times: Times) -> Iterator[Add]:
  """Take frames one by one and write them in the format of the suffix.

  The file is there when all went well, not before. A PNG of several frames
  becomes `<stem>_0000.png` and so on. MP4 is H.264, its sides made even by
  repeating the last row or column.

  Args:
    path: where to; replaced if there.
    times: start of each frame in milliseconds.

  Yields:
    What takes the next frame, grey or RGB, all of one kind and size.

  Raises:
    BadInput: the format needs the `video` extra.
  """
  kinds = {'.png': _png, '.gif': _gif}
  with kinds.get(path.suffix.lower(), _video)(path, times) as add:
    yield add


@contextlib.contextmanager
def _png(path: pathlib.Path, times: Times) -> Iterator[Add]:
  info = PngImagePlugin.PngInfo()
  info.add_text('Comment', DERIVED)
  several = len(times) > 1
  numbers = iter(range(len(times)))

  def add(frame: Frame) -> None:
    number = next(numbers)
    name = f'{path.stem}_{number:04d}.png' if several else path.name
    with replacing(path.with_name(name)) as part:
      Image.fromarray(frame).save(part, 'PNG', pnginfo=info)

  yield add


@contextlib.contextmanager
def _gif(path: pathlib.Path, times: Times) -> Iterator[Add]:
  # a GIF counts in hundredths: round the ends, so that errors do not add up
  ends = np.rint(np.append(times, times[-1] + _last(times)) / 10) * 10
  durations = iter(np.maximum(np.diff(ends), 10).astype(int).tolist())
  with replacing(path) as part, part.open('wb') as file:

    def add(frame: Frame) -> None:
      image = Image.fromarray(frame)
      if frame.ndim == 3:
        image = image.convert('P', palette=Image.Palette.ADAPTIVE)
      # Pillow's own way to save all frames holds them all
      head, _ = GifImagePlugin.getheader(
        image, info={'loop': 0, 'comment': DERIVED}
      )
      own = frame.ndim == 3 and file.tell() > 0  # a palette for each frame
      if not file.tell():
        file.writelines(head)
      file.writelines(
        GifImagePlugin.getdata(
          image, duration=next(durations), include_color_table=own
        )
      )

    yield add
    file.write(b';')


def _last(times: Times) -> float:
  """Return how long the last frame is shown: as long as the one before."""
  return float(times[-1] - times[-2]) if len(times) > 1 else 1000.0


@contextlib.contextmanager
def _video(path: pathlib.Path, times: Times) -> Iterator[Add]:
  av = video.library()
  ticks = fractions.Fraction(1, 90_000)
  starts = iter(times)
  with replacing(path) as part:
    with av.open(str(part), 'w', format=path.suffix[1:].lower()) as file:
      file.metadata['comment'] = DERIVED
      rate = fractions.Fraction(1000 / _last(times)).limit_denominator(1000)
      stream = file.add_stream('libx264', rate=rate)
      stream.pix_fmt, stream.options = 'yuv420p', {'crf': '12'}
      stream.codec_context.time_base = ticks

      def add(frame: Frame) -> None:
        height, width = frame.shape[:2]
        rgb = frame if frame.ndim == 3 else np.repeat(frame[..., None], 3, -1)
        even = ((0, height % 2), (0, width % 2), (0, 0))
        rgb = np.pad(rgb, even, mode='edge')
        if not stream.codec_context.is_open:
          stream.height, stream.width = rgb.shape[:2]
        picture = av.VideoFrame.from_ndarray(rgb, format='rgb24')
        picture.time_base, picture.pts = ticks, round(next(starts) * 90)
        file.mux(stream.encode(picture))

      yield add
      file.mux(stream.encode())
