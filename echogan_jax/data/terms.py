"""Values with defined terms: nothing else that was typed in is kept."""

import re

import pydicom

from echogan_jax.data import header as headers
from echogan_jax.data.header import value

# PS3.3 C.8.5.6.1.10 and C.8.5.6.1.1
_TRANSDUCERS = (
  *('SECTOR_PHASED', 'SECTOR_MECH', 'SECTOR_ANNULAR', 'LINEAR'),
  *('CURVED LINEAR', 'SINGLE CRYSTAL', 'SPLIT XTAL CWD', 'VECTOR_PHASED'),
  *('IV_PHASED', 'IV_ROT XTAL', 'IV_ROT MIRROR', 'ENDOCAV_PA', 'ENDOCAV_MECH'),
  *('ENDOCAV_CLA', 'ENDOCAV_AA', 'ENDOCAV_LINEAR'),
)
_KINDS = {'ORIGINAL', 'DERIVED', 'PRIMARY', 'SECONDARY'}
_VIEWS = (
  *('ABDOMINAL', 'BREAST', 'CHEST', 'ENDOCAVITARY', 'ENDORECTAL'),
  *('ENDOVAGINAL', 'EPICARDIAL', 'FETAL HEART', 'GYNECOLOGY', 'INTRACARDIAC'),
  *('INTRAOPERATIVE', 'INTRAVASCULAR', 'MUSCULOSKELETAL', 'NEONATAL HEAD'),
  *('OBSTETRICAL', 'OPHTHALMIC', 'PEDIATRIC', 'PELVIC', 'RETROPERITONEAL'),
  *('SCROTAL', 'SMALL PARTS', 'TEE', 'THYROID', 'TRANSCRANIAL', 'TTE'),
  'VASCULAR',
)
_MODE = re.compile('[0-9A-F]{4}')


def settle(source: pydicom.Dataset, result: pydicom.Dataset) -> None:
  """Leave in `result` no transducer and no kind of image but known ones.

  The kind is taken anew: a name may lie within a term, as Mary in PRIMARY.

  Args:
    source: the header that `result` was copied from.
    result: changed in place.
  """
  if value(result, 'TransducerType') not in (None, *_TRANSDUCERS):
    del result.TransducerType
  result.pop('ImageType', None)
  kinds = [str(kind) for kind in headers.several(source, 'ImageType')]
  if len(kinds) > 1 and _KINDS.issuperset(kinds[:2]):
    view = [kind if kind in _VIEWS else '' for kind in kinds[2:3]]
    modes = [kind for kind in kinds[3:4] if _MODE.fullmatch(kind)]
    result.ImageType = [*kinds[:2], *view, *modes]
