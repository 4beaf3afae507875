"""Where a derived object comes from, and what was done to get it."""

import hashlib
from collections.abc import Mapping
from typing import Literal

import pydicom
from pydicom.sr.codedict import codes

import echogan_jax
from echogan_jax.data import deidentify
from echogan_jax.data import header as headers
from echogan_jax.data.clip import Clip
from echogan_jax.data.header import number, uid, value

# what is said of a model, and where in the private block: LO of 64 characters
MODEL = {'version': 2, 'step': 3, 'config_sha256': 4, 'weights_sha256': 5}
CREATOR, GROUP = 'ECHOGAN_JAX', 0x0099
_SOFTWARE = 1
_LONGEST = 64


def nameless(clip: Clip) -> pydicom.Dataset:
  """Return a header for a clip without one: identified by its pixels."""
  digest = hashlib.sha256()
  for frame in clip.frames:
    digest.update(frame.tobytes())
  source = pydicom.Dataset()
  source.PatientID = digest.hexdigest()
  for name in ('StudyInstanceUID', 'SeriesInstanceUID', 'SOPInstanceUID'):
    setattr(source, name, deidentify.uid(b'pixels', source.PatientID + name))
  source.Rows, source.Columns = clip.frames.shape[1:3]
  if clip.region or clip.mm_per_pixel:
    source.SequenceOfUltrasoundRegions = [_region(clip)]
  return source


def _region(clip: Clip) -> pydicom.Dataset:
  height, width = clip.frames.shape[1:3]
  item = pydicom.Dataset()
  item.RegionSpatialFormat = item.RegionDataType = 1
  box = clip.region or (0, 0, width - 1, height - 1)
  for corner, at in zip(headers.CORNERS, box, strict=True):
    setattr(item, corner, at)
  for axis, millimetres in zip('XY', clip.mm_per_pixel or (), strict=False):
    setattr(item, f'PhysicalUnits{axis}Direction', 3)  # centimetres
    setattr(item, f'PhysicalDelta{axis}', millimetres / 10)
  return item


def describe(
  result: pydicom.Dataset,
  source: pydicom.Dataset,
  clip: Clip,
  model: Mapping[str, str],
) -> None:
  """Say what the object is, by which model, and that it is for research.

  Args:
    result: changed in place; holds the technical attributes of the source.
    source: its header.
    clip: what was read from it.
    model: of it what `MODEL` names is written down.
  """
  said = {name: str(model[name])[:_LONGEST] for name in MODEL if name in model}
  kinds = list(value(result, 'ImageType', ()))
  result.ImageType = ['DERIVED', 'SECONDARY', *kinds[2:4]]
  result.SeriesNumber = 9000 + int(number(source, 'SeriesNumber') or 0) % 1000
  result.InstanceNumber = int(number(source, 'InstanceNumber') or 1)
  result.SeriesDescription = 'Enhanced by echogan_jax, research use'
  result.BodyPartExamined = 'HEART'
  what = ''.join(f', {name} {text}' for name, text in said.items())
  guess = clip.timing == 'default' and len(clip.times) > 1
  result.DerivationDescription = (
    f'Enhanced by echogan_jax {echogan_jax.__version__}{what}; content is '
    'partly generated; research only, not for diagnostic use'
    f'{"; frame rate unknown, 30 per second assumed" if guess else ""}'
  )
  result.ContentQualification = 'RESEARCH'
  result.SyntheticData = 'YES'
  _remember_loss(result, clip)
  _note(result, said)


def _remember_loss(result: pydicom.Dataset, clip: Clip) -> None:
  """Lossy once is lossy for ever, whichever attribute remembers it."""
  ratios = headers.several(result, 'LossyImageCompressionRatio')
  lost = clip.lossy or any(ratio and ratio > 1 for ratio in ratios)
  lost = lost or 'LossyImageCompressionMethod' in result
  result.LossyImageCompression = '01' if lost else '00'


def _note(result: pydicom.Dataset, said: Mapping[str, str]) -> None:
  """Write a private block for machines, declared to identify nobody."""
  block = result.private_block(GROUP, CREATOR, create=True)
  block.add_new(_SOFTWARE, 'LO', echogan_jax.__version__)
  for name, text in said.items():
    block.add_new(MODEL[name], 'LO', text)
  item = pydicom.Dataset()
  item.PrivateGroupReference = GROUP
  item.PrivateCreatorReference = CREATOR
  item.BlockIdentifyingInformationStatus = 'SAFE'
  result.PrivateDataElementCharacteristicsSequence = [item]


def equip(
  result: pydicom.Dataset, identity: Literal['remove', 'keep'], blanked: bool
) -> None:
  """Name this software as what processed, and what de-identified, the clip."""
  tools = [_tool(codes.DCM.ProcessingEquipment, 'enhanced the frames')]
  if identity == 'remove':
    seen = 'cleared' if blanked else 'not searched for text'
    said = f'header rebuilt by allow-list; pixels {seen}'
    tools.append(_tool(codes.DCM.DeIdentifyingEquipment, said))
  result.ContributingEquipmentSequence = tools


def _tool(purpose: pydicom.sr.coding.Code, done: str) -> pydicom.Dataset:
  item = pydicom.Dataset()
  item.Manufacturer = 'echogan_jax'
  item.SoftwareVersions = echogan_jax.__version__
  item.ContributionDescription = done
  item.PurposeOfReferenceCodeSequence = [deidentify.code(purpose)]
  return item


def refer(
  result: pydicom.Dataset,
  source: pydicom.Dataset,
  identity: Literal['remove', 'keep'],
) -> None:
  """Name the source; `result` holds its pseudonymous UID until now."""
  kind, instance = (uid(source, f'SOP{x}UID') for x in ('Class', 'Instance'))
  if not (kind.is_valid and instance.is_valid):
    return
  item = pydicom.Dataset()
  item.ReferencedSOPClassUID = kind
  item.ReferencedSOPInstanceUID = (
    instance if identity == 'keep' else result.SOPInstanceUID
  )
  item.SpatialLocationsPreserved = 'YES'
  item.PurposeOfReferenceCodeSequence = [
    deidentify.code(codes.DCM.SourceImageForImageProcessingOperation)
  ]
  result.SourceImageSequence = [item]


def identify(
  result: pydicom.Dataset, source: pydicom.Dataset, key: bytes, sha256: str
) -> None:
  """Draw the UIDs from what was made of what: the same again, the same UID.

  A series of the source becomes one series, for each model.

  Args:
    result: complete but for its UIDs; changed in place.
    source: its header.
    key: secret of the UIDs.
    sha256: of the frames.
  """
  how = result.private_block(GROUP, CREATOR)
  how = [how[at].value for at in range(1, 6) if at in how]
  series = f'{result.StudyInstanceUID} {result.SeriesInstanceUID} {how}'
  clip = f'{uid(source, "SOPInstanceUID")} {series} {sha256}'
  result.SeriesInstanceUID = deidentify.uid(key, series)
  result.SOPInstanceUID = deidentify.uid(key, clip)
