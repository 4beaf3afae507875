import itertools

import numpy as np
import pytest

from echogan_jax.command import BadInput
from echogan_jax.data import builder, pipeline
from echogan_jax.shapes import Frames

LOW, HIGH, BATCH = 7, 5, 2
PLAIN = {'zoom': 1.0, 'flip': False}
AUGMENTED = {'zoom': 1.25, 'flip': True}


@pytest.fixture(scope='module')
def data(curated):
  folder = curated({('train', 'low'): LOW, ('train', 'high'): HIGH})
  builder.build(folder)
  return folder


@pytest.fixture
def take(data):
  def batches(start, count, **changes):
    options = {
      'dir': data,
      'size': 32,
      'batch_size': BATCH,
      'shuffle_buffer': 100,
      'augment': AUGMENTED,
      'seed': 3,
      'start_step': start,
    }
    stream = pipeline.batches(**options | changes)
    return list(itertools.islice(stream, count))

  return batches


def levels(batches, domain):
  """Return which frames came, by their grey levels, in order."""
  return [int(i.max()) for b in batches for i in b[domain].image]


def assert_equal(ours, theirs):
  for one, other in zip(ours, theirs, strict=True):
    for domain in ('low', 'high'):
      for a, b in zip(one[domain], other[domain], strict=True):
        np.testing.assert_array_equal(a, b)


def test_shapes(take):
  (batch,) = take(0, 1, size=24)
  assert set(batch) == {'low', 'high'}
  for frames in batch.values():
    assert isinstance(frames, Frames)
    for array in frames:
      assert array.shape == (BATCH, 24, 24, 1)
      assert array.dtype == np.uint8


# an epoch of `low` ends within step 3, one of `high` within step 2
@pytest.mark.parametrize('start', [1, 2, 3, 4, 7, 11])
@pytest.mark.parametrize('buffer', [100, 3])
def test_resume_is_bit_equal(take, start, buffer):
  whole = take(0, 14, shuffle_buffer=buffer)
  rest = take(start, 14 - start, shuffle_buffer=buffer)
  assert_equal(rest, whole[start:])


@pytest.mark.parametrize(('domain', 'count'), [('low', LOW), ('high', HIGH)])
def test_each_frame_once_per_epoch(take, domain, count):
  found = levels(take(0, 3 * count, augment=PLAIN), domain)
  epochs = np.reshape(found, (-1, count))
  assert len(epochs) == 3 * BATCH
  expected = [20 * i + 50 for i in range(count)]
  np.testing.assert_array_equal(np.sort(epochs), [expected] * len(epochs))
  assert len({tuple(epoch) for epoch in epochs}) > 1


def test_the_seed_decides(take):
  assert_equal(take(0, 3), take(0, 3))
  one, other = (levels(take(0, 7, seed=s), 'low') for s in (3, 4))
  assert one != other


def test_mask_is_in_step_with_image(take):
  shifts = set()
  for batch in take(0, 10, size=30):
    for image, mask in zip(*batch['low'], strict=True):
      assert set(np.unique(mask)) <= {0, 255}
      inside = mask > 0
      # scaled edges blend over a pixel; a wrong shift would break whole rows
      assert np.mean((image > image.max() / 2) == inside) > 0.97
      shifts.add(inside.tobytes())
  assert len(shifts) > 10


def test_augmentation_differs_between_epochs(take):
  found = {}
  for batch in take(0, 14):
    for image in batch['high'].image:
      found.setdefault(int(image.max()), set()).add(image.tobytes())
  assert all(len(variants) > 2 for variants in found.values())


def test_without_augmentation_frames_are_the_stored_ones(data, take):
  stored = {e['image'] for _, e in builder.examples(data, 'train_high')}
  decoded = {builder.tf.io.decode_png(s).numpy().tobytes() for s in stored}
  batches = take(0, 10, augment=PLAIN)
  seen = {i.tobytes() for b in batches for i in b['high'].image}
  assert seen == decoded


def test_examples_are_fixed(data):
  one, other = (pipeline.examples(data, 'train', 6) for _ in range(2))
  assert_equal([one], [other])
  assert one['low'].image.shape == (6, 32, 32, 1)
  assert one['high'].image.shape == (HIGH, 32, 32, 1)
  small = pipeline.examples(data, 'train', 2, size=16)
  assert small['low'].mask.shape == (2, 16, 16, 1)


def test_fingerprint_follows_the_manifest(curated, data):
  other = curated({('train', 'low'): 1})
  assert pipeline.fingerprint(data) == pipeline.fingerprint(str(data))
  assert pipeline.fingerprint(data) != pipeline.fingerprint(other)


@pytest.mark.parametrize(
  ('changes', 'match'),
  [
    ({'split': 'test'}, 'test split has no low .*train_low 7, train_high 5'),
    ({'batch_size': 6}, 'only 5 high frames'),
    ({'augment': PLAIN | {'zoom': 0.5}}, 'zoom'),
    ({'dir': 'nowhere'}, 'echogan_jax.ingest'),
  ],
)
def test_bad_input_is_told_at_the_call(take, changes, match):
  with pytest.raises(BadInput, match=match):
    take(0, 0, **changes)
