"""Image formation of a phased array: from scatterers to display grey levels.

The convolution model (Bamber & Dickinson 1980; Meunier & Bertrand 1995): a
complex Gaussian scatterer field times echogenicity, convolved with the
point-spread function on the polar (range, beam) grid, then envelope, log
compression and scan conversion. Amplitudes are relative to average
myocardium; complex data are baseband.
"""

import dataclasses
import math

import numpy as np
import scipy.fft
from jaxtyping import Bool, Complex64, Float, Float32, Inexact
from scipy import ndimage

_GRAIN = 0.9  # smoothing of the scatterer field, in samples of the grid
_PULSE = 3  # samples to the pulse's full width at half maximum
_MARGIN = 12  # beams beyond each edge of the fan, cut off before display
_SPEED = 1.54  # mm per microsecond
_FWHM = 2 * math.sqrt(2 * math.log(2))  # of a Gaussian, in sigmas


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe:
  """The array and its settings.

  Attributes:
    depth_mm: of the image, from the array's face.
    sector: opening angle in radians.
    radius_mm: from the sector's centre to the face.
    axial_mm: full width at half maximum of the pulse's envelope.
    noise_db: receiver noise at the face.
    residual_db: what the time-gain compensation gets wrong, from the face
      to the bottom at equal steps.
    brightness: display level of average myocardium, of 1.
  """

  depth_mm: float
  sector: float
  radius_mm: float
  frequency_mhz: float
  aperture_mm: float
  focus_mm: float
  axial_mm: float
  noise_db: float
  residual_db: tuple[float, ...]
  dynamic_range_db: float
  brightness: float

  @property
  def ranges(self) -> Float32[np.ndarray, ' range']:
    """Distance of each sample from the face, mm."""
    count = math.ceil(self.depth_mm / self.range_step) + 1
    return np.arange(count, dtype=np.float32) * np.float32(self.range_step)

  @property
  def range_step(self) -> float:
    """Millimetres between samples along a beam."""
    return self.axial_mm / _PULSE

  @property
  def angles(self) -> Float32[np.ndarray, ' beam']:
    """Angle of each beam, margins included, radians to the right."""
    half = math.ceil(self.sector / self.beam_step / 2) + _MARGIN
    return np.arange(-half, half + 1, dtype=np.float32) * np.float32(
      self.beam_step
    )

  @property
  def beam_step(self) -> float:
    """Radians between beams: three to the narrowest beam, 96 at least."""
    return self.sector / max(96, math.ceil(3 * self.sector / self.width))

  @property
  def width(self) -> float:
    """Beam width (FWHM of the two-way pattern) at the focus, radians."""
    return _SPEED / self.frequency_mhz / self.aperture_mm

  @property
  def widths(self) -> Float32[np.ndarray, ' range']:
    """Beam width in radians at each range: best at the focus."""
    blur = 0.5 * (self.focus_mm / (self.ranges + self.radius_mm) - 1)
    return (self.width * np.sqrt(1 + blur**2)).astype(np.float32)

  @property
  def side_mm(self) -> float:
    """Side of the square that just holds the fan."""
    reach = self.radius_mm + self.depth_mm
    return max(2 * reach * math.sin(self.sector / 2), reach - self._face)

  @property
  def _face(self) -> float:
    return self.radius_mm * math.cos(self.sector / 2)

  def points(self) -> Float32[np.ndarray, 'range beam 2']:
    """Return the display coordinates of the polar grid."""
    reach = self.radius_mm + self.ranges[:, None]
    x, y = reach * np.sin(self.angles), reach * np.cos(self.angles)
    return np.stack([x, y - self._face], axis=-1).astype(np.float32)

  def place(
    self, points: Inexact[np.ndarray, '*grid 2']
  ) -> tuple[np.ndarray, np.ndarray]:
    """Return the fractional (range, beam) index of display points."""
    x, y = points[..., 0], points[..., 1] + self._face
    row = (np.hypot(x, y) - self.radius_mm) / self.range_step
    return row, np.arctan2(x, y) / self.beam_step + len(self.angles) // 2

  def pixels(self, size: int) -> Float32[np.ndarray, 'size size 2']:
    """Return the display coordinates of the pixels' centres."""
    centre = (np.arange(size) + 0.5) * (self.side_mm / size)
    grid = np.meshgrid(centre - self.side_mm / 2, centre)
    return np.stack(grid, axis=-1).astype(np.float32)

  def fan(self, size: int) -> Bool[np.ndarray, 'size size']:
    """Return which pixels have their centre inside the sector."""
    row, beam = self.place(self.pixels(size))
    angle = np.abs(beam - len(self.angles) // 2) * self.beam_step
    depth = row * self.range_step
    return (depth >= 0) & (depth <= self.depth_mm) & (angle <= self.sector / 2)


def draw(
  rng: np.random.Generator, *, depth_mm: float, shifted: bool = False
) -> Probe:
  """Draw a probe and its settings; `shifted` draws from other ranges."""

  def pick(low: float, high: float) -> float:
    return float(rng.uniform(low, high))

  return Probe(
    depth_mm=depth_mm,
    sector=math.radians(pick(60, 70) if shifted else pick(72, 90)),
    radius_mm=pick(5, 12),
    frequency_mhz=pick(3.5, 4.5) if shifted else pick(1.7, 3.4),
    aperture_mm=pick(13, 16) if shifted else pick(16, 22),
    focus_mm=pick(60, 110),
    axial_mm=pick(0.65, 0.95),
    noise_db=pick(-68, -60),
    residual_db=tuple(rng.uniform(-2.5, 2.5, 5)),
    dynamic_range_db=pick(50, 65),
    brightness=pick(0.5, 0.6),
  )


def white(
  rng: np.random.Generator, *shape: int
) -> Complex64[np.ndarray, '...']:
  """Return circular complex Gaussian noise of unit power."""
  parts = rng.standard_normal((*shape, 2), dtype=np.float32)
  return parts.view(np.complex64)[..., 0] * np.float32(math.sqrt(0.5))


def scatterers(
  probe: Probe, rng: np.random.Generator
) -> Complex64[np.ndarray, 'range beam']:
  """Return the patient's scatterers on the probe's grid at end diastole.

  White noise, smoothed by less than a sample's spacing so that it can be
  interpolated where the material moves between samples.
  """
  field = white(rng, len(probe.ranges), len(probe.angles))
  field = _smooth(_smooth(field, _GRAIN, 0), _GRAIN, 1)
  return field / np.sqrt(np.mean(np.abs(field) ** 2))


def _smooth(field: np.ndarray, sigma: float, axis: int) -> np.ndarray:
  """Smooth complex data along one axis with a periodic Gaussian."""
  field = np.ascontiguousarray(field, np.complex64)
  parts = field[..., None].view(np.float32)
  return ndimage.gaussian_filter1d(
    parts, sigma, axis % field.ndim, mode='wrap'
  ).view(np.complex64)[..., 0]


def sample(
  field: Complex64[np.ndarray, 'range beam'],
  place: tuple[np.ndarray, np.ndarray],
) -> Complex64[np.ndarray, '*grid']:
  """Interpolate scatterers bilinearly at fractional, periodic indices.

  The weights keep the power: plain bilinear interpolation would darken the
  points halfway between samples.
  """
  alike = math.exp(-1 / (4 * _GRAIN**2))
  corners, weights = [], []
  for index, count in zip(place, field.shape, strict=True):
    low = np.floor(index)
    part = (index - low).astype(np.float32)
    scale = 1 / np.sqrt(1 - 2 * (1 - alike) * part * (1 - part))
    low = low.astype(np.int32) % count
    corners.append((low, (low + 1) % count))
    weights.append(((1 - part) * scale, part * scale))
  flat, beams = field.ravel(), field.shape[1]
  result = np.zeros(place[0].shape, np.complex64)
  for row, down in zip(corners[0], weights[0], strict=True):
    for beam, across in zip(corners[1], weights[1], strict=True):
      result += flat[row * beams + beam] * (down * across)
  return result


def transfer(
  probe: Probe, widening: float = 1.0
) -> Float32[np.ndarray, 'range frequency']:
  """Return the beam's lateral transfer function at each range.

  The grain of the scatterer field is taken off, so that the point-spread
  function has the width that the probe states.
  """
  sigma = widening * probe.widths / (_FWHM * probe.beam_step)
  sigma = np.sqrt(np.maximum(sigma**2 - _GRAIN**2, 0.01))
  return gaussian(len(probe.angles), sigma)


def gaussian(
  beams: int, sigma: Float[np.ndarray, ' range']
) -> Float[np.ndarray, 'range frequency']:
  """Return a lateral Gaussian's transfer function over cycles per beam.

  Its power is such that unit scatterers give unit echoes.
  """
  frequency = scipy.fft.fftfreq(beams).astype(np.float32)
  grain = np.exp(-((2 * np.pi * _GRAIN * frequency) ** 2))
  response = np.exp(-2 * (np.pi * sigma[:, None] * frequency) ** 2)
  power = (response**2 * grain).sum(axis=1) / grain.sum()
  return response / np.sqrt(power)[:, None]


def beamform(
  echoes: Complex64[np.ndarray, '*time range beam'],
  response: Inexact[np.ndarray, 'range frequency'],
) -> Complex64[np.ndarray, '*time range beam']:
  """Convolve echoes with the beam across and the pulse along the range."""
  return pulse(scipy.fft.ifft(scipy.fft.fft(echoes) * response))


def pulse(
  echoes: Complex64[np.ndarray, '*time range beam'],
) -> Complex64[np.ndarray, '*time range beam']:
  """Convolve with the pulse; unit scatterers give unit echoes."""
  sigma = _PULSE / _FWHM
  kernel = math.sqrt(sigma**2 - _GRAIN**2)
  return _smooth(echoes, kernel, -2) * np.float32(math.sqrt(sigma / _GRAIN))
