"""What the standard asks of an ultrasound multi-frame object.

The tables come with highdicom; the conditions, which they do not hold, are
those of PS3.3 that a derived clip can meet.
"""

import functools
import json
import pathlib

import highdicom
from pydicom.datadict import tag_for_keyword

_CONDITIONS = {
  'PlanarConfiguration': lambda there: there.get('SamplesPerPixel') == 3,
  'FrameIncrementPointer': lambda there: 'NumberOfFrames' in there,
  'FrameTime': lambda there: _points(there, 0x00181063),
  'FrameTimeVector': lambda there: _points(there, 0x00181065),
  'LossyImageCompression': lambda there: True,
  'PatientOrientation': lambda there: True,
  'SpecificCharacterSet': lambda there: True,
  'PixelData': lambda there: True,
  'NumberOfStages': lambda there: 'StageNumber' in there,
  'NumberOfViewsInStage': lambda there: 'ViewNumber' in there,
  'CodeValue': lambda item: 'CodeMeaning' in item,
  'CodingSchemeDesignator': lambda item: 'CodeValue' in item,
}
_CODES = ('CodeValue', 'CodingSchemeDesignator')


def _points(there, tag: int) -> bool:
  return there.get('FrameIncrementPointer') == tag


@functools.cache
def _modules() -> list[tuple[str, bool, list[dict]]]:
  """Return each module with whether it is mandatory, and its attributes."""
  tables = pathlib.Path(highdicom.__file__).parent / '_standard'
  modules, attributes = (
    json.loads((tables / f'{name}.json').read_text())
    for name in ('iod_module_map', 'module_attribute_map')
  )
  return [
    (
      one['key'],
      one['usage'] == 'M',
      # those of overlays and curves have no one tag; nor have we any
      [a for a in attributes[one['key']] if tag_for_keyword(a['keyword'])],
    )
    for one in modules['ultrasound-multi-frame-image']
  ]


def absent(there) -> list[tuple[str, ...]]:
  """Return the attributes that are missing, or empty where they may not be.

  Those of type 1 and 2 of the mandatory modules and of the others that the
  object has a part of, those of type 1C and 2C where their condition holds,
  in every item of the sequences that are there.
  """
  modules = _modules()
  always = {one['keyword'] for _, must, some in modules if must for one in some}
  found = []
  for module, mandatory, attributes in modules:
    top = {one['keyword'] for one in attributes if not one['path']} - always
    if not (mandatory or any(keyword in there for keyword in top)):
      continue
    for one in attributes:
      items = [there]
      for step in one['path']:
        items = [i for item in items for i in item.get(step) or ()]
      found += [
        (module, *one['path'], one['keyword'])
        for item in items
        if _lacks(item, one)
      ]
  return found


def _lacks(item, one: dict) -> bool:
  keyword, kind = one['keyword'], one['type']
  asked = kind in ('1', '2')
  if kind in ('1C', '2C') and (not one['path'] or keyword in _CODES):
    asked = keyword in _CONDITIONS and _CONDITIONS[keyword](item)
  if keyword not in item:
    return asked
  return kind[0] == '1' and item[keyword].is_empty
