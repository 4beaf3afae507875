"""Read ultrasound DICOM into a `Clip`; say in one line why not.

Everything the header claims is checked against limits and against the file
before a byte is allocated for pixels. Frames are decoded one at a time.
"""

import pathlib
from typing import BinaryIO

import numpy as np
import pydicom
from pydicom.pixels import get_decoder

from echogan_jax.data import header as headers
from echogan_jax.data import pixels
from echogan_jax.data.clip import Clip
from echogan_jax.data.header import quiet, value
from echogan_jax.data.reject import Rejected

_ULTRASOUND = (
  '1.2.840.10008.5.1.4.1.1.3.1',  # multi-frame
  '1.2.840.10008.5.1.4.1.1.6.1',
  '1.2.840.10008.5.1.4.1.1.3',  # both retired in 1994, still in archives
  '1.2.840.10008.5.1.4.1.1.6',
)
_SINGLE = (_ULTRASOUND[1], _ULTRASOUND[3])
_NATIVE = ('1.2.840.10008.1.2', '1.2.840.10008.1.2.1', '1.2.840.10008.1.2.2')
_JPEG = '1.2.840.10008.1.2.4.'
_LOSSY = {
  _JPEG + '50': 'ISO_10918_1',
  _JPEG + '51': 'ISO_10918_1',
  _JPEG + '81': 'ISO_14495_1',
  _JPEG + '91': 'ISO_15444_1',
}
_GREY = ('MONOCHROME1', 'MONOCHROME2', 'PALETTE COLOR')
_COLOUR = ('RGB', 'YBR_FULL', 'YBR_FULL_422', 'YBR_ICT', 'YBR_RCT')
_PALETTE = [f'{c}PaletteColorLookupTableDescriptor' for c in ('Red', 'Green')]
_MAGIC = {
  b'\x89PNG': 'PNG',
  b'\xff\xd8\xff': 'JPEG',
  b'GIF8': 'GIF',
  b'RIFF': 'AVI',
  b'PK\x03\x04': 'ZIP',
  b'%PDF': 'PDF',
}
_TINT = 30  # grey levels between channels from which a pixel has a colour
_MOVING = 2.0  # grey levels of standard deviation over time
_FLOW = 0.005  # share of moving coloured pixels: 0.000 grey, 0.035 Doppler


def read(path: pathlib.Path, *, recover: bool = False) -> Clip:
  """Return the clip that an ultrasound DICOM file holds.

  A colour clip whose channels agree within 4 grey levels in every pixel of
  every frame comes back grey.

  Args:
    path: a Part 10 file.
    recover: keep the intact frames of a cut or damaged file.

  Raises:
    Rejected: the file cannot be used; `reason` says why.
  """
  with quiet(), path.open('rb') as file:
    header = _header(file)
    _admit(header)
    claimed = _layout(header, file)
    claimed.check()
    layout, size = pixels.measure(file, header, claimed)
    layout.check()
    notes = []
    present = layout.count
    if present < max(claimed.count, 1):
      detail = f'{present} of {claimed.count} frames are present'
      if not (recover and present):
        raise Rejected('truncated', detail)
    if present != claimed.count:
      notes.append(f'{claimed.count} frames claimed, {present} found')
    if layout.photometric != claimed.photometric:
      notes.append(f'{claimed.photometric} is {layout.photometric}')
    frames, kept = pixels.decode(file, header, layout, recover=recover)
  if len(kept) < present:
    notes.append(f'{present - len(kept)} frames cannot be decoded')
  times, timing, odd = headers.times(header, present)
  found, stale = headers.areas(header, layout.columns, layout.rows)
  main = next(iter(headers.tissue(found)), None)
  return Clip(
    frames=frames,
    times=times[kept] - times[kept[0]],
    timing=timing,
    mm_per_pixel=main.mm_per_pixel if main else None,
    region=main.box if main else None,
    header=header,
    lossy=_mark_loss(header, layout.frame * present / size),
    notes=(*notes, *odd, *stale),
  )


def _header(file: BinaryIO) -> pydicom.Dataset:
  """Read up to the pixel data and leave the file positioned there."""
  start = file.read(132)
  if not start:
    raise Rejected('not_dicom', 'empty file (0 bytes)')
  if start[128:] != b'DICM':
    kinds = [k for magic, k in _MAGIC.items() if start.startswith(magic)]
    kinds += ['MP4'] if start[4:8] == b'ftyp' else []
    like = f': looks like {kinds[0]}' if kinds else ': no Part 10 header'
    raise Rejected('not_dicom', f'not a DICOM file{like}')
  file.seek(0)
  try:
    header = pydicom.dcmread(file, stop_before_pixels=True)
  except Exception as error:  # noqa: BLE001  anything, from a hostile file
    raise Rejected('truncated', 'the header cannot be parsed') from error
  if not headers.uid(header.file_meta, 'TransferSyntaxUID'):
    raise Rejected('truncated', 'the header is cut: no transfer syntax')
  return header


def _admit(header: pydicom.Dataset) -> None:
  """Raise Rejected unless this is ultrasound in a decodable encoding."""
  kind = headers.uid(header, 'SOPClassUID')
  kind = kind or headers.uid(header.file_meta, 'MediaStorageSOPClassUID')
  modality = value(header, 'Modality', 'US')
  if kind not in ('', *_ULTRASOUND) or modality not in ('US', 'IVUS'):
    what = _name(kind) if kind not in _ULTRASOUND else 'another modality'
    raise Rejected('not_ultrasound', f'{what}, not ultrasound')
  syntax = header.file_meta.TransferSyntaxUID
  if syntax in _NATIVE:
    return
  advice = 'export the clip as MP4 or uncompressed DICOM'
  try:
    if syntax.is_compressed and get_decoder(syntax).is_available:
      return
    if syntax[-2:] in ('57', '70'):
      advice = 'run `pip install python-gdcm`'
  except (NotImplementedError, ValueError):
    pass  # unknown to pydicom
  detail = f'{_name(syntax)} cannot be decoded here: {advice}'
  raise Rejected('unsupported_transfer_syntax', detail)


def _name(uid: pydicom.uid.UID) -> str:
  """Return what the standard calls a UID; one of a vendor stays untold."""
  return (
    uid.name if uid.name != uid else 'an unknown kind of object or encoding'
  )


def _layout(header: pydicom.Dataset, file: BinaryIO) -> pixels.Layout:
  """Return the claimed layout of the pixels after checking each claim."""

  def whole(keyword: str, default: int = 0) -> int:
    found = headers.number(header, keyword)
    return default if found is None else int(found)

  rows, columns = whole('Rows'), whole('Columns')
  if not file.read(1):
    reason = 'no_pixels' if rows else 'truncated'
    raise Rejected(reason, 'the file ends before the pixel data')
  file.seek(-1, 1)
  if rows < 1 or columns < 1:
    raise Rejected('bad_geometry', 'Rows or Columns is missing or 0')
  samples, bits = whole('SamplesPerPixel', 1), whole('BitsAllocated')
  stored = whole('BitsStored', bits)
  depth = bits in (8, 16) and 1 <= stored <= bits
  if not depth or samples not in (1, 3) or whole('PixelRepresentation'):
    detail = 'not 1 or 3 unsigned samples of 8 or 16 bits'
    raise Rejected('bad_geometry', detail)
  photometric = value(header, 'PhotometricInterpretation', '')
  if photometric not in (_GREY if samples == 1 else _COLOUR):
    detail = 'PhotometricInterpretation is unknown or does not fit'
    raise Rejected('bad_geometry', detail)
  if photometric == _GREY[2] and not all(value(header, p) for p in _PALETTE):
    raise Rejected('bad_geometry', 'the palette is missing')
  return pixels.Layout(
    _count(header), rows, columns, samples, bits, stored, photometric
  )


def _count(header: pydicom.Dataset) -> int:
  try:
    single = value(header, 'SOPClassUID') in _SINGLE
    count = float(header.get('NumberOfFrames', single) or 0)
  except Exception:  # noqa: BLE001  pydicom's own, by the kind of nonsense
    count = -1.0
  if count < 0 or count % 1:
    raise Rejected('bad_geometry', 'NumberOfFrames is not a positive integer')
  return int(count)


def _mark_loss(header: pydicom.Dataset, ratio: float) -> bool:
  """Say in the header if the pixels are lossy, now that they are decoded."""
  method = _LOSSY.get(header.file_meta.TransferSyntaxUID)
  if method:
    header.LossyImageCompression = '01'
  if method and value(header, 'LossyImageCompressionRatio') is None:
    header.LossyImageCompressionRatio = f'{ratio:.2f}'
  if method and value(header, 'LossyImageCompressionMethod') is None:
    header.LossyImageCompressionMethod = method
  return value(header, 'LossyImageCompression') == '01'


def check_tissue(clip: Clip, *, allow_colour: bool = False) -> None:
  """Raise Rejected unless a clip is one moving or still 2D tissue image.

  Headers are not enough: a colour Doppler clip may declare tissue only, so
  colour that moves is looked for in the pixels, too. A tinted greyscale map
  counts as colour.

  Args:
    clip: any clip.
    allow_colour: admit colour Doppler.

  Raises:
    Rejected: `spectral_or_m_mode`, `colour_flow` or `several_views`.
  """
  height, width = clip.frames.shape[1:3]
  says = headers.modes(clip.header, width, height) if clip.header else []
  share = moving_colour(clip)
  if share > _FLOW:
    detail = f'{100 * share:.1f} % of the pixels have moving colour'
    says.append(('colour_flow', detail))
  for reason, detail in says:
    if not (allow_colour and reason == 'colour_flow'):
      raise Rejected(reason, detail)


def moving_colour(clip: Clip) -> float:
  """Return the share of the region's pixels that are coloured and move.

  In a single frame every coloured pixel counts.
  """
  if clip.frames.ndim == 3:
    return 0.0
  height, width = clip.frames.shape[1:3]
  x0, y0, x1, y1 = clip.region or (0, 0, width - 1, height - 1)
  window = clip.frames[:, y0 : y1 + 1, x0 : x1 + 1]
  tinted = np.zeros(window.shape[1:3], bool)
  first = second = np.zeros(window.shape[1:3], np.float32)
  for frame in window:
    tinted |= pixels.spread(frame) > _TINT
    level = frame.mean(axis=-1, dtype=np.float32)
    first, second = first + level, second + level**2
  count = len(window)
  variance = second / count - (first / count) ** 2
  moves = (variance > _MOVING**2) | (count == 1)
  return float((tinted & moves).mean())
