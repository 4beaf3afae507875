"""A checkpoint is what was saved, or it is named and the one before is used."""

import json
import logging
import shutil

import jax
import numpy as np
import pytest

from echogan_jax.command import BadInput
from echogan_jax.training import checkpoint, note, state


def made(step, *, width=3):
  """Return a small state that is different at every step."""
  draws = np.random.default_rng(step)

  def player(*names):
    params = {n: {'kernel': draws.normal(size=(64, width))} for n in names}
    params = jax.tree.map(np.float32, params)
    return state.Player(params, {}, {'count': np.int32(step)})

  return state.TrainState(
    step=np.int32(step),
    generators=player('enhance', 'degrade'),
    discriminators=player('low', 'high'),
    ema=player('enhance').params,
    pools={},
    helpers={},
  )


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """Return a workdir with the checkpoints 1 and 2."""
  workdir = tmp_path_factory.mktemp('saved')
  with checkpoint.opened(workdir, keep=3) as manager:
    for step in (1, 2):
      checkpoint.save(manager, made(step))
  return workdir


@pytest.fixture
def saved(whole, tmp_path):
  return shutil.copytree(whole, tmp_path / 'run')


def restored(workdir, **shape):
  with checkpoint.opened(workdir, keep=3) as manager:
    return checkpoint.restore(manager, made(0, **shape))


def same(one, other):
  return note.digest(one) == note.digest(other)


def flipped(content):
  middle = len(content) // 2
  return (
    content[:middle] + bytes([content[middle] ^ 0x10]) + content[middle + 1 :]
  )


DAMAGES = {
  'truncated': lambda content: content[: len(content) // 2],
  'emptied': lambda content: b'',
  'flipped': flipped,
}


@pytest.mark.parametrize('damage', DAMAGES)
def test_no_damaged_file_passes_for_intact(whole, tmp_path, damage, caplog):
  files = [p for p in (whole / 'checkpoints' / '2').rglob('*') if p.is_file()]
  assert len(files) > 10
  fell_back = 0
  for number, path in enumerate(files):
    workdir = shutil.copytree(whole, tmp_path / str(number))
    broken = workdir / path.relative_to(whole)
    broken.write_bytes(DAMAGES[damage](broken.read_bytes()))
    caplog.clear()
    found = restored(workdir)
    if int(found.step) == 2:  # nothing in that file matters
      assert same(found, made(2)), path
      continue
    assert same(found, made(1)), path
    assert 'checkpoint 2 is damaged' in caplog.text
    assert (workdir / 'damaged' / '2').is_dir()
    fell_back += 1
  assert fell_back > 3


def test_values_that_orbax_finds_sound_are_still_compared(
  saved, monkeypatch, caplog
):
  original = checkpoint._read

  def silent(manager, step, parts):
    found = original(manager, step, parts)
    if step == 2:
      kernel = found['ema']['enhance']['kernel']
      kernel[0, 0] = np.nextafter(kernel[0, 0], np.float32(9))
    return found

  monkeypatch.setattr(checkpoint, '_read', silent)
  assert same(restored(saved), made(1))
  assert 'its ema does not fit its checksum' in caplog.text


def test_a_note_that_was_changed_is_damage_not_another_network(saved, caplog):
  path = saved / 'checkpoints' / '2' / 'note' / 'metadata'
  text = path.read_text()
  path.write_text(text.replace('float32[64, 3]', 'float32[64, 4]'))
  assert same(restored(saved), made(1))
  assert 'note does not fit' in caplog.text


def test_all_damaged_is_said_and_nothing_is_moved(saved):
  for path in saved.glob('checkpoints/*/note/metadata'):
    path.write_text('{}')
  with pytest.raises(BadInput, match='no checkpoint in .* is intact'):
    restored(saved)
  assert len(list(saved.glob('checkpoints/*'))) == 2


def test_other_networks_are_no_damage(saved, caplog):
  with pytest.raises(BadInput, match=r'float32\[64, 3\], not float32\[64, 4\]'):
    restored(saved, width=4)
  assert 'damaged' not in caplog.text and not (saved / 'damaged').exists()


def test_a_damaged_average_is_not_deployed(saved, caplog):
  like = made(0).ema
  assert checkpoint.load_ema(saved, like)[0] == 2
  for path in (saved / 'checkpoints/2/ema/d').iterdir():
    path.write_bytes(b'')
  with caplog.at_level(logging.WARNING):
    step, ema = checkpoint.load_ema(saved, like)
  assert step == 1 and same(ema, made(1).ema)
  with pytest.raises(BadInput, match='checkpoint 2 is damaged'):
    checkpoint.load_ema(saved, like, step=2)


def test_what_a_kill_left_is_swept_away(saved):
  torn = saved / 'checkpoints' / '3.orbax-checkpoint-tmp'
  (torn / 'state').mkdir(parents=True)
  assert same(restored(saved), made(2))
  assert not torn.exists()


def test_the_old_goes_after_the_new_is_there(saved, monkeypatch):
  with checkpoint.opened(saved, keep=1) as manager:
    monkeypatch.setattr(
      type(manager), 'delete', lambda *rest: pytest.fail('by hand')
    )
    checkpoint.save(manager, made(3))
  assert [p.name for p in (saved / 'checkpoints').iterdir()] == ['3']


def test_a_digest_tells_names_shapes_types_and_bits():
  base = {'a': np.zeros(2, np.float32)}
  others = (
    {'b': np.zeros(2, np.float32)},
    {'a': np.zeros((2, 1), np.float32)},
    {'a': np.zeros(2, np.int32)},
    {'a': np.array([0.0, -0.0], np.float32)},
  )
  hashes = {note.digest(tree)['sha256'] for tree in (base, *others)}
  assert len(hashes) == 5
  assert json.dumps(note.write({'ema': base}))
