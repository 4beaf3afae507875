"""What may be wrong with a derived DICOM object, in sentences.

`dciodvfy` and the tables of the standard see to the form. What they never
notice is asked for here: that the object tells the truth about its pixels,
its source and the patient.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
from iod import absent
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless

from echogan_jax.data import deidentify
from echogan_jax.data import identity as identities
from echogan_jax.data.header import areas, quiet, tissue

MODEL = {
  'version': '9.9',
  'step': '200000',
  'config_sha256': 'c0' * 32,
  'weights_sha256': 'ab' * 32,
}
_UIDS = ('StudyInstanceUID', 'SeriesInstanceUID', 'SOPInstanceUID')
_NAMES = ('Patient', 'Operator', 'Physician', 'Institution', 'OtherPatient')
_SAYS = (
  *('AccessionNumber', 'StudyID', 'StationName', 'DeviceSerialNumber'),
  *('StudyDescription', 'SeriesDescription', 'ReasonForStudy'),
  *('RequestedProcedureDescription', 'RequestedProcedureID', 'ImageComments'),
  *('AdmittingDiagnosesDescription', 'ProtocolName', 'IssuerOfPatientID'),
  *('PerformedProcedureStepID', 'ScheduledProcedureStepID'),
)
_KEPT = ('Manufacturer', 'ManufacturerModelName', 'ImageType')


def problems(path, clip, frames, identity='remove', *, blanked=False):
  """Return what is wrong with a file derived from a clip.

  Args:
    path: of the derived file.
    clip: the source.
    frames: what its pixels must be.
    identity: `remove` or `keep`, as it was written.
    blanked: likewise.
  """
  with quiet():
    there = pydicom.dcmread(path)
    source = clip.header or pydicom.Dataset()
    kept = identity == 'keep' and clip.header is not None
    return [
      *_invalid(path, source if kept else pydicom.Dataset()),
      *(f'missing: {".".join(where)}' for where in absent(there)),
      *_pixels(there, frames),
      *_labels(there, source),
      *_lineage(there, source, kept),
      *_credits(there, source, identity),
      *_model(there),
      *_loss(there, clip),
      *_space(there, clip),
      *_time(there, clip),
      *_honesty(there, identity, blanked),
      *([] if kept else _traces(path.read_bytes(), source)),
    ]


def _invalid(path: Path, kept: pydicom.Dataset) -> Iterator[str]:
  """Yield what David Clunie's validator holds against a file.

  A UID of a study must stay as the archive knows it, even if its scanner took
  it from under a root that nobody registered.
  """
  tool = Path(sys.executable).with_name('dciodvfy')
  ran = subprocess.run(
    [tool, '-new', path], capture_output=True, text=True, check=False
  )
  said = (ran.stdout + ran.stderr).splitlines()
  errors = [line for line in said if line.startswith('Error')]
  own = [str(kept.get(name)) for name in ('StudyInstanceUID', _UIDS[2])]
  excused = [
    line
    for line in errors
    if 'Illegal root' in line and any(f'<{uid}>' in line for uid in own)
  ]
  yield from (f'invalid: {line}' for line in errors if line not in excused)
  if ran.returncode not in ((0, 1) if excused else (0,)):
    yield f'invalid: the validator ends with status {ran.returncode}'


def _pixels(there, frames) -> Iterator[str]:
  colour = frames.ndim == 4
  kind = (3, 'RGB', 0) if colour else (1, 'MONOCHROME2', None)
  found = (there.SamplesPerPixel, there.PhotometricInterpretation)
  if (*found, there.get('PlanarConfiguration')) != kind:
    yield f'the pixels are labelled {found}'
  if there['PixelData'].VR != 'OB' or len(there.PixelData) % 2:
    yield 'the pixel data are not OB of an even length'
  syntax = there.file_meta.TransferSyntaxUID
  if syntax not in (ExplicitVRLittleEndian, JPEGLSLossless):
    yield f'the pixels are stored as {syntax.name}'
  try:
    pixels = pydicom.pixels.pixel_array(there, raw=True)
  except Exception as error:  # noqa: BLE001  a bent file raises anything
    yield f'the pixels cannot be decoded: {error}'
    return
  if there.NumberOfFrames == 1:
    pixels = pixels[None]
  if not np.array_equal(pixels, frames):
    yield 'the pixels are not those that were written'
  if there.get('UltrasoundColorDataPresent') not in (
    (0, 1) if colour else (0,)
  ):
    yield 'UltrasoundColorDataPresent is wrong'


def _labels(there, source) -> Iterator[str]:
  expected = {
    'SOPClassUID': '1.2.840.10008.5.1.4.1.1.3.1',
    'Modality': 'US',
    'SyntheticData': 'YES',
    'ContentQualification': 'RESEARCH',
  }
  for name, said in expected.items():
    if there.get(name) != said:
      yield f'{name} is {there.get(name)}'
  kinds = list(there.get('ImageType') or ())
  if kinds[:2] != ['DERIVED', 'SECONDARY']:
    yield f'ImageType begins with {kinds[:2]}'
  # of other words than the standard's nobody knows whom they name
  own = list(source.get('ImageType') or ())[2:4]
  for new, old in zip(kinds[2:], own, strict=False):
    if new not in (old, ''):
      yield f'ImageType says {new}, not {old}'
  if len(kinds) != 2 + len(own):
    yield f'ImageType has {len(kinds)} values'
  if there.SOPInstanceUID != there.file_meta.MediaStorageSOPInstanceUID:
    yield 'the file is labelled with another UID'


def _lineage(there, source, kept: bool) -> Iterator[str]:
  for name in _UIDS[0 if not kept else 1 :]:
    if there.get(name) in (None, source.get(name)):
      yield f'{name} is not new'
  if kept and there.get(_UIDS[0]) != source.get(_UIDS[0]):
    yield 'the study is another'
  items = there.get('SourceImageSequence') or ()
  if len(items) != ('SOPClassUID' in source):
    yield f'{len(items)} sources are named'
  for item in items:
    instance, old = item.ReferencedSOPInstanceUID, source.SOPInstanceUID
    if (instance == old) != kept or instance == there.SOPInstanceUID:
      yield 'the source has the wrong UID'
    if item.ReferencedSOPClassUID != source.SOPClassUID:
      yield 'the source is of another class'
    (purpose,) = item.PurposeOfReferenceCodeSequence
    if (purpose.CodeValue, purpose.CodingSchemeDesignator) != ('121322', 'DCM'):
      yield 'the source has no purpose'
    if item.get('SpatialLocationsPreserved') != 'YES':
      yield 'the locations are not said to be preserved'


def _credits(there, source, identity: str) -> Iterator[str]:
  purposes = []
  for item in there.get('ContributingEquipmentSequence') or ():
    (purpose,) = item.PurposeOfReferenceCodeSequence
    purposes.append(purpose.CodeValue)
    if not item.get('Manufacturer'):
      yield 'a tool has no manufacturer'
  expected = ['109102', '109104'] if identity == 'remove' else ['109102']
  if purposes != expected:
    yield f'the tools are for {purposes}'
  words = identities.words(source) if identity == 'remove' else ()
  for name in _KEPT[:2]:
    said = source.get(name) or ''
    if there.get(name, '') != ('' if identities.repeats(said, words) else said):
      yield f'{name} is not that of the scanner'


def _model(there) -> Iterator[str]:
  text = there.get('DerivationDescription', '')
  for said in (*MODEL.values(), 'not for diagnostic use'):
    if said not in text:
      yield f'DerivationDescription lacks {said}'
  try:
    block = there.private_block(0x99, 'ECHOGAN_JAX')
    found = [block[at].value for at in range(2, 6)]
  except KeyError:
    found = []
  if found != [*MODEL.values()]:
    yield 'the private block does not tell the model'
  private = [element for element in there if element.tag.is_private]
  if any(element.tag.group != 0x99 for element in private):
    yield 'a private element of the source is left'
  safe = there.get('PrivateDataElementCharacteristicsSequence') or ()
  if [i.BlockIdentifyingInformationStatus for i in safe] != ['SAFE']:
    yield 'the private block is not declared to be safe'


def _loss(there, clip) -> Iterator[str]:
  source = clip.header or pydicom.Dataset()
  lossy = clip.lossy or source.get('LossyImageCompression') == '01'
  if there.get('LossyImageCompression') != ('01' if lossy else '00'):
    yield 'the lossy flag is wrong'
  for name in ('LossyImageCompressionRatio', 'LossyImageCompressionMethod'):
    if there.get(name) != source.get(name):
      yield f'{name} is not that of the source'


def _space(there, clip) -> Iterator[str]:
  height, width = clip.frames.shape[1:3]
  for item in there.get('SequenceOfUltrasoundRegions') or ():
    x0, y0 = item.RegionLocationMinX0, item.RegionLocationMinY0
    x1, y1 = item.RegionLocationMaxX1, item.RegionLocationMaxY1
    if not (0 <= x0 < x1 < width and 0 <= y0 < y1 < height):
      yield 'a region lies outside the image'
  found = tissue(areas(there, width, height)[0])
  box, size = (found[0].box, found[0].mm_per_pixel) if found else (None, None)
  whole = (0, 0, width - 1, height - 1) if clip.mm_per_pixel else None
  if box != (clip.region or whole):
    yield f'the region is {box}'
  if (size is None) != (clip.mm_per_pixel is None) or (
    size and not np.allclose(size, clip.mm_per_pixel, rtol=1e-6)
  ):
    yield f'a pixel has {size} mm'
  if clip.header is not None:
    usable = len(areas(clip.header, width, height)[0])
    if len(there.get('SequenceOfUltrasoundRegions') or ()) != usable:
      yield 'not every usable region is there'


def _time(there, clip) -> Iterator[str]:
  count = len(clip.times)
  if there.NumberOfFrames != count:
    yield f'{there.NumberOfFrames} frames are said to be there'
  vector = there.get('FrameTimeVector')
  if vector is not None:
    steps = np.atleast_1d(np.array(vector, float))
    named = 0x00181065
  else:
    steps = np.full(count, float(there.get('FrameTime', np.nan)))
    steps[:1], named = 0, 0x00181063
  if len(steps) != count:
    yield f'FrameTimeVector has {len(steps)} values'
  elif not np.allclose(np.cumsum(steps), clip.times, atol=1e-3 * count, rtol=0):
    yield 'the times are not those of the source'
  if there.get('FrameIncrementPointer') != named:
    yield 'FrameIncrementPointer names something else'
  rates = [there.get(n) for n in ('CineRate', 'RecommendedDisplayFrameRate')]
  known = clip.timing != 'default' and round(clip.fps)
  if rates != ([round(clip.fps)] * 2 if known else [None] * 2):
    yield f'the rates are {rates}'
  guessed = clip.timing == 'default' and count > 1
  if ('assumed' in there.get('DerivationDescription', '')) != guessed:
    yield 'a guess is not called one'


def _honesty(there, identity: str, blanked: bool) -> Iterator[str]:
  if there.get('BurnedInAnnotation') != ('NO' if blanked else 'YES'):
    yield 'BurnedInAnnotation is wrong'
  clean = blanked and identity == 'remove'
  if there.get('PatientIdentityRemoved') != ('YES' if clean else 'NO'):
    yield 'PatientIdentityRemoved is wrong'
  if ('DeidentificationMethod' in there) != clean:
    yield 'DeidentificationMethod is wrong'
  done = there.get('DeidentificationMethodCodeSequence') or ()
  done = {item.CodeValue for item in done}
  dated = any(name in there for name in deidentify.DATES if there.get(name))
  # 113106 and 113108 to 113111 would retain what is not retained
  expected = {'113100', '113101'} | ({'113107'} if dated else set())
  if done != (expected if clean else set()):
    yield f'the codes of what was removed are {sorted(done)}'
  temporal = 'MODIFIED' if dated else 'REMOVED'
  expected = temporal if identity == 'remove' else None
  if there.get('LongitudinalTemporalInformationModified') != expected:
    yield 'the dates are said to be what they are not'


def _traces(content: bytes, source: pydicom.Dataset) -> Iterator[str]:
  kept = {word for name in _KEPT for word in _words(source.get(name))}
  content, kept = content.lower(), {word.lower() for word in kept}
  for needle in {found.lower() for found in needles(source)} - kept:
    alone = rb'(?<!\w)' + re.escape(needle.encode()) + rb'(?!\w)'
    if needle.encode() in content and re.search(alone, content):
      yield 'a word that identifies is left'


def needles(header: pydicom.Dataset) -> set[str]:
  """Return every identifying value of a header, nested ones too."""
  found = set()
  for tag in list(header.keys()):
    try:
      element = header[tag]
    except Exception:  # noqa: BLE001  a stray delimiter
      continue
    if element.VR == 'SQ':
      found = found.union(*map(needles, element.value))
    elif element.VR in ('PN', 'DA', 'DT', 'TM') or element.keyword in _SAYS:
      found |= {str(element.value), *_words(element.value)}
    elif (
      element.VR == 'UI'
      or element.keyword.startswith(_NAMES)
      or element.tag.is_private
    ):
      found.add(str(element.value))
  return {n for n in found if len(n) > 4 and not n.startswith('1.2.840.10008')}


def _words(found) -> list[str]:
  return re.split(r'[^\w.]+', str(found or ''))
