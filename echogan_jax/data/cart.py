"""A made-up scanner: simulated frames as the DICOM file a cart would send.

Everything a hospital must not let out is in it on purpose, in the header,
in a private tag and burned into the banner: names, ids and dates of people
who do not exist. De-identification is tested on these files.
"""

import dataclasses
import datetime
import io

import numpy as np
import pydicom
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from pydicom.encaps import encapsulate
from pydicom.uid import (
  ExplicitVRLittleEndian,
  JPEGBaseline8Bit,
  UltrasoundMultiFrameImageStorage,
  generate_uid,
)

BANNER = 36  # rows above the image: three lines of text
_LINE = 12
_FAMILY = ('Quillbrook', 'Fernwhistle', 'Oddmarrow', 'Tanglebury', 'Vexholm')
_FEMALE = ('Zelphine', 'Ondrisa', 'Mirabeth', 'Yolanthe')
_MALE = ('Torvath', 'Elquin', 'Bramwick', 'Osgrave')
_HOSPITAL = ('Saint Nowhere', 'Cloudmere', 'Port Fable', 'Lake Invented')
_STAFF = ('Grumbold^Ilvane', 'Pennyfrost^Ovinda', 'Wrenlow^Tamsy')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Visit:
  """Who was examined, where, when and by whom: all made up."""

  name: str
  patient_id: str
  born: str
  sex: str
  hospital: str
  date: str
  accession: str
  doctor: str
  operator: str
  uid: str  # StudyInstanceUID


def visit(seed: int, patient: int, study: int) -> Visit:
  """Return the visit of a patient; the same numbers give the same visit."""
  rng = np.random.default_rng([seed, patient])
  female = bool(rng.integers(2))
  given = rng.choice(_FEMALE if female else _MALE)
  born = datetime.date(1930, 1, 1) + datetime.timedelta(
    int(rng.integers(25000))
  )
  name = f'{rng.choice(_FAMILY)}^{given}'
  number = f'MRN{rng.integers(10**7):07d}'
  hospital = str(rng.choice(_HOSPITAL))
  rng = np.random.default_rng([seed, patient, study])
  date = datetime.date(2021, 1, 1) + datetime.timedelta(int(rng.integers(1000)))
  return Visit(
    name=name,
    patient_id=number,
    born=f'{born:%Y%m%d}',
    sex='F' if female else 'M',
    hospital=hospital,
    date=f'{date:%Y%m%d}',
    accession=f'ACC{rng.integers(10**8):08d}',
    doctor=str(rng.choice(_STAFF)),
    operator=str(rng.choice(_STAFF)),
    uid=generate_uid(entropy_srcs=[f'study {seed} {patient} {study}']),
  )


def screen(
  frames: UInt8[np.ndarray, 'time size size'], who: Visit
) -> UInt8[np.ndarray, 'time height size']:
  """Return the frames under a banner that names the patient."""
  canvas = Image.new('L', (frames.shape[2], BANNER))
  draw = ImageDraw.Draw(canvas)
  font = ImageFont.load_default(size=_LINE - 2)
  lines = (
    who.name.replace('^', ' '),
    f'{who.patient_id} {who.born}',
    f'{who.hospital} {who.date}',
  )
  for row, line in enumerate(lines):
    draw.text((1, row * _LINE), line, fill=220, font=font)
  banner = np.broadcast_to(
    np.asarray(canvas), (len(frames), *canvas.size[::-1])
  )
  return np.concatenate([banner, frames], axis=1)


def dataset(
  frames: UInt8[np.ndarray, 'time height width'],
  who: Visit,
  *,
  mm_per_pixel: float,
  frame_time: float,
  heart_rate: float,
  encoding: str = 'raw',
) -> pydicom.Dataset:
  """Return an Ultrasound Multi-frame Image object.

  Args:
    frames: as `screen` returns them.
    who: the visit.
    mm_per_pixel: of the image under the banner, equal in both directions.
    frame_time: milliseconds.
    heart_rate: beats per minute.
    encoding: `raw`, `jpeg` (grey) or `jpeg_colour` (YBR 4:2:2).
  """
  result = pydicom.Dataset()
  _people(result, who)
  _machine(result, who)
  result.SOPInstanceUID = generate_uid(entropy_srcs=[who.uid, 'clip'])
  result.SeriesInstanceUID = generate_uid(entropy_srcs=[who.uid, 'series'])
  result.ImageType = ['ORIGINAL', 'PRIMARY', 'TTE', '0001']
  result.SeriesNumber = result.InstanceNumber = 1
  result.PatientOrientation = ''
  result.NumberOfFrames = len(frames)
  result.FrameTime = f'{frame_time:.6g}'
  result.FrameIncrementPointer = 0x00181063
  result.CineRate = round(1000 / frame_time)
  result.HeartRate = round(heart_rate)
  result.UltrasoundColorDataPresent = 0
  result.SequenceOfUltrasoundRegions = [_region(frames, mm_per_pixel)]
  _pixels(result, frames, encoding)
  return result


def _people(result: pydicom.Dataset, who: Visit) -> None:
  result.SpecificCharacterSet = 'ISO_IR 192'
  result.PatientName = who.name
  result.PatientID = who.patient_id
  result.PatientBirthDate = who.born
  result.PatientSex = who.sex
  result.StudyInstanceUID = who.uid
  result.StudyID = who.accession[-6:]
  result.StudyDate = result.SeriesDate = result.ContentDate = who.date
  result.StudyTime = result.SeriesTime = result.ContentTime = '101500'
  result.StudyDescription = f'Echo of {who.name.replace("^", " ")}'
  result.AccessionNumber = who.accession
  result.InstitutionName = f'{who.hospital} Hospital'
  result.ReferringPhysicianName = who.doctor
  result.OperatorsName = who.operator
  private = result.private_block(0x0011, 'ECHOGAN PHANTOM', create=True)
  private.add_new(0x01, 'LO', who.name.replace('^', ' '))


def _machine(result: pydicom.Dataset, who: Visit) -> None:
  result.SOPClassUID = UltrasoundMultiFrameImageStorage
  result.Modality = 'US'
  result.Manufacturer = 'Echogan'
  result.ManufacturerModelName = 'Phantom One'
  result.DeviceSerialNumber = 'SN' + who.uid[-6:]
  result.StationName = 'ECHO' + who.uid[-2:]
  result.SoftwareVersions = '1.0'
  result.TransducerType = 'SECTOR_PHASED'
  result.BodyPartExamined = 'HEART'
  result.BurnedInAnnotation = 'YES'


def _region(frames: np.ndarray, mm_per_pixel: float) -> pydicom.Dataset:
  item = pydicom.Dataset()
  item.RegionSpatialFormat = 1
  item.RegionDataType = 1
  item.RegionFlags = 2
  item.RegionLocationMinX0, item.RegionLocationMinY0 = 0, BANNER
  item.RegionLocationMaxX1 = frames.shape[2] - 1
  item.RegionLocationMaxY1 = frames.shape[1] - 1
  item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
  item.PhysicalDeltaX = item.PhysicalDeltaY = mm_per_pixel / 10
  return item


def _pixels(result: pydicom.Dataset, frames: np.ndarray, encoding: str) -> None:
  colour = encoding == 'jpeg_colour'
  result.SamplesPerPixel = 3 if colour else 1
  result.PhotometricInterpretation = 'YBR_FULL_422' if colour else 'MONOCHROME2'
  if colour:
    result.PlanarConfiguration = 0
  result.Rows, result.Columns = frames.shape[1:]
  result.BitsAllocated = result.BitsStored = 8
  result.HighBit = 7
  result.PixelRepresentation = 0
  result.file_meta = pydicom.dataset.FileMetaDataset()
  if encoding == 'raw':
    data = frames.tobytes()
    result.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    result.LossyImageCompression = '00'
    result.PixelData = data + bytes(len(data) % 2)
  else:
    coded = [_jpeg(frame, colour) for frame in frames]
    ratio = frames.size * result.SamplesPerPixel / sum(map(len, coded))
    result.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    result.LossyImageCompression = '01'
    result.LossyImageCompressionRatio = f'{ratio:.2f}'
    result.LossyImageCompressionMethod = 'ISO_10918_1'
    result.PixelData = encapsulate(coded)
  result['PixelData'].VR = 'OB'


def _jpeg(frame: np.ndarray, colour: bool) -> bytes:
  image, buffer = Image.fromarray(frame), io.BytesIO()
  options = {'subsampling': '4:2:2'} if colour else {}
  image = image.convert('RGB') if colour else image
  image.save(buffer, 'JPEG', quality=92, **options)
  return buffer.getvalue()
