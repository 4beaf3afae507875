"""What generators and discriminators play for, in four objectives."""

from collections.abc import Callable
from typing import NamedTuple

import jax
from jaxtyping import Array

from echogan_jax import image
from echogan_jax.command import BadInput
from echogan_jax.losses.cycle import directions
from echogan_jax.shapes import Mask, Outputs, Trial, Values, Verdict

_Loss = Callable[[Array], Array]  # of logits, elementwise


class _Form(NamedTuple):
  real: _Loss
  fake: _Loss
  fooled: _Loss  # the generator's, on its fake


def _same(real: _Loss, fake: _Loss) -> _Form:
  return _Form(real, fake, real)


_FORMS = {
  'lsgan': _same(lambda x: (x - 1.0) ** 2, lambda x: x**2),
  'bce': _same(lambda x: jax.nn.softplus(-x), jax.nn.softplus),
  'wgan': _same(lambda x: -x, lambda x: x),
  'hinge': _Form(
    lambda x: jax.nn.relu(1.0 - x), lambda x: jax.nn.relu(1.0 + x), lambda x: -x
  ),
}


def _form(objective: str) -> _Form:
  if objective not in _FORMS:
    raise BadInput(
      f'losses.adversarial.objective={objective}: choose one of '
      f'{", ".join(_FORMS)}'
    )
  return _FORMS[objective]


def _average(loss: _Loss, verdict: Verdict, mask: Mask) -> Values:
  means = []
  for logits in verdict.logits:
    if logits.shape == mask.shape:  # one logit for each pixel
      means.append(image.masked_mean(loss(logits), mask))
    else:
      means.append(image.mean(loss(logits)))
  return sum(means) / len(means)


def adversarial(out: Outputs, *, objective: str = 'lsgan') -> Values:
  """Return the generators' side: each fake should be judged real.

  Zhu et al. 2017, Eq. 1, summed over the directions, no factor of 0.5. The
  maps of a verdict count alike, as both heads of U-Net GAN do (Schönfeld et
  al. 2020); a map with a logit for each pixel is averaged in the sector only.

  Args:
    out: the generators' pass.
    objective: `lsgan` (Mao et al. 2017), `bce` (non-saturating, Goodfellow et
      al. 2014), `hinge` (Lim and Ye 2017) or `wgan` (Arjovsky et al. 2017,
      which needs a discriminator that is Lipschitz by itself, as under
      spectral normalisation).

  Raises:
    BadInput: no such objective.
  """
  form = _form(objective)
  return sum(
    _average(form.fooled, out.judged[target], out.mask[source])
    for source, target in directions(out.judged)
  )


def adversarial_judge(
  trial: Trial, *, objective: str = 'lsgan', judge_weight: float = 0.5
) -> Values:
  """Return one discriminator's side: tell the real from the fake.

  Args:
    trial: its verdicts on a real image and on a fake of the same domain.
    objective: as for `adversarial`.
    judge_weight: factor of the sum of both; CycleGAN takes 0.5 to slow the
      discriminator down (ibid., §4), U-Net GAN 1.

  Raises:
    BadInput: no such objective.
  """
  form = _form(objective)
  real = _average(form.real, trial.real, trial.real_mask)
  fake = _average(form.fake, trial.fake, trial.fake_mask)
  return judge_weight * (real + fake)
