"""Ablations as data: well-formed, printed, run, resumed and gathered."""

import json
import pathlib
import shlex
import subprocess
import sys

import pytest

from echogan_jax.command import BadInput
from echogan_jax.data import manifest
from echogan_jax.evaluation import case
from echogan_jax.training import recipe
from experiments import hallucination, plan, run, small, table

ROOT = pathlib.Path(__file__).parents[1]
SHIPPED = {path.stem for path in (ROOT / 'configs').glob('*.py')}
KEYS = {'losses.cycle.weight': 3.0}


@pytest.fixture
def toy(monkeypatch, tmp_path):
  """An experiment of two variants on keys that CycleGAN has; its folder."""

  class Toy:
    VARIANTS = {'plain': {}, 'heavy': KEYS}
    SEEDS = (0, 1)

  monkeypatch.setattr(plan, 'load', lambda name: Toy)
  monkeypatch.setattr(small, 'OVERRIDES', {'train.num_steps': 7})
  monkeypatch.chdir(tmp_path)
  return tmp_path / 'runs' / 'toy'


def flag(words, name):
  """Return the value of `--name=value`."""
  (found,) = [w for w in words if w.startswith(f'--{name}=')]
  return found.partition('=')[2]


def finish(one, split='validation', step=None, **metrics):
  """Leave behind what a finished run does."""
  one.source.data.mkdir(parents=True, exist_ok=True)
  (one.source.data / 'manifest.csv').write_text('path\n')
  digest = manifest.fingerprint(one.source.data)
  (one.workdir / 'checkpoints' / '7').mkdir(parents=True, exist_ok=True)
  recipe.write(one.workdir, one.config.to_dict() | {'data_sha256': digest})
  folder = one.workdir / 'eval' / split
  folder.mkdir(parents=True, exist_ok=True)
  found = {'step': 7 if step is None else step, 'metrics': metrics}
  (folder / 'metrics.json').write_text(json.dumps(found))


class Machine:
  """Stands in for the commands: finishes runs, or fails some of them."""

  def __init__(self, output, failing=()):
    self.output, self.failing, self.words = output, failing, []

  def __call__(self, words):
    self.words.append(words)
    if words[2] == 'echogan_jax.main':
      return int(any(f'/{name}/' in words[4] for name in self.failing))
    if words[2] == 'echogan_jax.evaluate':
      workdir, split = flag(words, 'workdir'), flag(words, 'split')
      for one in plan.make('toy', self.output):
        if str(one.workdir) == workdir:
          finish(one, split, **{'psnr/input': 15.0, 'psnr/enhanced': 20.0})
    return 0

  def count(self, verb):
    return sum(words[2] == f'echogan_jax.{verb}' for words in self.words)


def local(monkeypatch, toy, *words, failing=()):
  machine = Machine(toy, failing)
  monkeypatch.setattr(run, 'call', machine)
  run._prepare.cache_clear()
  run.main(['toy', '--local', f'--output={toy}', *words])
  return machine


@pytest.mark.parametrize('name', plan.names())
def test_every_variant_fits_its_config_at_both_scales(name, tmp_path):
  module = plan.load(name)
  assert module.__doc__ and len(module.VARIANTS) > 1
  runs = plan.make(name, tmp_path)  # refuses an unknown key or type
  seeds = getattr(module, 'SEEDS', (0, 1, 2))
  assert len({one.workdir for one in runs}) == len(seeds) * len(module.VARIANTS)
  if all(isinstance(one, plan.Rival) for one in runs):
    return  # nothing is trained
  assert len(seeds) >= 3
  assert {one.config.train.num_steps for one in runs} == {2000}
  recipes = {json.dumps(o.config.to_dict() | {'data': 0}) for o in runs}
  if not hasattr(module, 'PREPARE'):
    assert len(recipes) == len(runs), 'two variants are the same'
    full = plan.make(name, tmp_path, source=plan.Source(tmp_path, None))
    assert all(one.config.train.num_steps > 2000 for one in full)


def test_the_experiments_are_the_ones_agreed():
  assert set(plan.names()) == {
    *('systems', 'losses', 'discriminators', 'generators', 'upsampling'),
    *('pool_ema', 'seed_reproduction', 'hallucination', 'baselines'),
  }


def test_systems_has_every_config_that_is_one():
  others = {'quickstart', 'camus', 'dehazing', 'judge'}
  assert set(plan.load('systems').VARIANTS) == SHIPPED - others


def test_dry_run_prints_what_a_person_would_type(toy, capsys):
  run.main(['toy', '--set', 'losses.identity.weight=0.5', 'data.size=128'])
  lines = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
  verbs = [words[2].removeprefix('echogan_jax.') for words in lines]
  assert verbs == ['phantom', 'ingest', *['main', 'evaluate'] * 4]
  trained = {flag(words, 'workdir') for words in lines[2::2]}
  assert trained == {
    f'runs/toy/{name}/seed_{seed}'
    for name in ('plain', 'heavy')
    for seed in '01'
  }
  for words in lines[2::2]:
    assert words[:4] == [
      *('python', '-m', 'echogan_jax.main', '--config=configs/cyclegan.py')
    ]
    assert flag(words, 'config.losses.identity.weight') == '0.5'
    assert flag(words, 'config.seed') == flag(words, 'workdir')[-1]
    assert flag(words, 'config.data.dir') == 'runs/small/data'
    heavy = '--config.losses.cycle.weight=3.0' in words
    assert heavy == ('heavy' in flag(words, 'workdir'))
  assert flag(lines[3], 'truth') == 'runs/small/phantom'
  assert not (toy / 'table.md').exists()


def test_data_of_ones_own_is_at_full_scale(toy, tmp_path, capsys):
  run.main(['toy', f'--data={tmp_path}', '--variants=heavy', '--seeds=4'])
  train, evaluate = map(shlex.split, capsys.readouterr().out.splitlines())
  assert not any('num_steps' in word for word in train)
  assert flag(train, 'config.data.dir') == str(tmp_path)
  assert not any(word.startswith('--truth') for word in evaluate)


def test_main_takes_the_printed_overrides(toy, capsys):
  """The real parser reads them: it gets as far as the missing data."""
  run.main(
    ['toy', '--variants=heavy', '--seeds=0', f'--output={toy}', '--set']
    + ['losses.illumination.grids=(2, 4)', 'model.dtype=bfloat16']
  )
  lines = capsys.readouterr().out.splitlines()
  (line,) = [x for x in lines if 'echogan_jax.main' in x]
  words = [sys.executable, *shlex.split(line)[1:]]
  found = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
  assert found.returncode == 2
  assert 'runs/small/data does not exist' in found.stderr


def test_local_runs_all_and_a_second_time_nothing(monkeypatch, toy, capsys):
  machine = local(monkeypatch, toy)
  counts = {v: machine.count(v) for v in ('phantom', 'ingest', 'main')}
  assert counts == {'phantom': 1, 'ingest': 1, 'main': 4}
  assert '20.000' in (toy / 'table.md').read_text()
  assert not local(monkeypatch, toy).words
  assert 'heavy seed 1: done' in capsys.readouterr().out
  # another split needs its own evaluation
  assert local(monkeypatch, toy, '--split=test').count('evaluate') == 4


def test_a_half_done_sweep_goes_on(monkeypatch, toy):
  one, two, three, four = plan.make('toy', toy)
  finish(one)
  finish(two, step=3)  # evaluated on the way
  finish(three, split='test')
  four.workdir.mkdir(parents=True)
  machine = local(monkeypatch, toy)
  trained = {flag(w, 'workdir') for w in machine.words if w[2].endswith('main')}
  assert trained == {str(o.workdir) for o in (two, three, four)}


def test_another_config_or_data_is_not_done(toy):
  one = plan.make('toy', toy)[0]
  finish(one)
  assert one.found('validation') == {}
  other = plan.make('toy', toy, settings={'state.pool_size': 0})[0]
  assert other.workdir == one.workdir and other.found('validation') is None
  (one.source.data / 'manifest.csv').write_text('path\nnew\n')
  assert one.found('validation') is None


def test_one_failure_does_not_stop_the_rest(monkeypatch, toy, capsys):
  with pytest.raises(SystemExit) as stopped:
    local(monkeypatch, toy, failing=['heavy'])
  message = str(stopped.value)
  assert 'heavy seed 0: echogan_jax.main ended with status 1' in message
  assert 'plain' not in message
  rows = (toy / 'table.csv').read_text().splitlines()
  (plain,) = [row for row in rows if row.startswith('plain')]
  (heavy,) = [row for row in rows if row.startswith('heavy')]
  assert plain.endswith(',2,') and '20.0' in plain
  assert heavy.endswith(',0,"0 failed, 1 failed"')
  capsys.readouterr()
  local(monkeypatch, toy)  # mended: only what failed is run
  assert 'failed' not in (toy / 'table.md').read_text()


def test_a_failure_to_make_the_data_fails_its_runs_once(monkeypatch, toy):
  calls = []

  def broken(words):
    calls.append(words)
    return 2

  run._prepare.cache_clear()
  monkeypatch.setattr(run, 'call', broken)
  with pytest.raises(SystemExit, match='phantom ended with status 2'):
    run.main(['toy', '--local', f'--output={toy}'])
  assert len(calls) == 1


def test_the_exit_status_is_that_of_the_command():
  assert run.call(('python', '-c', 'raise SystemExit(5)')) == 5


def test_means_and_deviations_over_seeds(toy):
  one, heavy, two, _ = plan.make('toy', toy)
  for made, value in ((one, 20.0), (two, 23.0), (heavy, 18.5)):
    found = {'psnr/input': 15.0, 'psnr/enhanced': value}
    finish(made, **found, **{'gcnr/target': 0.9, 'gcnr/enhanced': 0.8})
    rates = (0.0, 4.0, 2.0, 0.0, 5.0)  # the first after a start is none
    lines = [json.dumps({'step': i, 'pairs_per_second': r})
             for i, r in enumerate(rates)]  # fmt: skip
    (made.workdir / 'speed.jsonl').write_text('\n'.join(lines))
  rows = table.gather(plan.make('toy', toy), 'validation')
  text = table.write(rows, toy, 'title')
  cells = [
    [cell.strip() for cell in line.strip('|').split('|')]
    for line in text.splitlines()[2:]
  ]
  head = cells[0]
  shown = {row[0]: dict(zip(head, row, strict=True)) for row in cells[2:]}
  assert list(shown) == ['(input)', '(truth)', 'plain', 'heavy']
  assert shown['(input)']['psnr'] == '15.000'
  assert shown['(truth)']['gcnr'] == '0.900'
  # 2.1213 is the sample deviation of 20 and 23
  assert shown['plain']['psnr'] == '21.500 ± 2.121'
  assert shown['plain']['seconds_per_step'] == '0.250'
  assert shown['plain']['seeds'] == '2'
  assert shown['heavy']['psnr'] == '18.500'
  assert shown['heavy']['not in it'] == '1 missing'
  raw = (toy / 'table.csv').read_text().splitlines()
  assert raw[0].startswith('variant,psnr,psnr_std,ssim,')
  assert raw[3].startswith('plain,21.5,2.12132')
  assert raw[4].startswith('heavy,18.5,,')


def test_slurm_writes_one_line_and_one_job_per_run(toy, capsys):
  run.main(['toy', '--slurm', '--seeds=0,1,2'])
  folder = pathlib.Path('runs/toy')
  lines = (folder / 'commands.txt').read_text().splitlines()
  array = (folder / 'array.sbatch').read_text()
  assert len(lines) == 6 and '#SBATCH --array=1-6\n' in array
  for line in lines:
    train, evaluate = line.split(' && ')
    assert 'echogan_jax.main' in train and 'echogan_jax.evaluate' in evaluate
  data = (folder / 'data.sbatch').read_text()
  assert data.index('echogan_jax.phantom') < data.index('echogan_jax.ingest')
  out = capsys.readouterr().out
  assert 'sbatch --dependency=afterok:$(sbatch --parsable' in out
  assert 'python -m experiments.run toy --table --seeds=0,1,2' in out


def test_a_job_runs_its_own_line(toy, tmp_path):
  run.main(['toy', '--slurm'])
  folder = pathlib.Path('runs/toy')
  (folder / 'commands.txt').write_text(
    "echo one\necho 'two  2' && echo three\n"
  )
  found = subprocess.run(
    ['bash', folder / 'array.sbatch'],
    env={'SLURM_ARRAY_TASK_ID': '2', 'PATH': '/usr/bin:/bin'},
    capture_output=True,
    text=True,
  )
  assert found.stdout == 'two  2\nthree\n', found.stderr


@pytest.mark.parametrize(
  ('words', 'says'),
  [
    (['lozzes'], "no experiment 'lozzes': choose"),
    (['run'], "no experiment 'run'"),
    (['losses', '--variants=none'], 'no variant none'),
    (['losses', '--seeds=a'], '--seeds a'),
    (['pool_ema', '--set', 'losses.cylce.weight=1'], 'losses.cylce'),
    (['pool_ema', '--set', 'train.num_steps=many'], 'num_steps'),
    (['pool_ema', '--set', 'train.num_steps'], 'KEY=VALUE'),
    (['losses', '--data=/nowhere'], '/nowhere'),
    (['losses', '--truth=/nowhere'], '--data'),
    (['hallucination', '--data=.'], 'its own data'),
  ],
)
def test_bad_names_raise_one_line(words, says, monkeypatch):
  known = {'losses.cycle.weight': 1.0}
  monkeypatch.setattr(small, 'OVERRIDES', known)
  with pytest.raises(BadInput) as refused:
    run.main(words)
  assert says in str(refused.value)


@pytest.mark.parametrize('words', [['lozzes'], ['losses', '--fast']])
def test_bad_usage_is_one_line_and_status_2(words):
  found = subprocess.run(
    [sys.executable, '-m', 'experiments.run', *words],
    cwd=ROOT,
    capture_output=True,
    text=True,
  )
  assert found.returncode == 2
  assert len(found.stderr.splitlines()) == 1, found.stderr


def test_the_sweep_differs_in_the_high_domain_only(tmp_path):
  runs = plan.make('hallucination', tmp_path, seeds=[0])
  lows, highs, joins, ingests, *holdout = zip(
    *(r.source.prepare for r in runs), strict=True
  )
  # and all are judged on the same patients, of whom none is trained on
  assert all(len(set(words)) == 1 for words in holdout)
  (judged,) = {r.source.judged for r in runs}
  assert flag(holdout[1][0], 'output') == str(judged)
  for one in runs:
    assert flag(one.commands('test')[1], 'data') == str(judged)
  assert len(set(lows)) == 1 and 'effusion=0.5' in lows[0]
  shares = [float(words[-1].partition('=')[2]) for words in highs]
  assert shares == [0, 0.25, 0.5, 0.75, 1]
  for words in zip(lows, highs, joins, ingests, strict=True):
    low, high = (flag(one, 'output') for one in words[:2])
    assert words[2][3:5] == (low, high)
    assert flag(words[2], 'output') == flag(words[3], 'input')
  assert len({flag(words, 'output') for words in ingests}) == 5


def test_joined_phantoms_are_ingested_as_one(tmp_path):
  from echogan_jax import ingest, phantom

  folders = []
  for seed, share in ((1, 1), (2, 0)):
    folders.append(tmp_path / f'part_{seed}')
    phantom.main(
      [f'--output={folders[-1]}', '--studies=6', f'--seed={seed}', '--size=64']
      + ['--frames=3', '--workers=1', f'--low_fraction={share}']
    )
  both, data = tmp_path / 'both', tmp_path / 'data'
  for _ in range(2):  # again changes nothing
    hallucination.main([*map(str, folders), f'--output={both}'])
  assert len((both / 'labels.csv').read_text().splitlines()) == 13
  ingest.main(
    [f'--input={both}', f'--output={data}', '--size=32', '--workers=1']
    + ['--validation=0.2', '--test=0.2']
  )
  rows = manifest.read(data)
  assert sorted(row['domain'] for row in rows) == ['high'] * 6 + ['low'] * 6
  assert len((data / 'rejected.csv').read_text().splitlines()) == 1
  truth = case.source(data, 'all', 32, str(both)).truth
  assert all((truth / f'{r["source_sha256"]}.npz').exists() for r in rows)


def judged(one, prevalence, added, removed, split='test'):
  """Leave behind what a finished run of the sweep does."""
  finish(one, split)
  one.source.judged.mkdir(parents=True, exist_ok=True)
  (one.source.judged / 'manifest.csv').write_text('path\n')
  path = one.workdir / 'eval' / split / 'metrics.json'
  rates = {
    name: {'value': value, 'low': 0.0, 'high': 1.0, 'count': 9}
    for name, value in (('added', added), ('removed', removed))
  }
  seen = {'truth': 0.5, 'enhanced': prevalence, 'target': 0.5}
  found = {
    'step': one.config.train.num_steps,
    'data_sha256': manifest.fingerprint(one.source.judged),
    'metrics': {'effusion_added': added},
    'findings': {'effusion': {'prevalence': seen, **rates}},
  }
  path.write_text(json.dumps(found))


def test_the_slope_of_a_sweep_is_over_its_shares(tmp_path):
  runs = plan.make('hallucination', tmp_path, seeds=[0, 1])
  for one in runs[:2]:
    judged(one, 0.3, 0.1, 0.2)
  assert 'three shares' in hallucination.finish(runs, 'test', tmp_path)
  for one in runs:
    share = hallucination._SHARES[one.variant]
    judged(one, 0.2 + 0.5 * share, share / 2, 1 - share)
  assert 'slope 0.50' in hallucination.finish(runs, 'test', tmp_path)
  found = json.loads((tmp_path / 'hallucination.json').read_text())
  assert len(found['points']) == 10 and found['truth'] == 0.5
  slope = found['slopes'][tmp_path.name]
  assert slope['low'] <= slope['mean'] <= slope['high']
  assert abs(slope['mean'] - 0.5) < 1e-9
  # of other data than asked for, nothing counts
  (runs[0].source.judged / 'manifest.csv').write_text('other\n')
  assert 'three shares' in hallucination.finish(runs, 'test', tmp_path)


class Filters(Machine):
  """Stands in for the commands of filters."""

  def __call__(self, words):
    self.words.append(words)
    if words[2] == 'echogan_jax.evaluate':
      place = pathlib.Path(flag(words, 'output'))
      data = pathlib.Path(flag(words, 'data'))
      data.mkdir(parents=True, exist_ok=True)
      (data / 'manifest.csv').write_text('path\n')
      place.mkdir(parents=True, exist_ok=True)
      found = {
        'config_sha256': '',
        'data_sha256': manifest.fingerprint(data),
        'metrics': {'recovery': 0.25, 'psnr/enhanced': 17.0},
      }
      (place / 'metrics.json').write_text(json.dumps(found))
    return 0


def test_filters_run_at_once_and_once(monkeypatch, tmp_path, capsys):
  output = tmp_path / 'runs' / 'baselines'
  words = ['baselines', '--split=test', f'--output={output}']
  run.main([*words, '--dry_run'])
  assert '--method=median' in capsys.readouterr().out and not output.exists()
  counts = []
  for _ in range(2):
    machine = Filters(output)
    monkeypatch.setattr(run, 'call', machine)
    run._prepare.cache_clear()
    run.main(words)
    counts.append(
      sum(one[2] == 'echogan_jax.evaluate' for one in machine.words)
    )
  methods = plan.load('baselines').VARIANTS
  assert counts == [len(methods), 0]
  text = (output / 'table.md').read_text()
  assert '| gamma | 0.250 |' in text and 'seconds_per_step' not in text
