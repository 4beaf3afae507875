import io
import shutil

import numpy as np
import pytest
from PIL import Image

from echogan_jax.command import BadInput
from echogan_jax.data import builder, manifest, sector

COUNTS = {('train', 'low'): 3, ('train', 'high'): 2, ('test', 'low'): 1}


def contents(folder):
  found = [path for path in folder.rglob('*') if path.is_file()]
  return {str(p.relative_to(folder)): p.read_bytes() for p in found}


@pytest.fixture(scope='module')
def data(curated):
  folder = curated(COUNTS)
  builder.build(folder)
  return folder


def test_splits_are_those_that_have_frames(data):
  splits = builder.load(data).info.splits
  counts = {name: split.num_examples for name, split in splits.items()}
  assert counts == {'train_low': 3, 'train_high': 2, 'test_low': 1}


def test_read_back_equals_the_files(data):
  rows = {row['path']: row for row in manifest.read(data)}
  loaded = builder.load(data).as_dataset('train_low').as_numpy_iterator()
  seen = set()
  for example in loaded:
    path = f'frames/train/low/low{example["frame"]}_0.png'
    stored = np.asarray(Image.open(data / path))
    np.testing.assert_array_equal(example['image'][..., 0], stored)
    fan = sector.Sector.from_json(rows[path]['sector'])
    mask = sector.crop_mask(fan, 32) * 255
    np.testing.assert_array_equal(example['mask'][..., 0], mask)
    assert example['patient'].decode() == rows[path]['patient']
    assert example['lvh'] == int(rows[path]['lvh'])
    assert example['lv_size'] == builder.UNKNOWN
    seen.add(path)
  assert len(seen) == 3


def test_examples_are_usable_without_tfds(data):
  (key, example), *others = builder.examples(data, 'train_high')
  assert len(others) == 1
  assert key == 'frames/train/high/high0_0.png'
  assert Image.open(io.BytesIO(example['mask'])).size == (32, 32)


def test_same_manifest_same_bytes_and_no_second_build(data, tmp_path):
  before = contents(data / 'tfds')
  stamps = {p: p.stat().st_mtime_ns for p in (data / 'tfds').rglob('*')}
  builder.build(data)
  assert stamps == {p: p.stat().st_mtime_ns for p in stamps}
  copy = shutil.copytree(data, tmp_path / 'copy')
  shutil.rmtree(copy / 'tfds')
  builder.build(copy)
  assert contents(copy / 'tfds') == before


def test_a_changed_manifest_is_stale_until_built(data, tmp_path):
  copy = shutil.copytree(data, tmp_path / 'copy')
  lines = (copy / 'manifest.csv').read_text().splitlines(keepends=True)
  (copy / 'manifest.csv').write_text(''.join(lines[:-1]))
  with pytest.raises(BadInput, match='echogan_jax.ingest'):
    builder.load(copy)
  builder.build(copy)
  assert 'test_low' not in builder.load(copy).info.splits


def test_annotations_are_features_where_there_are_any(data, curated, capfd):
  there = curated(COUNTS, annotated=2)
  builder.build(there)
  assert capfd.readouterr() == ('', '')
  assert not {'anatomy', 'target'} & set(builder.load(data).info.features)
  seen = 0
  for example in builder.load(there).as_dataset('train_low'):
    tissue, target = (example[k].numpy() for k in ('anatomy', 'target'))
    image, number = example['image'].numpy(), int(example['frame'])
    if number < 2:
      np.testing.assert_array_equal(image, 40 * tissue + number)
      np.testing.assert_array_equal(target, 255 - image)
    else:
      assert (tissue.min(), target.max()) == (255, 0)
      assert tissue.shape == target.shape == image.shape
    seen += 1
  assert seen == 3


def test_one_kind_of_annotation(curated):
  folder = curated({('train', 'low'): 2}, annotated=1)
  shutil.rmtree(folder / 'targets')
  builder.build(folder)
  features = set(builder.load(folder).info.features)
  assert 'anatomy' in features
  assert 'target' not in features


def test_added_annotations_are_stale_until_built(data, tmp_path):
  copy = shutil.copytree(data, tmp_path / 'copy')
  path = copy / 'anatomy' / 'train' / 'low' / 'low0_0.png'
  path.parent.mkdir(parents=True)
  Image.fromarray(np.full((32, 32), 3, np.uint8)).save(path)
  (copy / 'annotations.csv').write_text('path,sha256\na,b\n')
  with pytest.raises(BadInput, match='echogan_jax.ingest'):
    builder.load(copy)
  builder.build(copy)
  levels = [
    int(example['anatomy'].numpy().max())
    for example in builder.load(copy).as_dataset('train_low')
  ]
  assert sorted(levels) == [3, 255, 255]


def test_building_prints_nothing(curated, capfd):
  builder.build(curated({('train', 'low'): 1}))
  assert capfd.readouterr() == ('', '')


def test_no_manifest(tmp_path):
  with pytest.raises(BadInput, match='echogan_jax.ingest'):
    builder.build(tmp_path)
