"""A beating heart in the apical four-chamber view: sizes, tissue, valves.

Lengths are millimetres. Display coordinates are x to the right and y down
from the top centre of the image; heart coordinates are u across and v along
the axis of the left ventricle, from its epicardial apex to its base.
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from echogan_jax.command import BadInput

LEFT_VENTRICLE, MYOCARDIUM, LEFT_ATRIUM, RIGHT_VENTRICLE, RIGHT_ATRIUM = range(
  1, 6
)
PREVALENCE = {
  'effusion': 0.1,
  'thrombus': 0.06,
  'lvh': 0.25,
  'lv_dilated': 0.25,
  'rv_dilated': 0.2,
  'la_enlarged': 0.3,
  'ra_enlarged': 0.25,
}
WIDEST = 0.62  # level of the ventricle's equator, as a share of its length
FULLNESS = 1 - ((1 - WIDEST) ** 3 + WIDEST**3) / (3 * WIDEST**2)
BASE = math.sqrt(1 - (1 / WIDEST - 1) ** 2)  # half width there
_RA_ELONGATION = 1.1
_ATRIUM_FULLNESS = 0.88  # an atrium's area over that of its box


@dataclasses.dataclass(frozen=True, kw_only=True)
class Heart:
  """The numbers that make a patient, at end diastole unless said otherwise.

  Attributes:
    apex_mm: (x, y) of the epicardial apex on the display.
    tilt: angle of the ventricle's axis against the vertical, radians.
    bend_mm: how far the axis is bowed sideways.
    elongation: length of the left ventricle over its diameter.
    mapse_mm: excursion of the mitral annulus in systole.
    la_ml_per_m2: largest volume of the left atrium by body surface.
    ra_cm2: largest area of the right atrium.
    rv_mm: basal diameter of the right ventricle.
    swing_mm: (x, y) amplitude of the whole heart's translation.
  """

  male: bool
  body_surface_m2: float
  heart_rate: float
  apex_mm: tuple[float, float]
  tilt: float
  bend_mm: float
  edv_ml: float
  ef: float
  elongation: float
  wall_mm: float
  mapse_mm: float
  la_ml_per_m2: float
  la_elongation: float
  ra_cm2: float
  rv_mm: float
  rv_wall_mm: float
  effusion_mm: float
  thrombus_mm: float
  swing_mm: tuple[float, float]

  @property
  def radius(self) -> float:
    """Equatorial half width of the left ventricle's cavity."""
    volume = 1000 * self.edv_ml
    return (volume / (2 * math.pi * FULLNESS * self.elongation)) ** (1 / 3)

  @property
  def length(self) -> float:
    """Length of the cavity from the endocardial apex to the annulus."""
    return 2 * self.elongation * self.radius

  @property
  def apical_wall(self) -> float:
    """Thickness of the wall at the apex, where it is thinnest."""
    return 0.65 * self.wall_mm

  @property
  def base(self) -> float:
    """Level v of the mitral annulus."""
    return self.length + self.apical_wall

  @property
  def outer(self) -> float:
    """Equatorial half width of the epicardium."""
    return self.radius + self.wall_mm

  @property
  def tricuspid(self) -> float:
    """Level v of the tricuspid annulus, nearer the apex than the mitral."""
    return self.base - 6.0

  @property
  def left_atrium(self) -> tuple[float, float]:
    """Half width and length (from the annulus to the roof)."""
    half, longest = self._largest_left_atrium
    depth = self.roof - self.base
    return half, longest * depth / (depth + self.mapse_mm)

  @property
  def right_atrium(self) -> tuple[float, float]:
    """Half width and length (from the annulus to the roof)."""
    half, longest = self._largest_right_atrium
    depth = self.roof - self.tricuspid
    return half, longest * depth / (depth + self.mapse_mm)

  @property
  def roof(self) -> float:
    """Level v of the atria's far wall, which hardly moves."""
    left, right = self._largest_left_atrium, self._largest_right_atrium
    end = max(self.base + left[1], self.tricuspid + right[1])
    return end - self.mapse_mm

  @property
  def _largest_left_atrium(self) -> tuple[float, float]:
    # area-length: V = 8 A^2 / (3 pi L), A = fullness x 2 half x L
    shape = 64 / (3 * math.pi) * _ATRIUM_FULLNESS**2 * self.la_elongation
    volume = 1000 * self.la_ml_per_m2 * self.body_surface_m2
    half = (volume / shape) ** (1 / 3)
    return half, 2 * half * self.la_elongation

  @property
  def _largest_right_atrium(self) -> tuple[float, float]:
    shape = 4 * _RA_ELONGATION * _ATRIUM_FULLNESS
    half = math.sqrt(100 * self.ra_cm2 / shape)
    return half, 2 * half * _RA_ELONGATION

  @property
  def septum(self) -> float:
    """Half width u (negative) of the septum's middle at the base."""
    return -BASE * (self.radius + self.wall_mm / 2)

  def labels(self) -> dict[str, int]:
    """Return what the drawn sizes mean by the ASE/EACVI 2015 cut-offs.

    `lv_size` grades the end-diastolic volume (ml): 150/174/200 for men,
    106/120/130 for women; `rv_size` the basal diameter (mm): 41/45/50;
    `la_enlarged` is above 34 ml/m2, `ra_enlarged` above 18 cm2, `lvh` a wall
    of 12 mm or more.
    """
    volumes = (150, 174, 200) if self.male else (106, 120, 130)
    return {
      'la_enlarged': int(self.la_ml_per_m2 > 34),
      'ra_enlarged': int(self.ra_cm2 > 18),
      'lv_size': sum(self.edv_ml > limit for limit in volumes),
      'rv_size': sum(self.rv_mm > limit for limit in (41, 45, 50)),
      'lvh': int(self.wall_mm >= 12),
    }


def draw(
  rng: np.random.Generator,
  *,
  shifted: bool = False,
  prevalence: Mapping[str, float] | None = None,
) -> Heart:
  """Draw a patient.

  Args:
    rng: consumed in the same order whatever the findings are.
    shifted: draw body, rhythm and position from other ranges.
    prevalence: probability of a finding, over `PREVALENCE`.

  Raises:
    BadInput: a finding is unknown or its probability is not in [0, 1].
  """
  chance = _chances(prevalence or {})
  found = {name: rng.random() < share for name, share in chance.items()}
  male = bool(rng.random() < 0.5)

  def pick(low: float, high: float) -> float:
    return float(rng.uniform(low, high))

  def either(finding: str, yes: tuple, no: tuple) -> float:
    return pick(*(yes if found[finding] else no))

  large, normal = ((155, 220), (75, 148)) if male else ((110, 180), (60, 104))
  edv, ef = either('lv_dilated', large, normal), pick(0.2, 0.7)
  return Heart(
    male=male,
    body_surface_m2=pick(1.7, 2.3) if male else pick(1.45, 1.95),
    heart_rate=pick(85, 125) if shifted else pick(50, 100),
    apex_mm=(pick(0, 8), pick(20, 30) if shifted else pick(9, 18)),
    tilt=math.radians(pick(-4, 4) if shifted else pick(3, 14)),
    bend_mm=pick(-2, 4),
    edv_ml=edv,
    ef=ef,
    elongation=pick(1.45, 1.6) if shifted else pick(1.6, 1.95),
    wall_mm=either('lvh', (12.2, 16), (7.5, 11.5)),
    mapse_mm=8 + 10 * (ef - 0.2) / 0.5 * pick(0.7, 1),
    la_ml_per_m2=either('la_enlarged', (36, 60), (20, 33)),
    la_elongation=pick(1.05, 1.3),
    ra_cm2=either('ra_enlarged', (19, 28), (11, 17.5)),
    rv_mm=either('rv_dilated', (42, 54), (29, 40)),
    rv_wall_mm=pick(3, 5),
    effusion_mm=pick(5, 20) * found['effusion'],
    thrombus_mm=pick(8, 20) * found['thrombus'],
    swing_mm=(pick(-1.5, 1.5), pick(-1, 1)),
  )


def _chances(prevalence: Mapping[str, float]) -> dict[str, float]:
  unknown = set(prevalence) - set(PREVALENCE)
  if unknown:
    raise BadInput(
      f'prevalence: no finding called {", ".join(sorted(unknown))}; '
      f'choose from {", ".join(PREVALENCE)}'
    )
  for name, share in prevalence.items():
    if not 0 <= share <= 1:
      raise BadInput(f'prevalence of {name} is {share}: give 0 to 1')
  return {**PREVALENCE, **prevalence}
