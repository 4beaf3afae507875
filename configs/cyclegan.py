"""CycleGAN (Zhu et al. 2017, arXiv 1703.10593), low <-> high quality echo.

  python -m echogan_jax.main --config=configs/cyclegan.py \
    --workdir=runs/cyclegan --config.data.dir=DATA

DATA is what `python -m echogan_jax.ingest` wrote. This is the whole config:
every other file in this folder imports it and changes what differs, and any
key can be set on the command line, as --config.losses.ssim.weight=5.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Return the full CycleGAN at 256 pixels."""
  return ConfigDict(
    {
      'seed': 0,
      'data': {
        'dir': '',
        'size': 256,
        'batch_size': 1,
        # serialised records held to shuffle; at least the data set, or less
        # where it does not fit into memory (30 kB a record at 256 pixels)
        'shuffle_buffer': 20_000,
        'augment': {
          # enlarge by this, then crop at random: the paper's 286 -> 256
          'zoom': 1.117,
          # the paper flips; in echo, left and right are diagnoses
          'flip': False,
        },
      },
      'model': {
        'generator': 'resnet',  # resnet | unet
        'discriminator': 'patch70',  # patch70 | seed142
        'dtype': 'float32',  # float32 | bfloat16 (parameters stay float32)
        'resnet': {'features': 64, 'blocks': 9},  # 6 blocks below 256 pixels
        'unet': {'features': 64, 'downs': 8},  # 7 downs for 128 pixels
        'patch70': {'features': 64, 'spectral': False},
        # the seed's: called 70x70 by its author, sees 142x142
        'seed142': {'features': 64, 'spectral': False},
      },
      'losses': {
        'adversarial': {'weight': 1.0},
        'cycle': {'weight': 10.0},
        'identity': {'weight': 5.0},
        # StillGAN uses 5 for the structure form; 'full' is plain SSIM
        'ssim': {
          'weight': 0.0,
          'form': 'structure',
          'window': 11,
          'sigma': 1.5,
        },
        # StillGAN uses 1; patches per side, data.size must divide by them
        'illumination': {'weight': 0.0, 'grids': (8, 4)},
      },
      'state': {
        'learning_rate': 2e-4,
        'beta1': 0.5,
        'beta2': 0.999,
        # then linearly to zero: 100 + 100 epochs of about 1000 images
        'constant_steps': 100_000,
        'decay_steps': 100_000,
        'ema_halflife_images': 10_000.0,
        'pool_size': 50,
      },
      'parallel': {'mode': 'single'},  # single | pmap | sharded
      'train': {
        'num_steps': 200_000,
        'log_every': 50,
        'samples': 4,  # images of each domain in a picture
        # the seed's list
        'sample_at': (100, 200, 500, 1000, 5000, 10_000, 20_000, 30_000),
        # see training/log.py
        'alarms': {'judge': 0.01, 'correlation': 0.0, 'deviation': 0.02},
      },
      'checkpoint': {'every': 1000, 'keep': 3},
      'eval': {'pictures': 8},
      # commands run around the training, as `verb --flag=…`; {workdir} is
      # replaced. Empty here: see quickstart.py
      'before': (),
      'after': (),
    }
  )
