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

Image = Float[Array, 'batch height width 1']  # [-1, 1]
Mask = Float[Array, 'batch height width 1']  # 1 inside the sector, 0 outside
Values = Float[Array, ' batch']  # one number per example


class Frames(NamedTuple):
  """One domain's share of a batch, as the pipeline delivers it."""

  image: Array  # uint8 [batch, height, width, 1]
  mask: Array  # uint8 [batch, height, width, 1], 255 inside the sector


Batch = dict[str, Frames]  # {'low': …, 'high': …}: unpaired


class Verdict(NamedTuple):
  """What a discriminator says of a batch of images."""

  logits: tuple[Array, ...]  # one map [batch, h, w, 1] per scale
  features: tuple[Array, ...]  # hidden maps, shallow to deep


class Outputs(NamedTuple):
  """What one pass of both generators produced, each keyed by domain.

  `fake['high']` is `enhance(real['low'])`; `cycled['low']` is
  `degrade(fake['high'])`; `same['high']` is `enhance(real['high'])`.
  `mask` belongs to `real`; a fake has the mask of its source.
  """

  real: dict[str, Image]
  mask: dict[str, Mask]
  fake: dict[str, Image]
  cycled: dict[str, Image]
  same: dict[str, Image]
  judged: dict[str, Verdict]  # the discriminators' view of `fake`
