"""`ingest` on what it has seen before: only what changed is opened."""

import json

import pytest
from clinic import contents, run, table, write_clip, write_labels
from PIL import Image

from echogan_jax.command import BadInput
from echogan_jax.data import curate, files, intake


@pytest.fixture
def source(tmp_path):
  """Three patients with one study each."""
  for number in range(3):
    write_clip(tmp_path / 'in' / f'p{number}' / f's{number}' / 'a.dcm', number)
  label(tmp_path / 'in', s0='low', s1='high', s2='low')
  return tmp_path / 'in'


@pytest.fixture
def opened(monkeypatch):
  """Return the clips that curation opens, as it opens them."""
  found, real = [], curate.process

  def process(item, settings):
    found.append(item.files[0])
    return real(item, settings)

  monkeypatch.setattr(curate, 'process', process)
  return found


def label(source, **qualities):
  rows = [(name, q, '1', 'north') for name, q in qualities.items()]
  write_labels(source / 'labels.csv', rows)


def test_nothing_is_opened_twice(source, opened, tmp_path):
  run(source, tmp_path / 'DATA')
  before = contents(tmp_path / 'DATA')
  assert len(opened) == 3
  run(source, tmp_path / 'DATA')
  assert len(opened) == 3
  assert contents(tmp_path / 'DATA') == before


def test_new_clips_and_changed_labels(source, opened, tmp_path):
  run(source, tmp_path / 'DATA')
  opened.clear()
  write_clip(source / 'p7' / 's7' / 'a.dcm', 7)
  label(source, s0='low', s1='low', s2='low', s7='high')
  run(source, tmp_path / 'DATA')
  # one is new, one has changed sides
  assert sorted(opened) == ['p1/s1/a.dcm', 'p7/s7/a.dcm']
  rows = table(tmp_path / 'DATA' / 'manifest.csv')
  assert [row['domain'] for row in rows] == ['low', 'low', 'low', 'high']
  run(source, tmp_path / 'NEW')
  assert rows == table(tmp_path / 'NEW' / 'manifest.csv')


def test_other_columns_of_the_labels_open_nothing(source, opened, tmp_path):
  run(source, tmp_path / 'DATA')
  opened.clear()
  rows = [(f's{n}', q, '3', 'south') for n, q in enumerate(('low', 'high'))]
  write_labels(source / 'labels.csv', [*rows, ('s2', 'exclude', '', '')])
  run(source, tmp_path / 'DATA')
  assert opened == ['p2/s2/a.dcm']
  found = table(tmp_path / 'DATA' / 'manifest.csv')
  assert [(row['lvh'], row['site']) for row in found] == [('3', 'south')] * 2


def test_lost_frames_are_written_again(source, opened, tmp_path):
  run(source, tmp_path / 'DATA')
  before = contents(tmp_path / 'DATA')
  opened.clear()
  next((tmp_path / 'DATA' / 'frames').rglob('*.png')).unlink()
  run(source, tmp_path / 'DATA')
  assert len(opened) == 1
  assert contents(tmp_path / 'DATA') == before


def test_frames_that_another_run_left_are_written_again(
  source, opened, tmp_path
):
  run(source, tmp_path / 'DATA')
  before = contents(tmp_path / 'DATA')
  opened.clear()
  frame = next((tmp_path / 'DATA' / 'frames').rglob('*.png'))
  Image.new('L', (48, 48)).save(frame)  # stopped while it made larger ones
  run(source, tmp_path / 'DATA')
  assert len(opened) == 1
  assert contents(tmp_path / 'DATA') == before


def test_files_that_are_not_ours_stay(source, tmp_path):
  run(source, tmp_path / 'DATA')
  mine = tmp_path / 'DATA' / 'frames' / 'train' / 'mine.png'
  half = mine.with_name('.0123456789abcdef_0.png.77.part')
  mine.write_text('keep')
  half.write_text('half')
  run(source, tmp_path / 'DATA')
  assert mine.exists() and not half.exists()


def test_two_runs_at_once_are_refused(source, tmp_path):
  with files.alone(tmp_path / 'DATA'):
    with pytest.raises(BadInput, match='another run'):
      run(source, tmp_path / 'DATA')
  run(source, tmp_path / 'DATA')


def test_a_label_that_names_a_patient_is_left_blank(source, tmp_path):
  rows = [(f's{n}', q, '1', 'Erika1') for n, q in enumerate(('low', 'high'))]
  write_labels(source / 'labels.csv', [*rows, ('s2', 'low', '', 'north')])
  run(source, tmp_path / 'DATA')
  found = table(tmp_path / 'DATA' / 'manifest.csv')
  assert [row['site'] for row in found] == ['', '', 'north']
  audit = json.loads((tmp_path / 'DATA' / 'audit.json').read_text())
  assert audit['label_values_that_named_someone'] == 2


def test_other_settings_open_everything(source, opened, tmp_path):
  run(source, tmp_path / 'DATA')
  opened.clear()
  run(source, tmp_path / 'DATA', '--frames_per_clip=2')
  assert len(opened) == 3


def test_links_out_of_the_input_are_refused(source, tmp_path):
  secret = tmp_path / 'elsewhere' / 's0' / 'a.dcm'
  write_clip(secret, 9)
  (source / 'p0' / 's0' / 'file.dcm').symlink_to(secret)
  (source / 'p0' / 'folder').symlink_to(secret.parent)
  (source / 'p0' / 's0' / 'same.dcm').symlink_to(source / 'p0/s0/a.dcm')
  (source / 'p0' / 'loop').symlink_to(source)
  run(source, tmp_path / 'DATA')
  rows = table(tmp_path / 'DATA' / 'rejected.csv')
  assert {row['source']: row['reason'] for row in rows} == {
    'p0/folder': 'outside_input',
    'p0/loop': 'outside_input',
    'p0/s0/file.dcm': 'outside_input',
    'p0/s0/same.dcm': 'duplicate',
  }
  audit = json.loads((tmp_path / 'DATA' / 'audit.json').read_text())
  assert audit['files']['seen'] == 7 == audit['files']['used'] + len(rows)


def test_a_damaged_ledger_is_one_line(source, tmp_path):
  intake.beside(tmp_path / 'DATA').write_bytes(b'no database, not at all' * 9)
  with pytest.raises(BadInput, match='move it away'):
    run(source, tmp_path / 'DATA')
