"""Probes: networks whose answers are known before they are asked."""

import numpy as np
import pytest

from echogan_jax.evaluation import probes
from echogan_jax.evaluation.case import Case
from echogan_jax.training.enhancer import Enhancer

SIZE = 64
AWAY = np.hypot(*(np.indices((SIZE, SIZE)) - 31.5))
INSIDE = AWAY < 30


def case(seed=0, **changes):
  random = np.random.default_rng(seed)
  grey = np.where(INSIDE, random.integers(20, 160, (SIZE, SIZE)), 0)
  grey = grey.astype(np.uint8)
  return Case({'patient': str(seed)}, grey, grey, INSIDE)._replace(**changes)


def model(translate, **generators):
  """Return an enhancer; it leaves alone what is outside, as all do."""

  def inside_only(frames, inside):
    made = np.clip(np.rint(translate(frames.astype(np.float64))), 0, 255)
    return np.where(inside, made, frames).astype(np.uint8)

  return Enhancer(inside_only, generators, SIZE, 0)


def ask(network, low=None, high=()):
  low = low or [case(0), case(1)]
  low = [
    one._replace(
      enhanced=network.translate(one.input[None], one.inside[None])[0]
    )
    for one in low
  ]
  return probes.measure(network, low, high)


def same(x):
  return x


def test_the_identity_passes_every_probe():
  sheet = ask(model(same, enhance=same, degrade=same), high=[case(2)])
  values = sheet.values
  assert values['idempotence'] == values['identity'] == 0
  np.testing.assert_allclose(values['survival'], 1)
  for name in ('steganography', 'steganography_8_bit'):
    np.testing.assert_allclose(values[name], 0, atol=1e-3)
  assert not sheet.reasons


def test_by_hand():
  """Half as bright, twice: what moves is a quarter, then a half."""
  values = ask(model(lambda x: x / 2), high=[case(2)]).values
  mean = np.mean([one.input[INSIDE].mean() for one in (case(0), case(1))])
  np.testing.assert_allclose(values['idempotence'], mean / 4, atol=0.3)
  mean = case(2).input[INSIDE].mean()
  np.testing.assert_allclose(values['identity'], mean / 2, atol=0.3)
  np.testing.assert_allclose(values['survival'], 0.5, atol=0.02)


def test_what_is_cleaned_away_does_not_survive():
  blank = model(lambda x: np.full_like(x, 70))
  assert ask(blank).values['survival'] == 0
  louder = model(lambda x: 1.1 * x)
  np.testing.assert_allclose(ask(louder).values['survival'], 1.1, atol=0.02)


def test_the_structure_is_put_into_the_ventricle():
  labels = np.zeros((SIZE, SIZE), np.uint8)
  labels[20:30, 35:45] = probes.LV
  for drawn, centre in ((labels, (24.5, 39.5)), (None, (31.5, 31.5))):
    one = case(labels=drawn)
    added = probes._marked(one).astype(float) - one.input
    assert added.min() == 0 and 59 <= added.max() <= 60
    found = [(n * added).sum() / added.sum() for n in np.indices(added.shape)]
    np.testing.assert_allclose(found, centre, atol=0.1)
    # a radius of 5 mm in a picture of 16 cm
    np.testing.assert_allclose(added.sum() / 60, np.pi * 2**2, rtol=0.35)


def test_a_white_ventricle_spoils_no_other_case():
  white = np.where(INSIDE, 255, 0).astype(np.uint8)
  values = ask(model(same), low=[case(), case(input=white)]).values
  np.testing.assert_allclose(values['survival'], 1)


def hider(faint):
  """Return a grey picture's network that hides the input, and its way back."""

  def enhance(x):
    return np.float32(faint) * x

  def degrade(y):
    # lossy, as every trained network's way back is
    return np.clip(y / np.float32(faint), -1, 1) * np.float32(0.95)

  return {'enhance': enhance, 'degrade': degrade}


def test_hidden_codes_are_found():
  hidden = ask(model(same, **hider(1 / 300))).values
  seen = ask(model(same, **hider(0.8))).values
  for name in ('steganography', 'steganography_8_bit'):
    assert hidden[name] > 10 * max(seen[name], 0.05), name
  fainter = ask(model(same, **hider(1 / 30))).values
  assert seen['steganography'] < fainter['steganography']
  assert fainter['steganography'] < hidden['steganography']


def test_a_faithful_way_back_is_no_hidden_code():
  def nearly(x):
    return x + np.float32(1e-4)

  faithful = ask(model(same, enhance=same, degrade=nearly)).values
  hidden = ask(model(same, **hider(1 / 30))).values
  assert faithful['steganography'] < hidden['steganography']


@pytest.mark.parametrize(
  'name, reason',
  [('identity', 'no high-quality'), ('steganography', 'no way back')],
)
def test_what_cannot_be_asked_has_a_reason(name, reason):
  sheet = ask(model(same, enhance=same))
  assert name not in sheet.values and reason in sheet.reasons[name]
  assert sheet.values['idempotence'] == 0
