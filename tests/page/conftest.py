"""A made-up workdir with everything the report can show."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

SIZE = 48
PATIENTS = [f'{number:08x}' for number in range(0xA1B2, 0xA1B2 + 10)]


@pytest.fixture
def full(tmp_path):
  """Return a workdir after training, evaluation, sweep and enhancement."""
  return fill(tmp_path / 'run')


@pytest.fixture
def bare(tmp_path):
  """Return a workdir that has only been trained."""
  return train(tmp_path / 'bare')


@pytest.fixture
def made_up():
  """Return the parts below, for tests to change."""
  return SimpleNamespace(
    write=write, evaluation=evaluation, limits=limits, rate=rate, sweep=sweep
  )


def train(workdir, evaluated=False):
  workdir.mkdir()
  (workdir / 'config.json').write_text(json.dumps({'name': 'cyclegan'}))
  lines = []
  for step in range(100, 1100, 100):
    line = {'step': step, 'loss/judge_high': 25 / step, 'loss/cycle': 90 / step}
    if evaluated and step % 500 == 0:
      line |= {'eval/recovery': step / 2000, 'eval/psnr/enhanced': step / 50}
    lines.append(json.dumps(line))
  (workdir / 'metrics.jsonl').write_text('\n'.join(lines) + '\n')
  return workdir


def fill(workdir):
  train(workdir, evaluated=True)
  folder = workdir / 'eval' / 'test'
  for name in ('pictures', 'maps', 'clips'):
    (folder / name).mkdir(parents=True)
  write(folder, evaluation())
  for number, kind in enumerate(('worst', 'typical', 'best')):
    Image.fromarray(strip(number)).save(folder / f'pictures/{kind}_0.png')
    Image.fromarray(strip(number)[..., ::-1]).save(folder / f'maps/{kind}.png')
  frames = [Image.fromarray(strip(n)) for n in range(6)]
  options = {'save_all': True, 'append_images': frames[1:], 'duration': 50}
  frames[0].save(folder / 'clips/0.gif', **options)
  (workdir / 'enhanced').mkdir()
  frames[0].save(workdir / 'enhanced/first.gif', **options)
  (workdir / 'samples').mkdir()
  frames[0].save(workdir / 'samples/step_100.png')
  _tables(folder)
  (workdir / 'eval/hallucination.json').write_text(json.dumps(sweep()))
  return workdir


def write(folder, found):
  folder.mkdir(parents=True, exist_ok=True)
  (folder / 'metrics.json').write_text(json.dumps(found))


def strip(number):
  """Draw a beating ring in speckle: hazy, less hazy, clean; side by side."""
  random = np.random.default_rng(number)
  y, x = (np.mgrid[:SIZE, :SIZE] - SIZE / 2) / (SIZE / 2)
  ring = np.exp(-(((np.hypot(x, y) - 0.5 - 0.02 * number) / 0.15) ** 2))
  clean = 200 * ring * random.rayleigh(0.7, ring.shape)
  columns = [clean * a + 90 * (1 - a) for a in (0.4, 0.7, 1.0)]
  return np.clip(np.concatenate(columns, axis=1), 0, 255).astype(np.uint8)


def evaluation():
  """Return a metrics.json: it helps against the truth and harms no one."""
  before = {'psnr': 19.8, 'ssim': 0.61, 'gcnr': 0.62, 'dice_lv': 0.71}
  after = {'psnr': 22.9, 'ssim': 0.72, 'gcnr': 0.71, 'dice_lv': 0.83}
  values = {f'{name}/input': value for name, value in before.items()}
  values |= {f'{name}/enhanced': value for name, value in after.items()}
  values |= {'gcnr/target': 0.9, 'dice_lv/target': 0.94}
  values |= {'fd_vgg16/input': 9.1, 'fd_vgg16/enhanced': 4.2}
  values |= {'fd_vgg16/floor': 0.6, 'checkerboard_db/high': 0.2}
  values |= {'checkerboard_db/input': 0.2, 'checkerboard_db/enhanced': 0.9}
  values |= {'recovery': 0.38, 'invention': 0.41, 'inversion': 0.002}
  values |= {'ef_bias/input': -8.1, 'ef_bias': -2.0, 'survival': 0.81}
  return {
    'step': 1000,
    'split': 'test',
    'images': 240,
    'studies': 12,
    'patients': len(PATIENTS),
    'method': 'cyclegan',
    'config_sha256': 'c' * 64,
    'judge_sha256': 'd' * 64,
    'metrics': values,
    'changes': {
      name: {
        'mean': after[name] - before[name],
        'low': 0.7 * (after[name] - before[name]),
        'high': 1.3 * (after[name] - before[name]),
        'patients': len(PATIENTS),
      }
      for name in before
    },
    'intervals': {
      'recovery': [0.35, 0.41],
      'invention': [0.38, 0.44],
      'inversion': [0.001, 0.004],
      'fd_vgg16/enhanced': [3.7, 4.9],
    },
    'agreement': {
      'ef': {
        'input': limits(-8.1, 9.0),
        'enhanced': limits(-2.0, 6.0),
        'target': limits(0.2, 4.0),
      },
      'lv_area': {'input': limits(-9, 8), 'enhanced': limits(-3, 6)},
    },
    'findings': {
      'effusion': {
        'prevalence': {
          'truth': 0.5,
          'input': 0.35,
          'enhanced': 0.47,
          'target': 0.5,
        },
        'added': rate(2, 40, 0.01, 0.17),
        'removed': rate(3, 40, 0.03, 0.2),
        'added_target': rate(1, 40, 0.0, 0.13),
        'removed_target': rate(1, 40, 0.0, 0.13),
      }
    },
    'extractors': {'vgg16': {'sha256': 'e' * 64, 'images': 240}},
    'skipped': {'fid': 'no InceptionV3 weights: give --inception'},
    'pictures': [
      {
        'file': f'pictures/{kind}_0.png',
        'columns': ['input', 'enhanced', 'truth'],
        'maps': f'maps/{kind}.png',
        'map_columns': ['recovery', 'invention', 'resolution'],
        'kind': kind,
        'patient': PATIENTS[0],
        'values': {'psnr/input': 19.0, 'psnr/enhanced': 21.3},
      }
      for kind in ('best', 'worst', 'typical')
    ],
    'clips': [
      {
        'file': 'clips/0.gif',
        'columns': ['input', 'enhanced', 'truth'],
        'patient': PATIENTS[1],
      }
    ],
    'seconds': 73.0,
  }


def limits(bias, half):
  return {
    'bias': bias,
    'low': bias - half,
    'high': bias + half,
    'count': 40,
  }


def rate(cases, count, low, high):
  return {'value': cases / count, 'low': low, 'high': high, 'count': count}


def sweep():
  """Return a hallucination.json: one recipe paints, the other does not."""
  points = [
    {
      'share': share,
      'seed': seed,
      'variant': variant,
      'prevalence': 0.5 + slope * (share - 0.5) + 0.02 * seed,
      'added': 0.1,
      'removed': 0.2,
    }
    for variant, slope in (('cyclegan', 0.6), ('cut', 0.05))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    for seed in (0, 1)
  ]
  return {
    'finding': 'effusion',
    'points': points,
    'slopes': {
      'cyclegan': {'mean': 0.6, 'low': 0.5, 'high': 0.7},
      'cut': {'mean': 0.05, 'low': -0.04, 'high': 0.13},
    },
    'truth': 0.5,
  }


def _tables(folder):
  random = np.random.default_rng(0)
  images, clips = [], []
  for number, patient in enumerate(PATIENTS):
    who = {'patient': patient, 'clip': f'{patient}-0'}
    for _ in range(3):
      psnr, dice = random.normal((19.8, 0.71), (1.5, 0.05))
      images.append(
        who
        | {'psnr/input': psnr, 'psnr/enhanced': psnr + random.normal(3, 1)}
        | {
          'dice_lv/input': dice,
          'dice_lv/enhanced': dice + (0.12 if number else -0.2),
        }
      )
    truth = random.uniform(30, 70)
    read = {'input': random.normal(-8, 5), 'enhanced': random.normal(-2, 3)}
    errors = {f'ef/{kind}': truth + error for kind, error in read.items()}
    clips.append(who | {'ef/truth': truth} | errors)
  for name, rows in (('per_image', images), ('per_clip', clips)):
    with (folder / f'{name}.csv').open('w', newline='') as file:
      table = csv.DictWriter(file, list(rows[0]))
      table.writeheader()
      table.writerows(rows)
