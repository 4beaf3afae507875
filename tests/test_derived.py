"""The checker of derived objects finds every lie that it is there to find."""

import numpy as np
import pydicom
import pytest
from derived import MODEL, problems
from pydicom.uid import RLELossless

from echogan_jax.data import derive, dicom


@pytest.fixture(scope='module')
def good(phantom, tmp_path_factory):
  """Derive an object from a lossy phantom: its path, source and frames."""
  source = min((phantom / 'studies').rglob('*.dcm'))
  clip = dicom.read(source)
  assert clip.lossy and clip.region and clip.mm_per_pixel
  path, frames = tmp_path_factory.mktemp('good') / 'a.dcm', 255 - clip.grey
  derive.write(path, clip, frames, model=MODEL, key=b'k', blanked=True)
  assert problems(path, clip, frames, blanked=True) == []
  return path, clip, frames


def region(there):
  return there.SequenceOfUltrasoundRegions[0]


def without(keyword):
  def bend(there, source):
    del there[keyword]

  return bend


def to(**changed):
  def bend(there, source):
    for keyword, value in changed.items():
      setattr(there, keyword, value)

  return bend


def at_region(keyword, change):
  def bend(there, source):
    setattr(region(there), keyword, change(there, region(there)[keyword].value))

  return bend


def keeping(*keywords):
  def bend(there, source):
    for keyword in keywords:
      setattr(there, keyword, source.get(keyword))

  return bend


def other_pixels(there, source):
  there.PixelData = there.PixelData[:-1] + b'\x07'


def compressed_otherwise(there, source):
  there.compress(RLELossless, generate_instance_uid=False)


def short_vector(there, source):
  step = there.FrameTime
  del there.FrameTime
  there.FrameTimeVector = [0] + [step] * (there.NumberOfFrames - 2)
  there.FrameIncrementPointer = 0x00181065


def name_in_private(there, source):
  there.add_new(0x00330010, 'LO', 'MITRA MARKUP 1.0')
  there.add_new(0x00331013, 'LO', f'for {source.PatientName}')


def name_in_item(there, source):
  name = str(source.PatientName).partition('^')[0].upper()
  there.ContributingEquipmentSequence[0].InstitutionName = name


def nothing_retained(there, source):
  item = pydicom.Dataset()
  item.CodeValue, item.CodingSchemeDesignator = '113108', 'DCM'
  item.CodeMeaning = 'Retain Patient Characteristics Option'
  there.DeidentificationMethodCodeSequence.append(item)


def source_itself(there, source):
  item = there.SourceImageSequence[0]
  item.ReferencedSOPInstanceUID = source.SOPInstanceUID


def no_purpose(there, source):
  item = there.SourceImageSequence[0]
  item.PurposeOfReferenceCodeSequence[0].CodeValue = '121320'


def no_maker(there, source):
  there.ContributingEquipmentSequence[1].Manufacturer = ''


def one_tool(there, source):
  del there.ContributingEquipmentSequence[1]


def half_a_hash(there, source):
  there.DerivationDescription = there.DerivationDescription[:-120]


def other_weights(there, source):
  there.private_block(0x99, 'ECHOGAN_JAX')[5].value = 'cd' * 32


# what no validator notices, and what one does, to see that they are asked
BENT = {
  'still original': (
    to(ImageType=['ORIGINAL', 'PRIMARY', '', '0001']),
    'ImageType begins',
  ),
  'mode of the image lost': (
    to(ImageType=['DERIVED', 'SECONDARY']),
    'ImageType has 2',
  ),
  'said to be lossless': (to(LossyImageCompression='00'), 'lossy flag'),
  'silent on loss': (without('LossyImageCompression'), 'lossy flag'),
  'no ratio': (without('LossyImageCompressionRatio'), 'CompressionRatio'),
  'no method': (without('LossyImageCompressionMethod'), 'CompressionMethod'),
  'region outside': (
    at_region('RegionLocationMaxX1', lambda there, x1: there.Columns),
    'outside the image',
  ),
  'region moved': (
    at_region('RegionLocationMinX0', lambda there, x0: x0 + 1),
    'the region is',
  ),
  'pixels twice as large': (
    at_region('PhysicalDeltaX', lambda there, delta: 2 * delta),
    'a pixel has',
  ),
  'no region': (without('SequenceOfUltrasoundRegions'), 'region is None'),
  'short vector': (short_vector, 'FrameTimeVector has'),
  'other times': (to(FrameTime=25.5), 'the times are not'),
  'other rate': (to(CineRate=25), 'the rates are'),
  'pointer elsewhere': (
    to(FrameIncrementPointer=0x00181065),
    'names something',
  ),
  'name in private': (name_in_private, 'a word that identifies'),
  'private left': (name_in_private, 'a private element of the source'),
  'name in item': (name_in_item, 'a word that identifies'),
  'birth date': (keeping('PatientBirthDate'), 'a word that identifies'),
  'study date': (keeping('StudyDate'), 'a word that identifies'),
  'study UID': (keeping('StudyInstanceUID'), 'StudyInstanceUID is not new'),
  'series UID': (keeping('SeriesInstanceUID'), 'SeriesInstanceUID is not'),
  'instance UID': (keeping('SOPInstanceUID'), 'SOPInstanceUID is not new'),
  'label of the file': (to(SOPInstanceUID='2.25.7'), 'labelled with another'),
  'other modality': (to(Modality='OT'), 'Modality is OT'),
  'grey as YBR': (
    to(PhotometricInterpretation='YBR_FULL_422'),
    'the pixels are labelled',
  ),
  'grey as colour': (to(SamplesPerPixel=3), 'the pixels are labelled'),
  'grey with flow': (to(UltrasoundColorDataPresent=1), 'UltrasoundColorData'),
  'other pixels': (other_pixels, 'not those that were written'),
  'odd encoding': (compressed_otherwise, 'the pixels are stored as'),
  'not synthetic': (without('SyntheticData'), 'SyntheticData is None'),
  'a product': (to(ContentQualification='PRODUCT'), 'ContentQualification is'),
  'text claimed': (to(BurnedInAnnotation='YES'), 'BurnedInAnnotation'),
  'identity there': (to(PatientIdentityRemoved='NO'), 'IdentityRemoved'),
  'more retained': (nothing_retained, 'the codes of what was removed'),
  'dates as they were': (
    to(LongitudinalTemporalInformationModified='UNMODIFIED'),
    'the dates are said',
  ),
  'source by name': (source_itself, 'the source has the wrong UID'),
  'no source': (without('SourceImageSequence'), '0 sources are named'),
  'other purpose': (no_purpose, 'the source has no purpose'),
  'no maker': (no_maker, 'a tool has no manufacturer'),
  'one tool': (one_tool, 'the tools are for'),
  'other scanner': (to(Manufacturer='Nobody'), 'Manufacturer is not that'),
  'half a hash': (half_a_hash, 'DerivationDescription lacks'),
  'other weights': (other_weights, 'the private block does not'),
  'undeclared block': (
    without('PrivateDataElementCharacteristicsSequence'),
    'not declared to be safe',
  ),
  'missing, type 2': (without('PatientOrientation'), 'missing: general-image'),
  'missing, type 1C': (without('FrameTime'), 'missing: cine'),
  'empty, type 1': (to(StudyInstanceUID=''), 'missing: general-study'),
  'missing in a region': (
    lambda there, source: delattr(region(there), 'RegionFlags'),
    'missing: us-region-calibration',
  ),
  'invalid': (to(HighBit=6), 'invalid: '),
}


@pytest.mark.parametrize('how', BENT)
def test_it_sees(good, tmp_path, how):
  path, clip, frames = good
  bend, sentence = BENT[how]
  there = pydicom.dcmread(path)
  bend(there, clip.header)
  # as it is, with no help of pydicom's
  there.save_as(tmp_path / 'bent.dcm', enforce_file_format=False)
  found = problems(tmp_path / 'bent.dcm', clip, frames, blanked=True)
  assert any(sentence in said for said in found), found


def test_it_sees_pixels_in_colour(good, tmp_path):
  path, clip, frames = good
  colour = np.repeat(frames[..., None], 3, axis=-1)
  derive.write(tmp_path / 'a.dcm', clip, colour, model=MODEL, key=b'k')
  found = problems(tmp_path / 'a.dcm', clip, frames)
  assert any('the pixels are labelled' in said for said in found)
