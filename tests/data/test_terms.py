"""Of values with defined terms nothing else gets through."""

import pydicom
import pytest

from echogan_jax.data import deidentify


@pytest.mark.parametrize(
  ('kinds', 'kept'),
  [
    (
      ['DERIVED', 'PRIMARY', 'TEE', '0011'],
      ['DERIVED', 'PRIMARY', 'TEE', '0011'],
    ),
    (
      ['ORIGINAL', 'PRIMARY', 'MUSTER', '0001'],
      ['ORIGINAL', 'PRIMARY', '', '0001'],
    ),
    (['ORIGINAL', 'PRIMARY', 'ABDOM/RAD'], ['ORIGINAL', 'PRIMARY', '']),
    (['ORIGINAL', 'PRIMARY', 'TTE', 'ERIKA'], ['ORIGINAL', 'PRIMARY', 'TTE']),
    (['ORIGINAL', 'PRIMARY'], ['ORIGINAL', 'PRIMARY']),
    (['MUSTER', 'PRIMARY', 'TTE'], None),
    (['ORIGINAL'], None),
  ],
)
def test_kinds_of_images(kinds, kept):
  source = pydicom.Dataset()
  source.PatientName = 'Muster^Mary'  # as in PRIMARY
  source.add_new('ImageType', 'LO', kinds)
  assert deidentify.header(source, b'k').get('ImageType') == kept


@pytest.mark.parametrize('transducer', ['SECTOR_PHASED', 'MUSTER'])
def test_transducers(transducer):
  source = pydicom.Dataset()
  source.TransducerType = transducer
  kept = deidentify.header(source, b'k').get('TransducerType')
  assert kept == (None if transducer == 'MUSTER' else transducer)
