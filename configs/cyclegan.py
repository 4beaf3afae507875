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
        # grades, as ('lvh', 'lv_size'), that must be as frequent in both
        # domains: frames are drawn more or less often until they are
        'balance': (),
        # high frames are the low ones' own targets (ingest --annotations)
        'paired': False,
      },
      'model': {
        # resnet | unet | resunet | casnet | seed_resnet
        'generator': 'resnet',
        'discriminator': 'patch70',  # patch70 | seed142 | unet_gan
        'directions': 'both',  # both | enhance (no way back, no cycle)
        'heads': False,  # grade heads on the discriminators
        'conditioned': False,  # discriminators see the anatomy too
        'dtype': 'float32',  # float32 | bfloat16 (parameters stay float32)
        'init': 'normal',  # normal (0, 0.02²) | xavier (CUT's)
        'resnet': {
          'features': 64,
          'blocks': 9,  # 6 below 256 pixels
          # deconv | resize | bicubic | pixel_shuffle | blur | adaptive
          'up': 'deconv',
          'down': 'stride',  # stride | blur
          'down_bias': False,  # PatchNCE sees these biases, norms do not
        },
        'unet': {  # 7 downs for 128 pixels
          'features': 64,
          'downs': 8,
          'skip_every': 1,
          'up': 'deconv',
        },
        'resunet': {'features': 64, 'downs': 8},
        'casnet': {'blocks': 6, 'features': 64, 'downs': 8},
        'seed_resnet': {'features': 64, 'blocks': 9},
        # down: stride | blur (CUT's)
        'patch70': {'features': 64, 'spectral': False, 'down': 'stride'},
        # the seed's: called 70x70 by its author, sees 142x142
        'seed142': {'features': 64, 'spectral': False},
        'unet_gan': {'features': 64, 'downs': 6},  # 5 downs for 128 pixels
        # classes of each grade, for `heads` and `task`; where one has two,
        # any grade above 0 counts as 1
        'levels': {
          'la_enlarged': 2,
          'ra_enlarged': 2,
          'lv_size': 4,
          'rv_size': 4,
          'lvh': 2,
        },
        'task': {'features': 32, 'downs': 5},
        'patches': {
          'taps': ('input', 'down_0', 'down_1', 'block_0', 'block_4'),
          'count': 256,
          'features': 256,
          'dual': False,
          'identity': True,
          'flip': False,
        },
      },
      # a term of weight 0 costs nothing; see losses/ for each
      'losses': {
        'adversarial': {
          'weight': 1.0,
          'objective': 'lsgan',  # lsgan | hinge | bce | wgan
          'judge_weight': 0.5,  # of the discriminators' own loss
        },
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
        # UltraGAN uses 1 and 1
        'laplacian': {'weight': 0.0, 'levels': 3},
        'gaussian': {'weight': 0.0, 'levels': 3},
        # to the target, for data.paired
        'paired': {'weight': 0.0},
        'gradient': {'weight': 0.0, 'form': 'paired'},  # paired | correlation
        # of each round trip, by the discriminators' features or by VGG16's
        'perceptual': {'weight': 0.0},
        'style': {'weight': 0.0},
        'perceptual_vgg16': {'weight': 0.0},
        'style_vgg16': {'weight': 0.0},
        # places and maps are model.patches
        'patchnce': {
          'weight': 0.0,
          'temperature': 0.07,
          'negatives': 'image',  # image | batch
        },
        # by the discriminators' heads, and by the task network
        'grades': {'weight': 0.0, 'warmup_steps': 10_000},
        'task': {
          'weight': 0.0,
          'warmup_steps': 10_000,
          'anatomy': False,  # learns to segment too (ingest --annotations)
        },
        'task_features': {'weight': 0.0, 'warmup_steps': 10_000},
        # the weight is the consistency's; needs the unet_gan discriminator
        'cutmix': {
          'weight': 0.0,
          'augmentation': True,
          'rounds': 'every',  # every | alternate: whole steps on mixtures
          'warmup_steps': 20_000,
        },
      },
      'state': {
        'learning_rate': 2e-4,
        'judge_rate': 1.0,  # the discriminators' share of it
        'task_learning_rate': 2e-4,
        'beta1': 0.5,
        'beta2': 0.999,
        'epsilon': 1e-8,
        # then linearly to zero: 100 + 100 epochs of about 1000 images
        'constant_steps': 100_000,
        'decay_steps': 100_000,
        'steps_per_epoch': 0,  # falls at every step, or once an epoch
        'order': 'together',  # together | judges_first (CUT's)
        'ema_halflife_images': 10_000.0,
        'pool_size': 50,
      },
      'parallel': {
        'mode': 'single',  # single | pmap | sharded
        # in one dispatch, where none but the last is logged or saved; on CPU
        # they go one by one all the same
        'steps_per_call': 1,
        # compute generators twice instead of keeping what backward needs: a
        # third more work for a third of the memory, as 512 pixels may need
        'remat': False,
        # many hosts; empty where Slurm, TPU or JAX_* variables tell
        'coordinator': '',  # HOST:PORT of process 0
        'processes': 1,
        'process': 0,
      },
      'train': {
        'num_steps': 200_000,
        'log_every': 50,
        'samples': 4,  # images of each domain in a picture
        # the seed's list
        'sample_at': (100, 200, 500, 1000, 5000, 10_000, 20_000, 30_000),
        # what to do, and the thresholds: see training/alarm.py
        'alarms': {
          'nonfinite': 'stop',  # stop | skip | warn
          'collapse': 'stop',  # stop | skip | warn
          'inversion': 'stop',  # stop | warn
          'judge': 0.01,
          'correlation': 0.0,
          'deviation': 0.02,
          'after': 1000,  # steps; only nonfinite counts before
        },
        # go on in a workdir that was trained with other values
        'accept_difference': False,
      },
      'checkpoint': {'every': 1000, 'keep': 3},
      # the averaged enhancer on the validation split, as `evaluate` does
      'eval': {
        'every': 5000,  # steps; 0 never
        'truth': '',  # what phantom wrote, where the data are made of it
        'frames': 64,
        'perceptual': 64,  # of them, compared by networks
        'clips': 0,  # whole clips, where their truth is known
        'probes': 0,  # frames that the network is asked about again
      },
      # commands run around the training, as `verb --flag=…`; {workdir} is
      # replaced. Empty here: see quickstart.py
      'before': (),
      'after': (),
    }
  )
