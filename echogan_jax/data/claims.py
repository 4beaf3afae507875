"""What a DICOM header claims of its pixels, each claim checked."""

import pydicom

from echogan_jax.data import header as headers
from echogan_jax.data import part10
from echogan_jax.data.codestream import Layout
from echogan_jax.data.header import value
from echogan_jax.data.reject import Rejected

_GREY = ('MONOCHROME1', 'MONOCHROME2', 'PALETTE COLOR')
_COLOUR = ('RGB', 'YBR_FULL', 'YBR_FULL_422', 'YBR_ICT', 'YBR_RCT')
_FILM = ('YBR_PARTIAL_420', 'YBR_PARTIAL_422')
_PALETTE = [f'{c}PaletteColorLookupTableDescriptor' for c in ('Red', 'Green')]


def read(header: pydicom.Dataset) -> tuple[Layout, list[str]]:
  """Return the claimed layout after checking each claim, and notes.

  Raises:
    Rejected: `bad_geometry`.
  """

  def whole(keyword: str, default: int = 0) -> int:
    found = headers.number(header, keyword)
    return default if found is None else int(found)

  rows, columns = whole('Rows'), whole('Columns')
  if rows < 1 or columns < 1:
    raise Rejected('bad_geometry', 'Rows or Columns is missing or 0')
  samples, bits = whole('SamplesPerPixel', 1), whole('BitsAllocated')
  stored = whole('BitsStored', bits)
  depth = bits in (8, 16) and 1 <= stored <= bits
  if not depth or samples not in (1, 3) or whole('PixelRepresentation'):
    detail = 'unsupported depth: not 1 or 3 unsigned samples of 8 or 16 bits'
    raise Rejected('bad_geometry', detail)
  photometric = _photometric(header, samples)
  notes, high = [], whole('HighBit', stored - 1) + 1
  if not stored <= high <= bits:
    notes, high = ['HighBit does not fit: ignored'], stored
  elif high > stored:
    notes.append('pixels in the upper bits are moved down')
  if stored > 8 and photometric != _GREY[2]:
    notes.append('more than 8 bits are scaled to 8')
  planar = whole('PlanarConfiguration', -1) if samples == 3 else 0
  if planar not in (0, 1):
    notes.append('no PlanarConfiguration: colour by pixel assumed')
    planar = 0
  count = _count(header)
  return (
    Layout(
      count, rows, columns, samples, bits, stored, high, photometric, planar
    ),
    notes,
  )


def _photometric(header: pydicom.Dataset, samples: int) -> str:
  found = value(header, 'PhotometricInterpretation')
  if found is None:
    raise Rejected('bad_geometry', 'PhotometricInterpretation is missing')
  film = part10.is_video(header.file_meta.TransferSyntaxUID)
  colours = _COLOUR + (_FILM if film else ())
  if found not in (_GREY if samples == 1 else colours):
    detail = 'PhotometricInterpretation is unknown or does not fit'
    raise Rejected('bad_geometry', detail)
  if found == _GREY[2] and not all(value(header, p) for p in _PALETTE):
    raise Rejected('bad_geometry', 'the palette is missing')
  return found


def _count(header: pydicom.Dataset) -> int:
  try:
    single = value(header, 'SOPClassUID') in part10.SINGLE
    count = float(header.get('NumberOfFrames', single) or 0)
  except Exception:  # noqa: BLE001  pydicom's own, by the kind of nonsense
    count = -1.0
  if count < 0 or count % 1:
    raise Rejected('bad_geometry', 'NumberOfFrames is not a positive integer')
  return int(count)
