"""The judge that evaluation reads pictures with; the package ships one.

  python -m experiments.judge --output=judge.npz

makes it again from nothing. It is no system that `main` trains.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Return how the shipped judge was made."""
  return ConfigDict(
    {
      # patients to learn from, whom nothing else may use
      'patients': 768,
      'seed': 918_273,
      'frames': 4,  # of each, over one beat
      'size': 96,  # pixels to a side, a multiple of 2^downs
      # patients to tell how well it reads
      'held_out': {'patients': 128, 'seed': 918_274, 'size': 128},
      'model': {'features': 16, 'downs': 4},
      'train': {
        'seed': 0,  # of weights, order and augmentation
        'steps': 1500,
        'batch_size': 16,
        'learning_rate': 3e-3,
      },
    }
  )
