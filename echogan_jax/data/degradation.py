"""What makes an echo technically limited, each with a severity in [0, 1].

Every degradation acts where its physics does: on the tissue (dropout), the
aperture (aperture, aberration, clutter), the path (shadow, attenuation), the
received signal (haze, noise) or the display (gain).
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Complex64, Float32, Inexact

from echogan_jax.data import scanner
from echogan_jax.data.tissue import smooth_noise

KINDS = (
  'haze',
  'shadow',
  'attenuation',
  'aperture',
  'clutter',
  'aberration',
  'noise',
  'gain',
  'dropout',
)
_CONTRAST = ('haze', 'clutter')  # these fill the cavity


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effects:
  """What degradations do to each stage of the image.

  Attributes:
    tissue: factor on the echo amplitude before the beam is formed.
    response: lateral transfer function of the beam.
    path: factor on the formed echoes, from shadow and attenuation.
    haze: two fields of reverberation; the second fades in and out.
    noise_db: added to the probe's receiver noise.
    gain_db: added to every echo.
    dynamic_range_db: of the display.
  """

  tissue: Float32[np.ndarray, 'range beam']
  response: Inexact[np.ndarray, 'range frequency']
  path: Float32[np.ndarray, 'range beam']
  haze: Complex64[np.ndarray, '2 range beam'] | None = None
  noise_db: float = 0.0
  gain_db: float = 0.0
  dynamic_range_db: float


def draw(rng: np.random.Generator) -> dict[str, float]:
  """Draw the severities of a poor study: two to four kinds are above 0.

  At least one of them fills the cavity with grey, since that is what makes
  a study hard to read.
  """
  first = str(rng.choice(_CONTRAST, p=(0.8, 0.2)))
  others = [kind for kind in rng.permutation(KINDS) if kind != first]
  kinds = {first, *others[: rng.integers(1, 4)]}
  drawn = rng.uniform(0.25, 1, len(KINDS)).tolist()
  strength = dict(zip(KINDS, drawn, strict=True))
  strength[first] = 0.5 + 0.5 * strength[first]
  return {kind: strength[kind] * (kind in kinds) for kind in KINDS}


def effects(
  severities: dict[str, float],
  probe: scanner.Probe,
  rng: np.random.Generator,
  *,
  shifted: bool = False,
) -> Effects:
  """Return what the severities do on this probe.

  Args:
    severities: by kind; a missing kind is 0.
    probe: whose grid the effects lie on.
    rng: for places and textures, one child stream for each kind, so that
      one kind's severity does not change another's texture.
    shifted: haze in two bands instead of one.
  """
  strength = {kind: severities.get(kind, 0.0) for kind in KINDS}
  streams = dict(zip(KINDS, rng.spawn(len(KINDS)), strict=True))
  path = _shadow(probe, strength['shadow'], streams['shadow'])
  path = path * _attenuation(
    probe, strength['attenuation'], streams['attenuation']
  )
  sign = streams['gain'].choice([-1, 1])
  return Effects(
    tissue=_dropout(probe, strength['dropout'], streams['dropout']),
    response=_aperture(probe, strength, streams),
    path=path.astype(np.float32),
    haze=_haze(probe, strength['haze'], streams['haze'], shifted=shifted)
    if strength['haze']
    else None,
    noise_db=13 * bool(strength['noise']) + 12 * strength['noise'],
    gain_db=(2 + 6 * sign) * strength['gain'],
    dynamic_range_db=probe.dynamic_range_db
    * (1 + 0.2 * sign * strength['gain']),
  )


def _bell(
  value: np.ndarray, centre: float, width: float
) -> Float32[np.ndarray, '...']:
  return np.exp(-0.5 * ((value - centre) / width) ** 2).astype(np.float32)


def _step(value: np.ndarray) -> Float32[np.ndarray, '...']:
  return (0.5 + 0.5 * np.tanh(2 * value)).astype(np.float32)


def _shadow(
  probe: scanner.Probe, strength: float, rng: np.random.Generator
) -> Float32[np.ndarray, 'range beam']:
  """A rib or lung that blocks 5 to 25 degrees from a depth on."""
  half = math.radians(rng.uniform(5, 25)) / 2
  side = rng.choice([-1, 1])
  centre = side * rng.uniform(0.2, 0.9) * probe.sector / 2
  onset = rng.uniform(2, 30)
  edge = math.radians(rng.uniform(1.5, 4))
  wide = _step((half - np.abs(probe.angles - centre)) / edge)
  deep = _step((probe.ranges - onset) / 6)[:, None]
  return 10 ** (-(10 + 20 * strength) * bool(strength) * wide * deep / 20)


def _attenuation(
  probe: scanner.Probe, strength: float, rng: np.random.Generator
) -> Float32[np.ndarray, 'range 1']:
  """A loss of up to 0.17 dB/mm that the gain does not make up for."""
  beyond = np.maximum(probe.ranges - rng.uniform(40, 80), 0)
  return 10 ** (-0.17 * strength * beyond / 20)[:, None]


def _aperture(
  probe: scanner.Probe,
  strength: dict[str, float],
  streams: dict[str, np.random.Generator],
) -> Inexact[np.ndarray, 'range frequency']:
  """Wider main lobe, broken phase, and a very wide second lobe."""
  widening = 1 + 1.5 * strength['aperture']
  response = scanner.transfer(probe, widening).astype(np.complex64)
  beams = len(probe.angles)
  frequency = np.fft.fftfreq(beams)
  if strength['aberration']:
    screen = smooth_noise(streams['aberration'], (beams,), beams / 12)
    response = response * np.exp(
      1j * np.fft.ifftshift(screen) * strength['aberration']
    )
  if strength['clutter']:
    rng = streams['clutter']
    spread = math.radians(rng.uniform(10, 18)) / probe.beam_step
    lobe = scanner.gaussian(beams, np.full(len(probe.ranges), spread))
    turn = np.exp(2j * np.pi * rng.uniform() + 2j * np.pi * frequency)
    level = 10 ** ((-15 + 13 * strength['clutter']) / 20)
    response = response + level * lobe * turn
  return response.astype(np.complex64)


def _haze(
  probe: scanner.Probe,
  strength: float,
  rng: np.random.Generator,
  *,
  shifted: bool,
) -> Complex64[np.ndarray, '2 range beam']:
  """Reverberation: a nearly static, cloudy band from the near field down."""
  shape = len(probe.ranges), len(probe.angles)
  fields = scanner.white(rng, 2, *shape)
  fields = scanner.beamform(fields, scanner.transfer(probe, 1.6))
  fields /= np.sqrt(np.mean(np.abs(fields) ** 2))
  centre, width = rng.uniform(25, 60), rng.uniform(28, 50)
  band = -4.3 * ((probe.ranges - centre) / width) ** 2
  if shifted:
    band = np.maximum(band, -4.3 * ((probe.ranges - 2 * centre) / 15) ** 2)
  cloud = smooth_noise(rng, shape, shape[1] / 3) * 3
  level = -18.5 + 11 * strength + np.maximum(band, -40)[:, None] + cloud
  return (fields * 10 ** (level / 20)).astype(np.complex64)


def _dropout(
  probe: scanner.Probe, strength: float, rng: np.random.Generator
) -> Float32[np.ndarray, 'range beam']:
  """A stretch of wall that is not seen."""
  angle = rng.choice([-0.05, 0.35]) + rng.uniform(-0.1, 0.1)
  depth, extent = rng.uniform(35, 90), rng.uniform(12, 25)
  hole = _bell(probe.angles, angle, math.radians(rng.uniform(4, 8)))
  hole = hole * _bell(probe.ranges, depth, extent)[:, None]
  loss = (8 + 16 * strength) * bool(strength) * hole
  return (10 ** (-loss / 20)).astype(np.float32)
