"""The echo phantom: one patient rendered clean and degraded, with truth.

The same patient, motion and speckle appear in both renderings; the truth is
for evaluation only.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Complex64, Float32, UInt8

from echogan_jax.command import BadInput
from echogan_jax.data import (
  anatomy,
  degradation,
  display,
  motion,
  scanner,
  tissue,
  valves,
)

SETTINGS = ('default', 'shifted')


@dataclasses.dataclass(frozen=True)
class Study:
  """A synthetic study and its truth.

  Attributes:
    clean: display grey levels, 0 outside the fan.
    degraded: the same patient, motion and speckle, badly acquired.
    mask: 0 background, 1 left ventricular cavity (papillary muscle and
      thrombus included), 2 its myocardium, 3 left atrium, 4 right ventricle,
      5 right atrium.
    displacement: mm (x, y) from where the material was in frame 0 to where
      it is in frame t, in the grid of frame t; 0 outside the fan. Leaflets
      of the valves move on their own.
    fan: which pixels are inside the sector.
    mm_per_pixel: the same in x and y.
    frame_time: ms; the frames cover one beat and close to a loop.
    heart_rate: beats per minute.
    labels: see `anatomy.Heart.labels`.
    anatomy: the drawn numbers of patient and probe.
    severities: by `degradation.KINDS`, in [0, 1].
  """

  clean: UInt8[np.ndarray, 'time size size']
  degraded: UInt8[np.ndarray, 'time size size']
  mask: UInt8[np.ndarray, 'time size size']
  displacement: Float32[np.ndarray, 'time size size 2']
  fan: Bool[np.ndarray, 'size size']
  mm_per_pixel: float
  frame_time: float
  heart_rate: float
  labels: dict[str, int]
  anatomy: dict[str, float]
  severities: dict[str, float]


def simulate(
  seed: int | Sequence[int],
  *,
  size: int = 128,
  frames: int = 24,
  visit: int = 0,
  setting: str = 'default',
  prevalence: Mapping[str, float] | None = None,
) -> Study:
  """Simulate one patient; the same arguments give the same bytes.

  Args:
    seed: anything `numpy.random.default_rng` takes.
    size: pixels to a side.
    visit: a later study of the same patient: the same heart, another
      acquisition.
    frames: evenly spaced over one beat, from end diastole.
    setting: `default`, or `shifted` for other ranges of patients and probes.
    prevalence: probability of each finding, over `anatomy.PREVALENCE`; 0
      and 1 force it.

  Raises:
    BadInput: unknown setting or finding, or no pixels or frames asked for.
  """
  _check(size, frames, setting)
  streams = np.random.default_rng(seed).spawn(7)
  if visit:
    later = np.random.default_rng([*np.ravel(seed), visit])
    streams[1:] = later.spawn(6)
  shifted = setting == 'shifted'
  heart = anatomy.draw(streams[0], shifted=shifted, prevalence=prevalence)
  probe = _probe(heart, streams[1], shifted=shifted)
  body = tissue.draw(heart, streams[2])
  echoes = _echoes(heart, probe, body, frames, streams[3])
  severities = degradation.draw(streams[5])
  poor = degradation.effects(severities, probe, streams[6], shifted=shifted)
  good = degradation.effects({}, probe, streams[6])
  noise = scanner.pulse(scanner.white(streams[4], *echoes.shape))
  fan = probe.fan(size)
  mask, displacement = _truth(heart, probe, body, frames, fan)
  return Study(
    clean=_render(probe, echoes, noise, good, size),
    degraded=_render(probe, echoes, noise, poor, size),
    mask=mask,
    displacement=displacement,
    fan=fan,
    mm_per_pixel=probe.side_mm / size,
    frame_time=60000 / heart.heart_rate / frames,
    heart_rate=heart.heart_rate,
    labels=heart.labels(),
    anatomy=_numbers(heart, probe),
    severities=severities,
  )


def _check(size: int, frames: int, setting: str) -> None:
  if setting not in SETTINGS:
    raise BadInput(f'setting {setting!r} is not one of {", ".join(SETTINGS)}')
  if size < 16 or frames < 1:
    raise BadInput(
      f'{frames} frames of {size} pixels: ask for 1 frame and 16 pixels or more'
    )


def _probe(
  heart: anatomy.Heart, rng: np.random.Generator, *, shifted: bool
) -> scanner.Probe:
  """The sonographer sets the depth so that the atria just fit."""
  needed = heart.apex_mm[1] + heart.roof * math.cos(heart.tilt)
  depth = float(np.clip(needed + rng.uniform(4, 16), 120, 180))
  return scanner.draw(rng, depth_mm=depth, shifted=shifted)


def _echoes(
  heart: anatomy.Heart,
  probe: scanner.Probe,
  body: tissue.Tissue,
  frames: int,
  rng: np.random.Generator,
) -> Complex64[np.ndarray, 'time range beam']:
  field = scanner.scatterers(probe, rng)
  points = probe.points()
  echoes = np.empty((frames, *field.shape), np.complex64)
  for frame in range(frames):
    phase = frame / frames
    origin = motion.material(heart, points, phase)
    amplitude = np.maximum(
      body.amplitude_at(origin),
      valves.amplitude(heart, body.hinges, points, phase),
    )
    echoes[frame] = scanner.sample(field, probe.place(origin)) * amplitude
  return echoes


def _render(
  probe: scanner.Probe,
  echoes: Complex64[np.ndarray, 'time range beam'],
  noise: Complex64[np.ndarray, 'time range beam'],
  effects: degradation.Effects,
  size: int,
) -> UInt8[np.ndarray, 'time size size']:
  signal = scanner.beamform(echoes * effects.tissue, effects.response)
  if effects.haze is not None:
    turn = 0.6 * np.sin(2 * np.pi * np.arange(len(echoes)) / len(echoes))
    turn = turn.astype(np.float32)[:, None, None]
    signal += np.cos(turn) * effects.haze[0] + np.sin(turn) * effects.haze[1]
  signal *= effects.path
  level = 10 ** ((probe.noise_db + effects.noise_db) / 20)
  # noise enters before the gain that makes up for depth
  signal += noise * (level * display.compensation(probe))[:, None]
  grey = display.compress(
    probe,
    signal,
    gain_db=effects.gain_db,
    dynamic_range_db=effects.dynamic_range_db,
  )
  return display.scan_convert(probe, grey, size)


def _truth(
  heart: anatomy.Heart,
  probe: scanner.Probe,
  body: tissue.Tissue,
  frames: int,
  fan: Bool[np.ndarray, 'size size'],
) -> tuple[np.ndarray, np.ndarray]:
  points = probe.pixels(len(fan))[fan]
  mask = np.zeros((frames, *fan.shape), np.uint8)
  displacement = np.zeros((frames, *fan.shape, 2), np.float32)
  for frame in range(frames):
    origin = motion.material(heart, points, frame / frames)
    mask[frame, fan] = body.labels_at(origin)
    displacement[frame, fan] = points - origin
  return mask, displacement


def _numbers(heart: anatomy.Heart, probe: scanner.Probe) -> dict[str, float]:
  numbers = {}
  for source in (heart, probe):
    for field in dataclasses.fields(source):
      value = getattr(source, field.name)
      if not isinstance(value, tuple):
        numbers[field.name] = float(value)
  del numbers['sector'], numbers['tilt']
  return numbers | {
    'sector_degrees': math.degrees(probe.sector),
    'tilt_degrees': math.degrees(heart.tilt),
  }
