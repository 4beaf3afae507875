"""The whole walk, by networks whose answers are known; and the verb."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from echogan_jax import evaluate
from echogan_jax.command import BadInput
from echogan_jax.data import manifest
from echogan_jax.data.sector import Sector, crop
from echogan_jax.evaluation import case as cases
from echogan_jax.evaluation import compare, judge, walk
from echogan_jax.metrics.features import Extractor
from echogan_jax.training.enhancer import Enhancer

SIZE = 32
FINDINGS = ('effusion', 'thrombus', 'lvh')
FEW = walk.Limits(perceptual=4, clips=2, probes=2, pictures=3)


def read(frames, inside):
  """Call bright pixels wall and dark ones cavity; see what is bright."""
  drawn = np.where(frames > 60, 2, 1).astype(np.uint8) * inside
  chance = frames.mean((1, 2), where=inside) / 255
  return judge.Drawn(drawn, np.stack([chance] * 3, 1).astype(np.float64))


def moments(frames, inside):
  x = np.where(inside, frames, 0).astype(np.float64)
  return np.stack([x.mean((1, 2)), x.std((1, 2))], 1)


@pytest.fixture(autouse=True)
def without_networks(monkeypatch):
  """Replace the judge and leave the large networks out."""
  stand_in = judge.Judge('ab12', SIZE, FINDINGS, {}, read)
  monkeypatch.setattr(walk.judges, 'load', lambda path: stand_in)

  def missing():
    raise BadInput('VGG16 is not there')

  monkeypatch.setattr(compare.features, 'vgg16', missing)
  monkeypatch.setattr(compare.vgg, 'find', missing)


def model(translate, **generators):
  return Enhancer(translate, generators, SIZE, 7, config_sha256='ef56')


def same(frames, inside):
  return frames


def oracle(source):
  """Return what gives the truth of every frame, of whole clips too."""
  poor, good = [], []
  for row in cases.rows(source, 'low'):
    place = Sector.from_json(row['sector'])
    with np.load(source.truth / f'{row["source_sha256"]}.npz') as file:
      poor += list(crop(file['degraded'], place, source.size))
      good += list(crop(file['clean'], place, source.size))
  known = np.stack(poor).astype(np.float64)

  def translate(frames, inside):
    # the nearest, for files are compressed; what is good already stays
    away = [np.abs(known - frame).mean((1, 2)) for frame in frames]
    return np.stack(
      [
        good[far.argmin()] if far.min() < 2 else frame
        for far, frame in zip(away, frames, strict=True)
      ]
    )

  return translate


@pytest.fixture(scope='module')
def source(ingested, phantom):
  return cases.source(ingested, 'train', SIZE, str(phantom))


def walked(network, source, limits=FEW, **files):
  found = walk.walk(network, source, limits=limits, **files)
  json.dumps(found.summary, allow_nan=False)
  metrics = found.summary['metrics']
  assert not set(metrics) & set(found.summary['skipped'])
  return found, metrics


def test_a_perfect_network(source):
  found, metrics = walked(model(oracle(source)), source)
  np.testing.assert_allclose(metrics['recovery'], 1)
  np.testing.assert_allclose(metrics['ssim/enhanced'], 1, atol=1e-5)
  assert metrics['invention'] < 1e-9 and metrics['mae/enhanced'] == 0
  assert 'psnr/enhanced' in found.summary['skipped']
  targets = [name for name in metrics if name.endswith('/target')]
  assert {'dice_lv/target', 'flicker/target'} <= set(targets)
  for name in targets:
    enhanced = name.replace('target', 'enhanced')
    if enhanced in metrics:
      np.testing.assert_allclose(metrics[enhanced], metrics[name], rtol=1e-9)
  for entry in found.summary['findings'].values():
    assert entry['prevalence']['enhanced'] == entry['prevalence']['target']
    assert entry.get('added') == entry.get('added_target')
  assert metrics['idempotence'] == 0


def test_doing_nothing(source):
  found, metrics = walked(model(same), source)
  for name in (
    'recovery',
    'invention',
    'difference',
    'idempotence',
    'identity',
  ):
    assert metrics[name] == 0, name
  np.testing.assert_allclose(metrics['survival'], 1)
  for name, change in found.summary['changes'].items():
    assert change['mean'] == change['low'] == change['high'] == 0, name
  assert found.summary['patients'] == 8 and found.summary['images'] == 8
  assert 'degrade' in found.summary['skipped']['steganography']
  assert 'VGG16 is not there' in found.summary['skipped']['lpips']
  assert 'VGG16 is not there' in found.summary['skipped']['fd_vgg16']
  assert '--inception' in found.summary['skipped']['fid']
  assert 'too few' in found.summary['skipped']['fd_radiomics']
  assert len(found.shown) == 3 and len(found.clips) == 2
  assert found.expected == (1.0, 4, 'ef56', 7)


def test_without_truth(ingested):
  found, metrics = walked(
    model(lambda f, inside: f // 2), cases.source(ingested, 'train', SIZE)
  )
  assert metrics['difference'] > 0 and 'recovery' not in metrics
  skipped = found.summary['skipped']
  for name in ('recovery', 'psnr', 'lpips', 'gcnr', 'dice_lv', 'findings'):
    assert '--truth' in skipped[name], name
  assert 'whole clips' in skipped['flicker']
  assert {one.kind for one in found.shown} == {'typical'}
  assert not found.clips and not found.summary['findings']


def test_truth_of_one_patient_is_enough(source, tmp_path):
  name = f'{cases.rows(source, "low")[3]["source_sha256"]}.npz'
  (tmp_path / name).write_bytes((source.truth / name).read_bytes())
  found, metrics = walked(model(same), source._replace(truth=tmp_path))
  assert metrics['recovery'] == 0
  assert 'recovery' not in found.summary['intervals']
  assert 'psnr' not in found.summary['changes']
  assert len(found.clips) == 1


def test_drawings_beside_and_findings_of_one(annotated, source, tmp_path):
  """Those that are drawn by hand have verdicts, but nothing to hold them to."""
  name = f'{cases.rows(source, "low")[3]["source_sha256"]}.npz'
  (tmp_path / name).write_bytes((source.truth / name).read_bytes())
  mixed = cases.Source(annotated, 'train', SIZE, tmp_path)
  found, metrics = walked(model(same), mixed)
  assert metrics['recovery'] == 0 and metrics['dice_lv/input'] > 0
  assert found.summary['findings']['lvh']['prevalence']['truth'] in (0, 1)


@pytest.mark.parametrize('name', ['perceptual', 'clips', 'probes', 'pictures'])
def test_each_part_can_be_left_out(source, name):
  limits = FEW._replace(**{name: 0})
  if name == 'perceptual':
    limits = limits._replace(probes=0)
  found, metrics = walked(model(same), source, limits)
  assert metrics['recovery'] == 0
  assert ('idempotence' in metrics) == bool(limits.probes)
  assert bool(found.clips) == bool(limits.clips)
  assert len(found.shown) == limits.pictures


def test_fewer_frames_are_of_more_patients(source):
  found, _ = walked(model(same), source, FEW._replace(frames=3))
  assert found.summary['images'] == found.summary['patients'] == 3


@pytest.fixture
def hospital(tmp_path, ingested):
  """Return a writer of data sets: patients' numbers of frames by domain.

  The first `shared` patients of both domains are the same.
  """
  sector = manifest.read(ingested)[0]

  def write(low, high, shared=0):
    rows, random = [], np.random.default_rng(0)
    for domain, counts in (('low', low), ('high', high)):
      owners = [n for n, count in enumerate(counts) for _ in range(count)]
      for at, owner in enumerate(owners):
        path = f'frames/{domain}_{at}.png'
        grey = random.integers(0, 255, (SIZE, SIZE), np.uint8)
        (tmp_path / 'frames').mkdir(exist_ok=True)
        Image.fromarray(grey).save(tmp_path / path)
        name = f'{domain}{owner}'
        ids = dict.fromkeys(('study', 'clip', 'source_sha256'), name)
        ids['patient'] = f'both{owner}' if owner < shared else name
        about = {'path': path, 'domain': domain, 'split': 'test'}
        rows.append({**sector, **ids, **about, 'frame': str(at)})
    with (tmp_path / 'manifest.csv').open('w', newline='') as file:
      table = csv.DictWriter(file, list(sector))
      table.writeheader()
      table.writerows(rows)
    return cases.source(tmp_path, 'test', SIZE)

  return write


@pytest.fixture
def simple(monkeypatch):
  """Describe pictures by two numbers, under a network's name."""
  made = Extractor('vgg16', 'cd34', moments)
  monkeypatch.setattr(compare.features, 'vgg16', lambda: made)


def test_distances_between_sets(hospital, simple):
  found, metrics = walked(
    model(same), hospital([5] * 3, [5] * 4), FEW._replace(perceptual=12)
  )
  for name in ('fd_vgg16', 'kd_vgg16', 'precision_vgg16', 'fd_radiomics'):
    assert metrics[f'{name}/enhanced'] == metrics[f'{name}/input'], name
    assert f'{name}/floor' in metrics
    low, high = found.summary['intervals'][f'{name}/enhanced']
    assert low <= metrics[f'{name}/enhanced'] <= high
  assert {'checkerboard_db/high', 'high_frequency_db/high'} <= set(metrics)
  about = {'sha256': 'cd34', 'images': 10}
  assert found.summary['extractors']['vgg16'] == about


@pytest.mark.parametrize('low, high', [([12], [5] * 4), ([7, 1], [5] * 4)])
def test_one_patient_is_no_set(hospital, simple, low, high):
  limits = FEW._replace(perceptual=12)
  found, metrics = walked(model(same), hospital(low, high), limits)
  assert 'difference' in metrics
  for name in ('fd_vgg16', 'precision_vgg16'):
    assert f'{name}/enhanced' in metrics or name in found.summary['skipped']


def test_no_patient_is_compared_with_himself(hospital, simple):
  limits = FEW._replace(perceptual=12)
  counts = [5] * 4, [5] * 7
  apart, _ = walked(model(same), hospital(*counts), limits)
  # of seven good patients four are left, and a half of them has ten frames
  shared, metrics = walked(model(same), hospital(*counts, shared=3), limits)
  images = [f.summary['extractors']['vgg16']['images'] for f in (apart, shared)]
  assert images == [12, 10]
  assert 'identity' in metrics


def test_all_good_frames_of_poor_patients_are_none(hospital, simple):
  found, _ = walked(model(same), hospital([2] * 4, [5] * 4, shared=4))
  assert found.summary['extractors']['vgg16']['images'] == 0
  assert 'too few' in found.summary['skipped']['fd_vgg16']
  assert 'high-quality' in found.summary['skipped']['identity']


def test_no_high_quality_frames(hospital, simple):
  found, metrics = walked(model(same), hospital([2] * 4, []))
  assert 'too few' in found.summary['skipped']['fd_vgg16']
  assert 'high-quality' in found.summary['skipped']['identity']
  assert metrics['idempotence'] == 0


def test_a_broken_file_is_told_of_before_the_work(source, tmp_path):
  path = tmp_path / 'inception.npz'
  path.write_text('hello')

  def translate(frames, inside):
    raise AssertionError('frames were enhanced in vain')

  with pytest.raises(BadInput, match='inception'):
    walk.walk(model(translate), source, limits=FEW, inception=str(path))


def verb(data, output, *more):
  evaluate.main(
    [
      *('--method=input', f'--data={data}', '--split=train'),
      *(f'--output={output}', '--perceptual=4', '--probes=2', *more),
    ]
  )


def strict(text):
  def refuse(constant):
    raise ValueError(constant)

  return json.loads(text, parse_constant=refuse)


def table(path):
  with path.open(newline='') as file:
    return list(csv.DictReader(file))


def test_what_the_verb_writes(ingested, phantom, tmp_path, capsys):
  verb(ingested, tmp_path, f'--truth={phantom}', '--clips=2', '--pictures=3')
  found = strict((tmp_path / 'metrics.json').read_text())
  assert found['method'] == 'input' and found['split'] == 'train'
  assert found['metrics']['recovery'] == 0
  rows = table(tmp_path / 'per_image.csv')
  assert len(rows) == found['images'] == 8
  for name in ('psnr/input', 'recovery', 'gcnr/enhanced', 'dice_lv/target'):
    values = [float(row[name]) for row in rows if row[name]]
    np.testing.assert_allclose(found['metrics'][name], np.mean(values))
  assert len(table(tmp_path / 'per_clip.csv')) == len(found['clips']) == 2
  for listed in (*found['pictures'], *found['clips']):
    assert (tmp_path / listed['file']).exists()
    assert (tmp_path / listed.get('maps', listed['file'])).exists()
  assert (tmp_path / 'expectation.json').exists()
  text = capsys.readouterr().out
  assert '8 frames of 8 patients (train), input' in text
  assert 'recovery' in text and 'fid ' in text and 'skipped: needs' in text


def test_a_second_evaluation_replaces_the_first(ingested, phantom, tmp_path):
  verb(ingested, tmp_path, f'--truth={phantom}', '--clips=1', '--pictures=3')
  verb(ingested, tmp_path, '--pictures=1')
  assert not (tmp_path / 'per_clip.csv').exists()
  kept = [p.name for p in (tmp_path / 'pictures').iterdir()]
  assert kept == ['typical_0.png']
  assert not list(tmp_path.glob('clips/*'))
  assert not [p for p in (tmp_path / 'maps').iterdir() if p.name != kept[0]]


def test_other_peoples_pictures_are_left_alone(ingested, tmp_path):
  output, mine = tmp_path / 'out', []
  for name in ('out/pictures/wedding.jpg', 'out/wedding.jpg', 'wedding.jpg'):
    mine.append(tmp_path / name)
    mine[-1].parent.mkdir(parents=True, exist_ok=True)
    mine[-1].write_text('precious')
  ours = output / 'pictures' / 'worst_0.png'
  ours.write_text('old')
  listed = [
    {'file': '../wedding.jpg', 'maps': str(tmp_path / 'wedding.jpg')},
    {'file': 'pictures', 'maps': ''},
    {'file': 'pictures/worst_0.png'},
  ]
  before = {'pictures': listed, 'clips': []}
  (output / 'metrics.json').write_text(json.dumps(before))
  verb(ingested, output, '--pictures=1')
  assert [path.read_text() for path in mine] == ['precious'] * 3
  assert not ours.exists()


@pytest.mark.parametrize(
  'text', ['', '[]', '3', '{"pictures": 3}', '{"pictures": [3], "clips": [""]}']
)
def test_a_damaged_earlier_evaluation_is_replaced(tmp_path, text):
  (tmp_path / 'metrics.json').write_text(text)
  evaluate._forget(tmp_path)
  evaluate._forget(tmp_path / 'none')
  assert (tmp_path / 'metrics.json').read_text() == text


@pytest.mark.parametrize(
  'flags, message',
  [
    ((), 'name --workdir, or --method and --output'),
    (('--method=tv',), 'name --workdir, or --method and --output'),
    (('--method=tv', '--output=o', '--workdir=w'), 'name one of them'),
    (('--method=tv', '--output=o', '--frames=0'), 'from 1 on'),
    (('--method=tv', '--output=o', '--clips=-1'), 'from 0 on'),
    (('--method=magic', '--output=o'), 'magic'),
    (('--method=tv', '--output=o', '--judge=none.npz'), '--judge'),
    (('--method=tv', '--output=o', '--split=test'), 'no low-quality frames'),
  ],
)
def test_flags_that_do_not_fit(ingested, tmp_path, monkeypatch, flags, message):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(BadInput, match=message):
    evaluate.main([f'--data={ingested}', '--split=train', *flags])
