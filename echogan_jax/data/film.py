"""Open any file that holds a clip, to play it frame by frame."""

import contextlib
import pathlib
from collections.abc import Iterator

from echogan_jax.data import dicom, video
from echogan_jax.data.clip import Film

FILMED = video.PICTURES + video.VIDEOS
_SAMPLE = 1 << 27  # bytes of decoded pixels: 400 grey frames of 640x480


@contextlib.contextmanager
def opened(path: pathlib.Path, *, recover: bool = False) -> Iterator[Film]:
  """Open DICOM, or by its suffix GIF, PNG, MP4 or AVI.

  However long the clip, no more than a sample of it is held.

  Args:
    path: of the file.
    recover: keep the intact frames of a cut or damaged DICOM file.

  Raises:
    BadInput: the file cannot be decoded, or needs an extra.
    Rejected: it can, and shows no single 2D tissue image.
  """
  if path.suffix.lower() in FILMED:
    yield video.opened(path, most=_SAMPLE)
    return
  with dicom.opened(path, recover=recover, most=_SAMPLE) as film:
    dicom.check_tissue(film.clip)
    yield film
