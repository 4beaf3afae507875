"""Not only running but learning: a short run against known truth."""

import json

import numpy as np

from configs import quickstart
from echogan_jax import evaluate, ingest, phantom
from echogan_jax.training import log, loop

# measured with seeds 0 and 1: +3.1 and +3.2 dB, +0.054 and +0.067
LEAST_PSNR, LEAST_SSIM = 1.5, 0.03


def test_a_short_run_beats_its_input_on_patients_it_never_saw(tmp_path):
  made, data, workdir = (tmp_path / name for name in ('made', 'data', 'run'))
  phantom.main(
    [f'--output={made}', '--studies=96', '--seed=1', '--size=64', '--frames=3']
  )
  ingest.main(
    [
      f'--input={made}',
      f'--output={data}',
      '--size=48',
      '--frames_per_clip=2',
      '--validation=0.1',
      '--test=0.25',
    ]
  )
  config = quickstart.get_config()
  config.data.update(dir=str(data), size=48)
  config.model.resnet.update(features=12, blocks=3)
  config.model.patch70.features = 12
  config.state.update(constant_steps=300, decay_steps=300)
  config.train.update(num_steps=600, log_every=10, sample_at=())
  config.eval.update(every=600, truth=str(made), frames=4, perceptual=2)
  loop.train(config, workdir)
  evaluate.main(
    [f'--workdir={workdir}', f'--data={data}', f'--truth={made / "truth"}']
  )
  found = json.loads((workdir / 'eval' / 'test' / 'metrics.json').read_text())
  values = found['metrics']
  assert values['psnr/enhanced'] > values['psnr/input'] + LEAST_PSNR
  assert values['ssim/enhanced'] > values['ssim/input'] + LEAST_SSIM
  assert values['recovery'] > 0.4 and values['invention'] < 1.0
  assert values['dice_lv/enhanced'] > values['dice_lv/input']
  lines = log.read(workdir)
  validated = [line for line in lines if 'eval/recovery' in line]
  assert [line['step'] for line in validated] == [600]
  assert validated[0]['eval/recovery'] > 0.2
  first, last = (
    np.mean([line['loss/cycle'] for line in part])
    for part in (lines[:5], lines[-5:])
  )
  assert last < first / 2
  assert not any('alarms' in line for line in lines)
