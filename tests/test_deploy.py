"""From a trained workdir to metrics, enhanced clips and the report."""

import csv
import json
import subprocess
import sys

import av
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from echogan_jax import enhance, evaluate, report
from echogan_jax.command import BadInput
from echogan_jax.data import (
  dicom,
  manifest,
  recorder,
  secret,
  sector,
  text,
  video,
)
from echogan_jax.evaluation import judge
from echogan_jax.metrics.catalogue import FACTS


@pytest.fixture(scope='module')
def clips(phantom):
  return sorted((phantom / 'studies').rglob('*.dcm'))


@pytest.fixture(scope='module')
def evaluated(workdir, ingested, phantom):
  evaluate.main(
    [
      f'--workdir={workdir}',
      f'--data={ingested}',
      f'--truth={phantom}',
      '--split=all',
      '--pictures=3',
      '--perceptual=2',
      '--clips=2',
      '--probes=2',
    ]
  )
  return workdir / 'eval' / 'all'


def test_metrics_name_what_was_measured(evaluated):
  found = json.loads((evaluated / 'metrics.json').read_text())
  assert found['step'] == 4 and found['split'] == 'all'
  assert found['images'] == found['studies'] == 8
  assert len(found['config_sha256']) == 64
  values = found['metrics']
  for name in ('psnr', 'ssim', 'gcnr'):
    assert np.isfinite(values[f'{name}/input'])
    assert np.isfinite(values[f'{name}/enhanced'])
    assert values[f'{name}/input'] != values[f'{name}/enhanced']
  assert values['gcnr/target'] > values['gcnr/input']
  assert found['judge_sha256'] == judge.SHA256
  # needs a file that nobody may ship, and more patients than these
  lacking = {'fid', 'kid', 'is', 'precision', 'recall', 'fd_radiomics'}
  lacking |= {'fd_vgg16', 'kd_vgg16', 'precision_vgg16', 'recall_vgg16'}
  lacking |= {'dehazing_score', 'dehazing_score_linear'}
  # no patch of 32 pixels lies in half of the sector; nobody has an effusion;
  # a clip has one frame here
  lacking |= {'frc', 'effusion_removed', 'flicker_added'}
  assert {name.split('/')[0] for name in found['skipped']} == lacking
  for name in {key.split('/')[0] for key in values}:
    assert name in FACTS
  with (evaluated / 'per_image.csv').open() as file:
    rows = list(csv.DictReader(file))
  mean = np.mean([float(row['psnr/input']) for row in rows])
  np.testing.assert_allclose(mean, values['psnr/input'])


def test_pictures_stand_beside_their_truth(evaluated):
  listed = json.loads((evaluated / 'metrics.json').read_text())
  assert len(listed['pictures']) == 3 and len(listed['clips']) == 2
  for picture in listed['pictures']:
    assert Image.open(evaluated / picture['file']).size == (96, 32)
    width = 32 * len(picture['map_columns'])
    assert Image.open(evaluated / picture['maps']).size == (width, 32)
  for clip in listed['clips']:
    assert Image.open(evaluated / clip['file']).size == (96, 32)


def test_without_truth_the_reason_is_given(workdir, ingested, tmp_path):
  evaluate.main(
    [
      f'--workdir={workdir}',
      f'--data={ingested}',
      f'--output={tmp_path}',
      '--split=all',
    ]
  )
  found = json.loads((tmp_path / 'metrics.json').read_text())
  alone = {'checkerboard_db', 'high_frequency_db', 'correlation'}
  alone |= {'difference', 'inversion', 'idempotence', 'identity', 'survival'}
  alone |= {'steganography', 'steganography_8_bit'}
  assert {k.split('/')[0] for k in found['metrics']} == alone
  for name in ('psnr', 'recovery', 'gcnr', 'dice_lv', 'findings', 'ef_bias'):
    assert 'truth' in found['skipped'][name], name


def changed(source, made, flags=()):
  """Return frames before and after, and the mask of what may change."""
  before = dicom.read(source)
  after = dicom.read(made)
  return before, after, sector.find(before).mask()


@pytest.mark.parametrize('number', [0, 1])  # JPEG, and uncompressed
def test_derived_dicom_keeps_all_but_the_sector(
  workdir, clips, tmp_path, number
):
  source, target = clips[number], tmp_path / 'derived.dcm'
  kept = source.read_bytes()
  enhance.main(
    [f'--workdir={workdir}', f'--input={source}', f'--output={target}']
    + ['--keep_outside']
  )
  before, after, inside = changed(source, target)
  np.testing.assert_array_equal(
    after.frames[:, ~inside], before.frames[:, ~inside]
  )
  assert (after.frames[:, inside] != before.frames[:, inside]).mean() > 0.5
  np.testing.assert_allclose(after.times, before.times)
  assert source.read_bytes() == kept
  found = pydicom.dcmread(target)
  assert found.ImageType[:2] == ['DERIVED', 'SECONDARY']
  assert 'not for diagnos' in found.DerivationDescription
  assert found.ContentQualification == 'RESEARCH'
  original = pydicom.dcmread(source)
  assert found.SOPInstanceUID != original.SOPInstanceUID
  for needle in (original.PatientName, original.PatientID):
    assert str(needle).encode() not in target.read_bytes()


@pytest.mark.parametrize('searched', [False, True])
def test_the_banner_is_cleared(
  workdir, clips, tmp_path, monkeypatch, capsys, searched
):
  target = tmp_path / 'blank.dcm'
  monkeypatch.setattr(text, 'available', lambda: searched)
  monkeypatch.setattr(text, 'search', lambda frames, inside: [])
  enhance.main(
    [f'--workdir={workdir}', f'--input={clips[0]}', f'--output={target}']
  )
  before, after, inside = changed(clips[0], target)
  assert before.frames[:, ~inside].max() > 0
  assert after.frames[:, ~inside].max() == 0
  # without anyone looking for text inside the sector nothing is promised
  found = pydicom.dcmread(target)
  assert found.PatientIdentityRemoved == ('YES' if searched else 'NO')
  assert found.BurnedInAnnotation == ('NO' if searched else 'YES')
  assert ('echogan_jax[ocr]' in capsys.readouterr().err) != searched


def test_text_over_tissue_ends_a_clip(workdir, clips, tmp_path, monkeypatch):
  monkeypatch.setattr(text, 'available', lambda: True)
  monkeypatch.setattr(text, 'search', lambda frames, inside: ['found'])
  flags = [f'--workdir={workdir}', f'--input={clips[0]}']
  target = tmp_path / 'made.dcm'
  with pytest.raises(BadInput, match='--allow_text'):
    enhance.main([*flags, f'--output={target}'])
  assert not target.exists()
  enhance.main([*flags, f'--output={target}', '--allow_text'])
  assert pydicom.dcmread(target).BurnedInAnnotation == 'YES'


def test_the_key_of_the_data_gives_its_pseudonyms(
  workdir, ingested, clips, tmp_path
):
  target, key = tmp_path / 'a.dcm', secret.beside(ingested)
  flags = [f'--workdir={workdir}', f'--input={clips[0]}', f'--key={key}']
  enhance.main([*flags, f'--output={target}', '--allow_text'])
  known = {row['study'] for row in manifest.read(ingested)}
  assert pydicom.dcmread(target).StudyID in known


def test_what_changed_beyond_expectation_is_played(
  evaluated, workdir, clips, tmp_path
):
  flags = [f'--workdir={workdir}', f'--input={clips[0]}', '--changes']
  enhance.main([*flags, f'--output={tmp_path / "a.dcm"}'])
  shown = video.read(tmp_path / 'a_changes.gif')
  assert len(shown.frames) == len(dicom.read(clips[0]).frames)
  # of another checkpoint nothing is known
  path = evaluated / 'expectation.json'
  kept = path.read_text()
  path.write_text(json.dumps(json.loads(kept) | {'step': 2}))
  with pytest.raises(BadInput, match='what to expect of step 4'):
    enhance.main([*flags, f'--output={tmp_path / "b.dcm"}'])
  path.write_text(kept)


def test_no_strength_is_the_input(workdir, clips, tmp_path):
  target = tmp_path / 'same.dcm'
  enhance.main(
    [
      f'--workdir={workdir}',
      f'--input={clips[0]}',
      f'--output={target}',
      '--strength=0',
      '--keep_outside',
    ]
  )
  before, after, _ = changed(clips[0], target)
  np.testing.assert_array_equal(after.frames, before.frames)


@pytest.mark.parametrize('suffix', ['.gif', '.png', '.mp4'])
def test_other_formats_keep_frames_and_times(workdir, clips, tmp_path, suffix):
  enhance.main(
    [
      f'--workdir={workdir}',
      f'--input={clips[0]}',
      f'--output={tmp_path / "clip"}{suffix}',
      '--side_by_side',
      '--keep_outside',
    ]
  )
  before = dicom.read(clips[0])
  count, height, width = before.grey.shape
  if suffix == '.png':
    made = sorted(tmp_path.glob('clip_*.png'))
    assert len(made) == count
    assert Image.open(made[0]).size == (2 * width, height)
    left = np.asarray(Image.open(made[1]))[:, :width]
    np.testing.assert_array_equal(left, before.grey[1])
    assert 'not for diagnosis' in Image.open(made[0]).text['Comment']
    return
  clip = video.read(tmp_path / f'clip{suffix}')
  assert clip.frames.shape[:3] == (count, height, 2 * width)
  tolerance = 5.0 if suffix == '.gif' else 0.5  # a GIF counts in 10 ms
  np.testing.assert_allclose(clip.times, before.times, atol=tolerance)


def test_the_real_apical_clip_goes_through(workdir, tmp_path):
  source = get_testdata_file('examples_ybr_color.dcm', download=False)
  target = tmp_path / 'real.dcm'
  enhance.main(
    [f'--workdir={workdir}', f'--input={source}', f'--output={target}']
    + ['--keep_outside']
  )
  before = dicom.read(target.with_name(target.name).parent / source)
  after = dicom.read(target)
  inside = sector.find(before).mask()
  np.testing.assert_array_equal(
    after.frames[:, ~inside], before.frames[:, ~inside]
  )
  np.testing.assert_allclose(after.times, before.times)


def test_a_folder_goes_on_past_bad_files(workdir, clips, tmp_path):
  source, target = tmp_path / 'in', tmp_path / 'out'
  (source / 'deep').mkdir(parents=True)
  (source / 'deep' / 'good.dcm').write_bytes(clips[1].read_bytes())
  (source / 'bad.dcm').write_text('no DICOM at all')
  enhance.main(
    [f'--workdir={workdir}', f'--input={source}', f'--output={target}']
  )
  assert dicom.read(target / 'deep' / 'good.dcm').frames.any()
  with (target / 'rejected.csv').open() as file:
    (row,) = csv.DictReader(file)
  assert row['source'] == 'bad.dcm' and row['reason'] == 'not_dicom'
  assert 'not a DICOM' in row['detail']


def test_files_of_one_name_do_not_overwrite_each_other(
  workdir, clips, tmp_path
):
  target = tmp_path / 'out'
  enhance.main(
    [f'--workdir={workdir}', f'--output={target}', '--input']
    + [str(path) for path in clips[:2]]
  )
  made = sorted(target.rglob('*.dcm'))
  assert len(made) == 2 and made[0].read_bytes() != made[1].read_bytes()


def test_a_truth_of_other_studies_is_refused(workdir, ingested, tmp_path):
  with pytest.raises(BadInput, match='no truth of these frames'):
    evaluate.main(
      [
        f'--workdir={workdir}',
        f'--data={ingested}',
        f'--truth={tmp_path}',
        '--split=all',
      ]
    )


def test_a_gif_without_delays_can_be_enhanced(workdir, clips, tmp_path):
  frames = [Image.fromarray(f) for f in dicom.read(clips[0]).grey]
  path = tmp_path / 'still.gif'
  frames[0].save(path, save_all=True, append_images=frames[1:])
  assert np.all(np.diff(video.read(path).times) > 0)
  enhance.main(
    [
      f'--workdir={workdir}',
      f'--input={path}',
      f'--output={tmp_path / "new.mp4"}',
    ]
  )


@pytest.mark.parametrize(
  ('flags', 'says'),
  [
    (['--output=out.tiff'], 'out.tiff'),
    (['--output=out.gif', '--strength=2'], 'from 0 to 1'),
    (['--output=out.dcm', '--side_by_side'], 'not DICOM'),
  ],
)
def test_bad_requests_are_refused(workdir, clips, flags, says, tmp_path):
  folder, name = tmp_path, flags[0].removeprefix('--output=')
  flags = [f'--output={folder / name}', *flags[1:]]
  with pytest.raises(BadInput, match=says):
    enhance.main([f'--workdir={workdir}', f'--input={clips[0]}', *flags])


def test_the_source_is_never_overwritten(workdir, tmp_path, clips):
  source = tmp_path / 'clip.dcm'
  source.write_bytes(clips[0].read_bytes())
  with pytest.raises(BadInput, match='the input itself'):
    enhance.main(
      [f'--workdir={workdir}', f'--input={source}', f'--output={source}']
    )


def test_enhancing_never_imports_tensorflow():
  code = (
    'import sys; from echogan_jax import enhance, evaluate, report\n'
    'from echogan_jax.training import enhancer\n'
    'sys.exit("tensorflow" in sys.modules)'
  )
  assert subprocess.run([sys.executable, '-c', code]).returncode == 0


def test_report_is_one_page_that_needs_nothing_else(evaluated, workdir):
  (workdir / 'enhanced').mkdir(exist_ok=True)
  Image.new('L', (8, 8)).save(workdir / 'enhanced' / 'a<b>.gif')
  report.main([f'--workdir={workdir}'])
  page = (workdir / 'report.html').read_text()
  assert 'not for diagnosis' in page
  assert page.count('<svg') == 1 and 'type="range"' in page
  for word in ('psnr', 'ssim', 'gcnr', 'input', 'enhanced', 'truth'):
    assert word in page
  assert 'a&lt;b&gt;' in page and 'a<b>' not in page
  body = page.replace('http://www.w3.org', '').replace('http://purl', '')
  body = body.replace('http://creativecommons', '').replace(
    'https://matplotlib', ''
  )
  assert 'http' not in body and 'src="/' not in page


def test_video_survives_odd_sides_and_uneven_times(tmp_path):
  random = np.random.default_rng(0)
  frames = np.repeat(
    random.integers(0, 256, (5, 1, 33), dtype=np.uint8), 21, axis=1
  )
  times = np.array([0.0, 33.0, 83.0, 117.0, 150.0])
  path = tmp_path / 'odd.mp4'
  recorder.write(path, frames, times)
  with av.open(str(path)) as file:
    found = [1000 * float(f.time) for f in file.decode(video=0)]
    assert (file.streams.video[0].height, file.streams.video[0].width) == (
      22,
      34,
    )
    assert 'not for diagnosis' in file.metadata['comment']
  np.testing.assert_allclose(found, times, atol=0.1)


def test_links_out_of_a_folder_and_names_of_patients(workdir, clips, tmp_path):
  header = pydicom.dcmread(clips[0], stop_before_pixels=True)
  who = str(header.PatientName).replace('^', '_')
  source, target = tmp_path / 'in' / who, tmp_path / 'out'
  source.mkdir(parents=True)
  (source / 'clip.dcm').write_bytes(clips[0].read_bytes())
  (source / f'{who}.mp4').write_text('no video')
  (source / 'link.dcm').symlink_to(clips[1])
  flags = [f'--workdir={workdir}', f'--input={tmp_path / "in"}']
  enhance.main([*flags, f'--output={target}', '--allow_text'])
  (made,) = target.rglob('*.dcm')
  assert made.parent.name.startswith('hidden-')
  text = (target / 'rejected.csv').read_text()
  assert 'outside_input' in text and 'link.dcm' in text
  for name in (*who.split('_'), str(tmp_path)):
    assert name.lower() not in text.lower()
