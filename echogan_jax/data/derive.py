"""Write enhanced frames as a derived DICOM object that says what it is."""

import pathlib
import secrets
import tempfile
from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
import pydicom
from jaxtyping import UInt8
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundMultiFrameImageStorage
from pydicom.valuerep import format_number_as_ds

from echogan_jax.command import BadInput
from echogan_jax.data import deidentify, encode, provenance
from echogan_jax.data import header as headers
from echogan_jax.data.clip import Clip
from echogan_jax.data.files import replacing
from echogan_jax.data.header import quiet, value

_Frames = UInt8[np.ndarray, 'time height width *channels']
_PATIENT_AND_STUDY = (
  'PatientName',
  'PatientID',
  'IssuerOfPatientID',
  'PatientBirthDate',
  'PatientSex',
  'PatientAge',
  'PatientSize',
  'PatientWeight',
  'StudyInstanceUID',
  'StudyTime',
  'StudyID',
  'StudyDescription',
  'AccessionNumber',
  'ReferringPhysicianName',
)
_EQUIPMENT = ('Manufacturer', 'ManufacturerModelName')
_TIMING = (
  *('FrameTime', 'FrameTimeVector', 'FrameDelay'),
  *('CineRate', 'RecommendedDisplayFrameRate'),
)
_REQUIRED = (  # type 2: present, even if empty
  *('AccessionNumber', 'Manufacturer', 'PatientBirthDate'),
  *('PatientOrientation', 'PatientSex', 'ReferringPhysicianName'),
  *('StudyDate', 'StudyID', 'StudyTime'),
)
_EXACT = 1e-3  # ms: times this close to a constant rate have one
_VECTOR = 65534  # bytes: the longest value of a DS


def write(
  path: pathlib.Path,
  clip: Clip,
  frames: _Frames | Iterable[_Frames],
  *,
  model: Mapping[str, str],
  identity: Literal['remove', 'keep'] = 'remove',
  key: bytes | None = None,
  blanked: bool = False,
  compress: bool = False,
) -> None:
  """Write a derived US Multi-frame object, atomically.

  No more than a chunk of the frames is held in memory.

  Args:
    path: where to; an older derived file there is replaced.
    clip: the source; timing, regions and lossiness carry over.
    frames: what to write, in the grid of `clip.frames`, one for each of
      `clip.times`: chunks, or all of them as one array; grey or RGB.
    model: what made them: `version`, `step`, `config_sha256` and
      `weights_sha256`, as many as are known.
    identity: `remove` rebuilds the header by allow-list under pseudonyms;
      `keep` copies the patient and study of the source.
    key: secret of pseudonyms and UIDs; the same key keeps the clips of a
      study together. Drawn at random if None.
    blanked: the caller has cleared everything outside the sector and found
      no text inside; else the object says it carries burned-in annotation.
    compress: store JPEG-LS, lossless, rather than plain values.

  Raises:
    BadInput: the frames are of another size or number, more than an object
      holds, `path` is the source, or the codec is not installed.
  """
  chunks = [frames] if isinstance(frames, np.ndarray) else frames
  shape = (len(clip.times), *clip.frames.shape[1:3])
  source = clip.header or provenance.nameless(clip)
  _spare(path, source)
  key = key or secrets.token_bytes(32)
  path.parent.mkdir(parents=True, exist_ok=True)
  with quiet(), tempfile.TemporaryFile(dir=path.parent) as file:
    pixels = encode.spool(file, chunks, shape, compress=compress)
    result = deidentify.header(source, key)
    if identity == 'keep':
      _restore(source, result)
    _settle(result, identity, blanked)
    encode.fill(result, pixels)
    _complete(result, source)
    _time(result, clip)
    provenance.describe(result, source, clip, model)
    provenance.equip(result, identity, blanked)
    provenance.refer(result, source, identity)
    provenance.identify(result, source, key, pixels.sha256)
    save(result, path)


def _spare(path: pathlib.Path, source: pydicom.Dataset) -> None:
  """Raise BadInput rather than replace what a scanner or archive wrote."""
  if not path.exists():
    return
  tags = ['SOPInstanceUID', 'SyntheticData']
  try:
    with quiet():
      there = pydicom.dcmread(path, specific_tags=tags)
  except Exception:  # noqa: BLE001  not DICOM, so not the source
    return
  own = value(source, 'SOPInstanceUID')
  if own and own == value(there, 'SOPInstanceUID'):
    raise BadInput(f'{path} is the source itself: choose another output')
  if value(there, 'SyntheticData') != 'YES':
    raise BadInput(f'{path} is a DICOM file that is not ours: choose another')


def _restore(source: pydicom.Dataset, result: pydicom.Dataset) -> None:
  """Put patient and study back, well-formed values only."""
  del result.PatientName, result.PatientID
  del result.LongitudinalTemporalInformationModified
  for keyword in deidentify.DATES:
    result.pop(keyword, None)
  for keyword in (*_PATIENT_AND_STUDY, *_EQUIPMENT, *deidentify.DATES):
    deidentify.copy(source, result, keyword)
  for keyword in ('PatientName', 'PatientID'):
    if keyword not in result:
      setattr(result, keyword, '')


def _settle(
  result: pydicom.Dataset, identity: Literal['remove', 'keep'], blanked: bool
) -> None:
  """Claim no more than was done to hide who the patient is."""
  if blanked and identity == 'remove':
    clean = deidentify.code(codes.DCM.CleanPixelDataOption)
    result.DeidentificationMethodCodeSequence.append(clean)
  else:  # a name may stand in the header, or be burned into the pixels
    del result.DeidentificationMethod
    del result.DeidentificationMethodCodeSequence
    result.PatientIdentityRemoved = 'NO'
  result.BurnedInAnnotation = 'NO' if blanked else 'YES'


def _complete(result: pydicom.Dataset, source: pydicom.Dataset) -> None:
  """Add what the object class asks for."""
  for keyword in _REQUIRED:
    if keyword not in result:
      setattr(result, keyword, '')
  result.SpecificCharacterSet = 'ISO_IR 192'
  result.SOPClassUID = UltrasoundMultiFrameImageStorage
  result.Modality = 'US'
  says = headers.modes(source, result.Columns, result.Rows)
  flow = any(reason == 'colour_flow' for reason, _ in says)
  colour = result.SamplesPerPixel == 3
  result.UltrasoundColorDataPresent = int(colour and flow)


def _time(result: pydicom.Dataset, clip: Clip) -> None:
  """Write the times of the frames, and the rate that follows from them.

  Raises:
    BadInput: too many different times.
  """
  for keyword in _TIMING:
    result.pop(keyword, None)
  count = len(clip.times)
  step = clip.times[-1] / max(count - 1, 1)
  if np.abs(clip.times - step * np.arange(count)).max() < _EXACT:
    result.FrameTime = format_number_as_ds(round(float(step), 6))
    result.FrameIncrementPointer = 0x00181063
  else:
    steps = np.diff(clip.times.round(3), prepend=0.0).round(3)
    steps = [format_number_as_ds(float(step)) for step in steps]
    if len('\\'.join(steps)) > _VECTOR:
      raise BadInput(
        f'the times of {count} frames at a varying rate do not fit a DICOM '
        'object: write a video, or a shorter clip'
      )
    result.FrameTimeVector = steps
    result.FrameIncrementPointer = 0x00181065
  rate = round(clip.fps)
  if rate and clip.timing != 'default':
    result.CineRate = result.RecommendedDisplayFrameRate = rate


def save(dataset: pydicom.Dataset, path: pathlib.Path) -> None:
  """Write a Part 10 file so that `path` is never half written.

  Args:
    dataset: complete; uncompressed unless its `file_meta` says otherwise.
    path: its folder is made if need be.
  """
  if not hasattr(dataset, 'file_meta'):
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
  with replacing(path) as part:
    dataset.save_as(part, enforce_file_format=True)
