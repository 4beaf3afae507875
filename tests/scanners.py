"""Every real ultrasound file that the reader accepts, cut to a few frames."""

import dataclasses
import pathlib
import tempfile
import zipfile

import deid_data.data
from pydicom.data import get_testdata_file

from echogan_jax.data import dicom

_FOLDER = pathlib.Path(deid_data.data.get_dataset('ultrasounds'))
NAMES = (
  *('GREYSCALE_CINE.zip', 'GREYSCALE_IMAGE.dcm', 'RGB_CINE.zip'),
  *('RGB_IMAGE.dcm', 'ultrasound-multiframe.dcm', 'ExplVR_BigEnd.dcm'),
  *('examples_jpeg2k.dcm', 'examples_palette.dcm', 'examples_rgb_color.dcm'),
  *('examples_ybr_color.dcm', 'JPGLosslessP14SV1_1s_1f_8b.dcm'),
  *('OBXXXX1A.dcm', 'OBXXXX1A_2frame.dcm', 'OBXXXX1A_expb.dcm'),
  *('OBXXXX1A_expb_2frame.dcm', 'OBXXXX1A_rle.dcm', 'OBXXXX1A_rle_2frame.dcm'),
  *('US1_J2KI.dcm', 'US1_J2KR.dcm', 'US1_UNCI.dcm', 'US1_UNCR.dcm'),
  *('color-pl.dcm', 'color-px.dcm', 'color3d_jpeg_baseline.dcm'),
  *('gdcm-US-ALOKA-16.dcm', 'gdcm-US-ALOKA-16_big.dcm'),
)


def clip(name, frames=2):
  """Read a file of `NAMES`, at most so many frames of it."""
  if name.endswith('.zip'):
    with zipfile.ZipFile(_FOLDER / name) as archive:
      with tempfile.TemporaryDirectory() as folder:
        member = archive.extract(name.replace('.zip', '.dcm'), folder)
        return shorten(dicom.read(pathlib.Path(member)), frames)
  path = _FOLDER / name
  if not path.exists():
    path = pathlib.Path(get_testdata_file(name, download=False))
  return shorten(dicom.read(path), frames)


def shorten(whole, frames):
  """Return a clip with its first frames only."""
  return dataclasses.replace(
    whole, frames=whole.frames[:frames].copy(), times=whole.times[:frames]
  )
