"""The whole job on a laptop: phantom, ingest, train, evaluate, enhance, report.

  python -m echogan_jax.main --config=configs/quickstart.py \
    --workdir=runs/quickstart

Small pictures and small networks, on simulated patients, in minutes on two
CPU cores. It shows that every part works, not what the method can do.
"""

from ml_collections import ConfigDict

from configs import cyclegan


def get_config() -> ConfigDict:
  """Return CycleGAN at 64 pixels with its data made on the spot."""
  config = cyclegan.get_config()
  config.data.update(dir='{workdir}/data', size=64, batch_size=1)
  config.data.augment.zoom = 1.0
  config.model.resnet.update(features=16, blocks=6)
  config.model.patch70.features = 16
  # without it, speckle is drawn anew: SSIM gains 0.03 instead of 0.16
  config.losses.ssim.weight = 5.0
  config.state.update(
    constant_steps=1000,
    decay_steps=1000,
    ema_halflife_images=200.0,
  )
  config.train.update(
    num_steps=2000, log_every=20, sample_at=(100, 200, 500, 1000)
  )
  config.checkpoint.every = 500
  config.eval.update(every=1000, truth='{workdir}/phantom')
  config.before = (
    'phantom --output={workdir}/phantom --studies=120 --seed=1 --size=96 '
    '--frames=8',
    # clinical clips give one frame each; here patients are few
    'ingest --input={workdir}/phantom --output={workdir}/data --size=64 '
    '--frames_per_clip=4 --validation=0.1 --test=0.2',
    # one more patient, whom nothing below learns from
    'phantom --output={workdir}/unseen --studies=1 --seed=2 --size=128 '
    '--frames=24 --low_fraction=1',
  )
  config.after = (
    'evaluate --workdir={workdir} --data={workdir}/data '
    '--truth={workdir}/phantom --split=test',
    'enhance --workdir={workdir} --input={workdir}/unseen/studies '
    '--output={workdir}/enhanced/clip.dcm',
    'enhance --workdir={workdir} --input={workdir}/unseen/studies '
    '--output={workdir}/enhanced/clip.gif --side_by_side',
    'report --workdir={workdir}',
  )
  return config
