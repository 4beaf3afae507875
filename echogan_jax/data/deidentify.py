"""De-identify headers: build a new one from an allow-list, never prune.

Identity hides in private copies, nested items and free text, and walking a
whole data set crashes on stray delimiters. A list of known-safe technical
attributes needs neither: what is not named here does not come out. Pixels
are not looked at here; `sector` and OCR deal with burned-in text.
"""

import datetime
from collections.abc import Sequence

import pydicom
from pydicom.datadict import (
  dictionary_VM,
  dictionary_VR,
  keyword_for_tag,
  tag_for_keyword,
)
from pydicom.multival import MultiValue
from pydicom.sr.codedict import codes

from echogan_jax.data import header as headers
from echogan_jax.data import identity, terms
from echogan_jax.data.header import quiet, value
from echogan_jax.data.identity import pseudonym, uid

KEEP = (
  'SOPClassUID',
  'ImageType',
  'Modality',
  'Manufacturer',
  'ManufacturerModelName',
  'TransducerType',
  'HeartRate',
  'MechanicalIndex',
  'BoneThermalIndex',
  'SoftTissueThermalIndex',
  'DepthOfScanField',
  'NumberOfStages',
  'StageNumber',
  'NumberOfViewsInStage',
  'ViewNumber',
  'CineRate',
  'RecommendedDisplayFrameRate',
  'FrameTime',
  'FrameTimeVector',
  'FrameDelay',
  'FrameIncrementPointer',
  'NumberOfFrames',
  'SamplesPerPixel',
  'PhotometricInterpretation',
  'PlanarConfiguration',
  'Rows',
  'Columns',
  'PixelAspectRatio',
  'BitsAllocated',
  'BitsStored',
  'HighBit',
  'PixelRepresentation',
  'UltrasoundColorDataPresent',
  'SequenceOfUltrasoundRegions',
  'LossyImageCompression',
  'LossyImageCompressionRatio',
  'LossyImageCompressionMethod',
)
REGION = (
  *('RegionSpatialFormat', 'RegionDataType', 'RegionFlags'),
  *('RegionLocationMinX0', 'RegionLocationMinY0'),
  *('RegionLocationMaxX1', 'RegionLocationMaxY1'),
  *('ReferencePixelX0', 'ReferencePixelY0'),
  *('ReferencePixelPhysicalValueX', 'ReferencePixelPhysicalValueY'),
  *('PhysicalUnitsXDirection', 'PhysicalUnitsYDirection'),
  *('PhysicalDeltaX', 'PhysicalDeltaY'),
  *('TransducerFrequency', 'PulseRepetitionFrequency'),
)
_ALWAYS = REGION[:3] + REGION[11:15]  # type 1, where a region is
DATES = ('StudyDate', 'SeriesDate', 'AcquisitionDate', 'ContentDate')
_YEARS = 10  # dates move back by 1 day to so many years
_TEXT = ('CS', 'LO', 'SH')


def pseudonyms(source: pydicom.Dataset, key: bytes) -> dict[str, str]:
  """Return the pseudonyms of a header's patient, study and clip.

  Where a header lacks the patient's id the name stands in, then the study.
  """
  clip = str(value(source, 'SOPInstanceUID', ''))
  patient = identity.person(source) or str(value(source, 'PatientName', ''))
  # nothing may make two patients one
  study = str(value(source, 'StudyInstanceUID', '')) or f'{patient} {clip}'
  patient = patient or study
  return {
    'patient': pseudonym(key, 'patient', patient),
    'study': pseudonym(key, 'study', study),
    'clip': pseudonym(key, 'clip', clip),
  }


def header(
  source: pydicom.Dataset, key: bytes, *, keep: Sequence[str] = KEEP
) -> pydicom.Dataset:
  """Return a new header with the technical attributes of `source` only.

  Patient and study become keyed pseudonyms, UIDs are replaced, dates move back
  by as many days for all of a patient's studies. A text value
  that repeats a word of the patient's, an operator's or the institution's
  name is left out, and so is a value that its VR does not allow.

  Args:
    source: any ultrasound header; not modified.
    key: secret of the pseudonyms.
    keep: keywords to copy where they are well-formed.
  """
  result = pydicom.Dataset()
  words = identity.words(source)
  for keyword in keep:
    if keyword != 'SequenceOfUltrasoundRegions':
      copy(source, result, keyword, words)
    elif regions := _regions(source):
      result.SequenceOfUltrasoundRegions = regions
  names = pseudonyms(source, key)
  result.PatientID = result.PatientName = names['patient']
  result.StudyID = names['study']
  _shift_dates(source, result, key)
  for name in ('StudyInstanceUID', 'SeriesInstanceUID', 'SOPInstanceUID'):
    own = str(value(source, name, '')) or f'{name} {names["study"]}'
    setattr(result, name, uid(key, own))
  terms.settle(source, result)
  result.PatientIdentityRemoved = 'YES'
  result.DeidentificationMethod = 'echogan_jax: allow-list, keyed pseudonyms'
  done = [codes.DCM.BasicApplicationConfidentialityProfile]
  dated = any(keyword in result for keyword in DATES)
  if dated:
    done += [codes.DCM.RetainLongitudinalTemporalInformationModifiedDatesOption]
  result.DeidentificationMethodCodeSequence = list(map(code, done))
  temporal = 'MODIFIED' if dated else 'REMOVED'
  result.LongitudinalTemporalInformationModified = temporal
  return result


def _shift_dates(
  source: pydicom.Dataset, result: pydicom.Dataset, key: bytes
) -> None:
  """Move dates back, all of a patient by the same number of days."""
  digits = pseudonym(key, 'days', pseudonyms(source, key)['patient'])
  days = datetime.timedelta(1 + int(digits, 16) % (365 * _YEARS))
  for keyword in DATES:
    text = str(value(source, keyword, ''))
    try:
      date = datetime.datetime.strptime(text, '%Y%m%d') - days
    except (ValueError, OverflowError):
      continue  # absent or malformed: a date that no one can read stays away
    setattr(result, keyword, f'{date:%Y%m%d}')


def code(concept: pydicom.sr.coding.Code) -> pydicom.Dataset:
  """Return a concept as the item of a code sequence."""
  item = pydicom.Dataset()
  item.CodeValue = concept.value
  item.CodingSchemeDesignator = concept.scheme_designator
  item.CodeMeaning = concept.meaning
  return item


def copy(
  source: pydicom.Dataset,
  target: pydicom.Dataset,
  keyword: str,
  words: frozenset[str] = frozenset(),
) -> None:
  """Copy an attribute if it is there, well-formed and free of `words`."""
  found = value(source, keyword)
  kind = dictionary_VR(keyword)
  if found is None or (kind in _TEXT and identity.repeats(str(found), words)):
    return
  if isinstance(found, MultiValue) and dictionary_VM(keyword) == '1':
    return
  if kind == 'PN':
    found = str(found)  # forgets the source's character set
  try:
    with quiet():
      element = pydicom.DataElement(
        tag_for_keyword(keyword),
        kind,
        found,
        validation_mode=pydicom.config.RAISE,
      )
  except Exception:  # noqa: BLE001  pydicom has no common base for these
    return
  target[element.tag] = element


def _regions(source: pydicom.Dataset) -> list[pydicom.Dataset]:
  """Return the regions that fit the frame, clamped, numbers only."""
  width = int(headers.number(source, 'Columns') or 0)
  height = int(headers.number(source, 'Rows') or 0)
  result = []
  for area in headers.areas(source, width, height)[0]:
    item = pydicom.Dataset()
    for keyword in REGION:
      copy(area.item, item, keyword)
    for corner, at in zip(headers.CORNERS, area.box, strict=True):
      setattr(item, corner, at)
    for axis in 'XY':
      if not headers.number(item, f'PhysicalDelta{axis}'):
        setattr(item, f'PhysicalUnits{axis}Direction', 0)  # none
    for keyword in {*_ALWAYS} - {*item.dir()}:
      setattr(item, keyword, 0)
    result.append(item)
  return result


def dropped(
  source: pydicom.Dataset, *, keep: Sequence[str] = KEEP
) -> list[str]:
  """Return what `header` leaves out: keywords, or numbers of private tags.

  Values are not read, so nothing in a file can make this fail.
  """
  kept = {tag_for_keyword(keyword) for keyword in keep}
  tags = sorted(tag for tag in source.keys() if tag not in kept)
  return [keyword_for_tag(tag) or str(tag) for tag in tags]
