"""Write an enhanced clip in any format, and what is shown beside it."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import tqdm
from jaxtyping import UInt8

import echogan_jax
from echogan_jax.command import BadInput
from echogan_jax.data import derive, film, recorder, sector
from echogan_jax.data.clip import Film, Frame
from echogan_jax.delivery.treatment import Shot, Treatment
from echogan_jax.evaluation import expectation, pictures
from echogan_jax.training.enhancer import Enhancer

SUFFIXES = ('.dcm', *film.FILMED)


class Style(NamedTuple):
  """How a clip is written.

  Attributes:
    side_by_side: input left, result right; video and pictures only.
    identity: whether derived DICOM names the patient.
    compress: JPEG-LS in DICOM.
  """

  side_by_side: bool = False
  identity: Literal['remove', 'keep'] = 'remove'
  compress: bool = False


_PLAIN = Style()


def write(
  path: pathlib.Path,
  source: Film,
  treated: Treatment,
  *,
  model: Enhancer,
  key: bytes,
  style: Style = _PLAIN,
  also: Sequence[Callable[[Shot], None]] = (),
) -> None:
  """Enhance a clip to its end and write it in the format of the suffix.

  Args:
    path: ends in one of `SUFFIXES`; an older result there is replaced.
    source: what is played.
    treated: what `treatment.enhance` returned.
    model: what enhances.
    key: secret of pseudonyms and UIDs.
    style: how.
    also: each is given every frame on its way.

  Raises:
    BadInput: it cannot be written there, or not so.
  """
  passing = _passing(treated.shots, len(source.times), also)
  if path.suffix.lower() in film.FILMED:
    with recorder.writing(path, source.times) as add:
      for shot in passing:
        add(beside(shot) if style.side_by_side else shot.made)
    return
  if style.side_by_side:
    raise BadInput('--side_by_side writes .mp4, .gif or .png, not DICOM')
  derive.write(
    path,
    dataclasses.replace(source.clip, times=source.times),
    (shot.made[None] for shot in passing),
    model=provenance(model),
    identity=style.identity,
    key=key,
    blanked=treated.blanked,
    compress=style.compress,
  )


def _passing(
  shots: Iterator[Shot], count: int, also: Sequence[Callable[[Shot], None]]
) -> Iterator[Shot]:
  for shot in tqdm.tqdm(shots, 'frames', count, leave=False):
    for take in also:
      take(shot)
    yield shot


def beside(shot: Shot) -> Frame:
  """Return input and result side by side."""
  return np.concatenate([shot.source, shot.made], axis=1)


def provenance(model: Enhancer) -> dict[str, str]:
  """Return what a result says of the network that made it."""
  return {
    'version': echogan_jax.__version__,
    'step': str(model.step),
    'config_sha256': model.config_sha256,
    'weights_sha256': model.weights_sha256,
  }


@contextlib.contextmanager
def changes(
  path: pathlib.Path,
  source: Film,
  place: sector.Sector,
  expected: expectation.Expectation,
) -> Iterator[Callable[[Shot], None]]:
  """Write what changed beyond expectation, orange over the enhanced clip."""
  with recorder.writing(path, source.times) as add:
    yield lambda shot: add(changed(shot, place, expected))


def changed(
  shot: Shot, place: sector.Sector, expected: expectation.Expectation
) -> UInt8[np.ndarray, 'size size 3']:
  """Return what the network made of a frame, orange beyond expectation."""
  inside = sector.crop_mask(place, len(shot.after))
  excess = expectation.excess(shot.before, shot.after, inside, expected)
  return pictures.paint(shot.after, np.maximum(excess - 1, 0), inside)
