"""The vocabulary: every shape of the project on one screen. Read this first.

Images inside the code are float32 in [-1, 1], NHWC, one channel; on disk and
in batches they are uint8. The two domains are named, never lettered:
`low` and `high` quality. Generators are `enhance` (low -> high) and
`degrade` (high -> low); a discriminator is named for the domain it judges.
"""

from typing import NamedTuple

from jaxtyping import Array, Float

DOMAINS = ('low', 'high')
GENERATORS = {'enhance': ('low', 'high'), 'degrade': ('high', 'low')}

# what is said of a study: 0 normal to 3 severe, or 0 and 1; -1 unknown
GRADES = ('la_enlarged', 'ra_enlarged', 'lv_size', 'rv_size', 'lvh')
# what is drawn of a frame: 0 background, 1 LV, 2 myocardium, 3 LA, 4 RV, 5 RA
TISSUES = 6
DRAWN = {'lv': 1, 'myocardium': 2, 'la': 3, 'rv': 4, 'ra': 5}
UNDRAWN = 255

Image = Float[Array, 'batch height width 1']  # [-1, 1]
Mask = Float[Array, 'batch height width 1']  # 1 inside the sector, 0 outside
Values = Float[Array, ' batch']  # one number per example


class Frames(NamedTuple):
  """One domain's share of a batch, as the pipeline delivers it.

  Grades and anatomy are there only if some loss asks for them.
  """

  image: Array  # uint8 [batch, height, width, 1]
  mask: Array  # uint8 [batch, height, width, 1], 255 inside the sector
  grades: Array | None = None  # int32 [batch, 5] in the order of GRADES
  anatomy: Array | None = None  # uint8 [batch, height, width, 1]


Batch = dict[str, Frames]  # {'low': …, 'high': …}: unpaired


class Verdict(NamedTuple):
  """What a discriminator says of a batch of images."""

  logits: tuple[Array, ...]  # one map [batch, h, w, 1] per scale
  features: tuple[Array, ...]  # hidden maps, shallow to deep
  grades: dict[str, Array] = {}  # [batch, levels - 1]: logit of `above level`


class Reading(NamedTuple):
  """What the task network reads from a batch of images."""

  grades: dict[str, Array]  # as a verdict's
  anatomy: Array  # [batch, height, width, TISSUES] logits
  features: tuple[Array, ...]  # hidden maps, shallow to deep


class Patches(NamedTuple):
  """Unit vectors at the same places of a translation and of its source."""

  query: Array  # [batch, places, features], of the translation
  key: Array  # [batch, places, features], of the source, without gradient
  valid: Array  # [batch, places], 1 inside the sector


class Outputs(NamedTuple):
  """What one pass of the generators produced, each keyed by domain.

  `fake['high']` is `enhance(real['low'])`; `cycled['low']` is
  `degrade(fake['high'])`; `same['high']` is `enhance(real['high'])`.
  `mask` belongs to `real`; a fake has the mask of its source. A field that
  no term of the objective reads is empty.
  """

  real: dict[str, Image]
  mask: dict[str, Mask]
  fake: dict[str, Image]
  cycled: dict[str, Image] = {}
  same: dict[str, Image] = {}
  grades: dict[str, Array] = {}  # of `real`
  anatomy: dict[str, Array] = {}  # of `real`
  judged: dict[str, Verdict] = {}  # the discriminators' view of `fake`
  judged_real: dict[str, Verdict] = {}
  judged_cycled: dict[str, Verdict] = {}
  read: dict[str, Reading] = {}  # the task network's view of `fake`
  read_real: dict[str, Reading] = {}
  seen_real: dict[str, tuple[Array, ...]] = {}  # VGG16's view of `real`
  seen_cycled: dict[str, tuple[Array, ...]] = {}
  patches: dict[str, tuple[Patches, ...]] = {}  # of `fake`, one per depth
  patches_same: dict[str, tuple[Patches, ...]] = {}  # of `same`


class Trial(NamedTuple):
  """What one discriminator is trained on: both verdicts, and on what."""

  real: Verdict
  fake: Verdict
  real_mask: Mask
  fake_mask: Mask
  grades: Array | None = None  # of the real images
  mixed: Verdict | None = None  # of real and fake cut together (CutMix)
  mix: Mask | None = None  # 1 where the mixed image is real
