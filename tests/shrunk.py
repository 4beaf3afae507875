"""CycleGAN shrunk, for whole programs: `--config=tests/shrunk.py`."""

import tiny


def get_config():
  return tiny.config('')
