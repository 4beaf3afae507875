"""What each metric means, for people: its direction, unit and sentence."""

from typing import NamedTuple


class Fact(NamedTuple):
  """How to read a metric.

  Attributes:
    better: `higher`, `lower`, `zero` (nearest to it), or '' where neither is.
    unit: '' for none.
    meaning: what it asks, in plain words.
  """

  better: str
  unit: str
  meaning: str


FACTS = {
  'recovery': Fact('higher', '', 'share of the degradation undone; 1 is all'),
  'invention': Fact('lower', '', 'change beside that, per unit of degradation'),
  'psnr': Fact('higher', 'dB', 'nearness to the truth, pixel by pixel'),
  'ssim': Fact('higher', '', 'likeness of structure to the truth'),
  'mae': Fact('lower', 'grey levels', 'mean distance to the truth'),
  'lpips': Fact('lower', '', 'distance to the truth as VGG16 sees it'),
  'frc': Fact('higher', 'cycles/pixel', 'finest detail shared with the truth'),
  'correlation': Fact('', '', 'of output and input; 1 changed nothing'),
  'difference': Fact('', 'grey levels', 'mean change of a pixel'),
  'gcnr': Fact(
    'higher', '', 'how well cavity and myocardium can be told apart'
  ),
  'cnr': Fact('higher', '', 'contrast over noise, linear and signed'),
  'cnr_db': Fact('higher', 'dB', 'contrast over noise, as zea has it'),
  'cnr_septum': Fact('higher', '', 'cnr of the septum, as DehazingEcho has it'),
  'gcnr_septum': Fact('higher', '', 'gcnr of the septum, the same'),
  'speckle_snr': Fact('', '', 'mean over deviation in tissue; 1.91 is speckle'),
  'ks_septum': Fact('lower', '', 'change of the septum, which should stay'),
  'ks_cavity': Fact('higher', '', 'change of the cavity, where haze lies'),
  'dehazing_score': Fact('higher', '', 'DehazingEcho2025, clipped form'),
  'dehazing_score_linear': Fact('higher', '', 'DehazingEcho2025, linear form'),
  'checkerboard_db': Fact('lower', 'dB', 'a grid of 2 or 4 pixels'),
  'high_frequency_db': Fact('', 'dB', 'finest noise; near the truth is best'),
  'inversion': Fact('lower', '', 'share of the picture turned dark for bright'),
  'flicker': Fact('lower', 'grey levels', 'change that no motion explains'),
  'flicker_added': Fact('', 'grey levels', 'change over time of the change'),
  'fid': Fact('lower', '', 'distance to good pictures, InceptionV3 of 2015'),
  'kid': Fact('lower', '', 'the same without bias'),
  'is': Fact('', '', 'inception score: uninformative for echo'),
  'precision': Fact('higher', '', 'results that look like good pictures'),
  'recall': Fact('higher', '', 'good pictures that results look like'),
  'fd_vgg16': Fact('lower', '', 'distance to good pictures, VGG16'),
  'kd_vgg16': Fact('lower', '', 'the same without bias'),
  'precision_vgg16': Fact('higher', '', 'precision, by VGG16'),
  'recall_vgg16': Fact('higher', '', 'recall, by VGG16'),
  'fd_radiomics': Fact('lower', '', 'distance to good pictures, texture'),
  'dice_lv': Fact('higher', '', 'left ventricle found where it is'),
  'dice_myocardium': Fact('higher', '', 'its wall found where it is'),
  'dice_la': Fact('higher', '', 'left atrium found where it is'),
  'asd_lv': Fact('lower', 'mm', 'distance of its outline from the true one'),
  'asd_myocardium': Fact('lower', 'mm', 'the same of the wall'),
  'asd_la': Fact('lower', 'mm', 'the same of the left atrium'),
  'asd_lv_224': Fact(
    'lower', 'pixels', 'as asd_lv, of a frame of 224, as DehazingEcho counts'
  ),
  'lv_area_bias': Fact('zero', '%', 'of the left ventricle, over the beat'),
  'ef_bias': Fact('zero', 'points', 'of the ejection fraction'),
  'ef_error': Fact('lower', 'points', 'distance of the ejection fraction'),
  'effusion_added': Fact('lower', '', 'effusions seen where none is'),
  'effusion_removed': Fact('lower', '', 'effusions there and not seen'),
  'thrombus_added': Fact('lower', '', 'thrombi seen where none is'),
  'thrombus_removed': Fact('lower', '', 'thrombi there and not seen'),
  'lvh_added': Fact('lower', '', 'thick walls seen where none is'),
  'lvh_removed': Fact('lower', '', 'thick walls there and not seen'),
  'survival': Fact('higher', '', 'of a small structure put in; 1 is whole'),
  'idempotence': Fact('lower', 'grey levels', 'change by enhancing twice'),
  'identity': Fact('lower', 'grey levels', 'change of good pictures'),
  'steganography': Fact(
    'lower', '', 'by how much the way back amplifies slight noise'
  ),
  'steganography_8_bit': Fact('lower', '', 'the same of rounding'),
}
_TISSUES = {
  'lv': 'left ventricle',
  'myocardium': 'wall of the left ventricle',
  'la': 'left atrium',
  'rv': 'right ventricle',
  'ra': 'right atrium',
}
for _name, _tissue in _TISSUES.items():
  for _metric in ('recovery', 'invention'):
    _whole = FACTS[_metric]
    _meaning = f'the same of the {_tissue}'
    FACTS[f'{_metric}_{_name}'] = _whole._replace(meaning=_meaning)
