"""What is changed beyond expectation, and what is not."""

import numpy as np
import pytest
from PIL import Image

from echogan_jax.command import BadInput
from echogan_jax.data.clip import Clip, Film
from echogan_jax.data.sector import Sector
from echogan_jax.delivery import output, treatment
from echogan_jax.evaluation import expectation
from echogan_jax.evaluation.case import Case
from echogan_jax.training.enhancer import Enhancer

SIZE = 64
INSIDE = np.hypot(*(np.indices((SIZE, SIZE)) - 31.5)) < 30
DISC = np.hypot(*(np.indices((SIZE, SIZE)) - [[[40]], [[24]]])) < 4


def picture(seed):
  random = np.random.default_rng(seed)
  ramp = np.linspace(20, 180, SIZE)[:, None]
  grey = ramp + random.integers(0, 30, (SIZE, SIZE))
  return np.where(INSIDE, grey, 0).astype(np.uint8)


def restless(grey, seed):
  """Change a picture as a network does: everywhere a little."""
  noise = np.random.default_rng([seed, 1]).normal(0, 4, grey.shape)
  made = np.clip(0.8 * grey + 20 + noise, 0, 255)
  return np.where(INSIDE, made, grey).astype(np.uint8)


def cases(change, count=4):
  greys = [picture(seed) for seed in range(count)]
  return [
    Case({}, grey, change(grey, seed), INSIDE)
    for seed, grey in enumerate(greys)
  ]


def model(step=7, sha256='ab12'):
  return Enhancer(
    lambda frames, inside: frames, {}, SIZE, step, config_sha256=sha256
  )


@pytest.fixture(scope='module')
def known():
  return expectation.calibrate(model(), cases(restless))


def test_no_change_is_never_beyond():
  found = expectation.calibrate(model(), cases(lambda grey, seed: grey))
  assert found == (1.0, 4, 'ab12', 7)
  grey = picture(9)
  assert expectation.excess(grey, grey, INSIDE, found).max() <= 1


def test_what_changes_smoothly_is_expected():
  """Haze and shadow come and go without an edge; structure has one."""
  found = expectation.calibrate(model(), cases(lambda grey, seed: grey))
  grey = picture(9)
  for light in (np.full(SIZE, 40), np.linspace(0, 20, SIZE)):
    lit = np.where(INSIDE, grey + light[:, None], 0).astype(np.uint8)
    away = expectation.excess(grey, lit, INSIDE, found)
    assert np.mean(away[INSIDE] > 1) < 0.02
  edge = np.where(INSIDE, grey + 40.0 * (np.arange(SIZE) > 31), 0)
  away = expectation.excess(grey, edge.astype(np.uint8), INSIDE, found)
  assert np.mean(away[INSIDE] > 1) > 0.1


def test_one_pixel_in_a_hundred_is_beyond(known):
  shares = []
  for one in cases(restless):
    found = expectation.excess(one.input, one.enhanced, INSIDE, known)
    assert not found[~INSIDE].any()
    shares.append(np.mean(found[INSIDE] > 1))
  assert 0.002 < np.mean(shares) <= 0.011


def test_what_is_invented_is_beyond(known):
  grey = picture(9)
  made = restless(grey, 9)
  before = expectation.excess(grey, made, INSIDE, known)
  added = np.where(DISC, np.minimum(made + 70.0, 255), made).astype(np.uint8)
  after = expectation.excess(grey, added, INSIDE, known)
  assert before[DISC].max() < 1.5 < 2 < after[DISC].max()
  far = np.hypot(*(np.indices((SIZE, SIZE)) - [[[40]], [[24]]])) > 14
  np.testing.assert_allclose(after[far], before[far], atol=0.05)


def test_it_is_kept_beside_the_metrics(known, tmp_path):
  for split in ('test', 'validation'):
    frames = known._replace(frames=len(split))
    (tmp_path / 'eval' / split).mkdir(parents=True)
    expectation.write(frames, tmp_path / 'eval' / split)
  found = expectation.read(tmp_path, model())
  assert found == known._replace(frames=len('validation'))


@pytest.mark.parametrize('other', [model(step=8), model(sha256='cd34')])
def test_that_of_another_network_does_not_count(known, tmp_path, other):
  for split, step in (('validation', 7), ('train', 9)):
    (tmp_path / 'eval' / split).mkdir(parents=True)
    expectation.write(known._replace(step=step), tmp_path / 'eval' / split)
  with pytest.raises(BadInput, match=f'step {other.step} is not known'):
    expectation.read(tmp_path, other)
  # an older one of the same run still finds its own
  assert expectation.read(tmp_path, model(step=9)).step == 9


@pytest.mark.parametrize(
  'text',
  [
    *('', '{', '[]', '3', '{"limit": 2}', '{"limits": [1, 2], "frames": 3}'),
    *(
      f'{{"limit": {limit}, "frames": 3, "config_sha256": "ab12", "step": 7}}'
      for limit in ('0.5', 'NaN', '"x"', 'null', '[2]', '256', 'Infinity')
    ),
  ],
)
def test_a_damaged_file_is_told_of(text, tmp_path):
  (tmp_path / 'eval' / 'test').mkdir(parents=True)
  (tmp_path / 'eval' / 'test' / 'expectation.json').write_text(text)
  with pytest.raises(BadInput, match='damaged: evaluate again'):
    expectation.read(tmp_path, model())


def test_a_run_that_was_not_evaluated(tmp_path):
  with pytest.raises(BadInput, match=r'evaluate --workdir=.* --split=valid'):
    expectation.read(tmp_path, model())


def film(before, after, known, folder):
  """Return the frames of the map that `enhance --changes` writes."""
  place = Sector(SIZE, SIZE, (0, 0, SIZE), ((32, 0), (63, 63), (0, 63)))
  times = np.arange(len(before)) * 40.0
  clip = Clip(frames=before, times=times)
  played = Film(clip=clip, times=times, play=lambda: iter(before))
  path = folder / 'changes.png'
  with output.changes(path, played, place, known) as add:
    for pair in zip(before, after, strict=True):
      add(treatment.Shot(*pair, *pair))
  paths = sorted(folder.glob('changes_*.png'))
  return np.stack([np.asarray(Image.open(path)) for path in paths])


def test_only_what_is_beyond_is_painted(known, tmp_path):
  grey = picture(9)
  plain = np.stack([grey, grey])
  added = plain.copy()
  added[1][DISC] = 255
  found = film(plain, added, known, tmp_path).astype(int)
  np.testing.assert_array_equal(found[0], np.repeat(grey[..., None], 3, -1))
  colour = found[1][..., 0] - found[1][..., 2]
  assert colour.max() > 60 and colour.min() == 0
