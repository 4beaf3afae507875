"""The laptop scale: simulated patients at 64 pixels, every system shrunk.

Widths and budgets shrink alike for all; what tells the systems apart stays.
Numbers of this scale rank nothing at 256 pixels: they show what moves.
"""

PREPARE = (
  'echogan_jax.phantom --output={phantom} --studies=120 --seed=1 --size=96 '
  '--frames=8',
  'echogan_jax.ingest --input={phantom} --output={data} --size=64 '
  '--frames_per_clip=4 --validation=0.1 --test=0.2 --annotations={phantom}',
)

OVERRIDES = {
  'data.size': 64,
  'data.batch_size': 1,
  'data.augment.zoom': 1.0,
  'model.resnet.features': 16,
  'model.resnet.blocks': 6,
  'model.unet.features': 16,
  'model.unet.downs': 5,
  'model.resunet.features': 16,
  'model.resunet.downs': 4,
  'model.casnet.features': 8,
  'model.casnet.blocks': 3,
  'model.casnet.downs': 4,
  'model.seed_resnet.features': 16,
  'model.seed_resnet.blocks': 6,
  'model.patch70.features': 16,
  'model.seed142.features': 16,
  'model.unet_gan.features': 16,
  'model.unet_gan.downs': 4,
  'model.task.features': 8,
  'model.task.downs': 4,
  'model.patches.count': 64,
  'model.patches.features': 64,
  'losses.grades.warmup_steps': 200,
  'losses.task.warmup_steps': 200,
  'losses.task_features.warmup_steps': 200,
  'losses.cutmix.warmup_steps': 400,
  'state.constant_steps': 1000,
  'state.decay_steps': 1000,
  'state.ema_halflife_images': 200.0,
  'train.num_steps': 2000,
  # a comparison shows a collapse, it does not end at it
  'train.alarms.collapse': 'warn',
  'train.alarms.inversion': 'warn',
  'checkpoint.every': 500,
  'eval.every': 0,
}
