"""From complex echoes to the picture: log compression, scan conversion."""

import numpy as np
from jaxtyping import Complex64, Float, Float32, UInt8
from scipy import ndimage, sparse

from echogan_jax.data.scanner import Probe

_SMOOTHING = 0.8  # of the log-compressed data, samples: what vendors add


def compensation(probe: Probe) -> Float32[np.ndarray, ' range']:
  """Return the gain that undoes 0.5 dB/cm/MHz each way, 40 dB at most."""
  loss = 2 * 0.5 * probe.frequency_mhz * probe.ranges / 10
  return 10 ** (np.minimum(loss, 40) / 20)


def compress(
  probe: Probe,
  echoes: Complex64[np.ndarray, '*time range beam'],
  *,
  gain_db: float = 0.0,
  dynamic_range_db: float | None = None,
) -> Float[np.ndarray, '*time range beam']:
  """Return grey levels in [0, 255]: envelope, log compression, smoothing.

  Args:
    probe: its settings of gain and dynamic range.
    echoes: compensated for depth.
    gain_db: on top of the probe's.
    dynamic_range_db: instead of the probe's.
  """
  span = dynamic_range_db or probe.dynamic_range_db
  knots = np.linspace(0, probe.depth_mm, len(probe.residual_db))
  gain = np.interp(probe.ranges, knots, probe.residual_db) + gain_db
  power = echoes.real**2 + echoes.imag**2
  level = 10 * np.log10(power + 1e-12) + gain.astype(np.float32)[:, None]
  level = np.clip(level / span + probe.brightness, 0, 1) * 255
  for axis in (-1, -2):
    level = ndimage.gaussian_filter1d(level, _SMOOTHING, axis=axis)
  return level


def scan_convert(
  probe: Probe, levels: Float[np.ndarray, 'time range beam'], size: int
) -> UInt8[np.ndarray, 'time size size']:
  """Resample to square pixels, bilinear, averaged over each pixel.

  Args:
    probe: whose grid `levels` lies on.
    levels: grey levels in [0, 255].
    size: pixels to a side; those outside the sector become 0.
  """
  inside = probe.fan(size)
  pixel = probe.side_mm / size
  finer = int(np.clip(round(pixel / probe.range_step / 2), 1, 3))
  offset = ((np.arange(finer) + 0.5) / finer - 0.5) * pixel
  shifts = np.stack(np.meshgrid(offset, offset), axis=-1).reshape(-1, 2)
  points = probe.pixels(size)[inside][:, None] + shifts.astype(np.float32)
  row, beam = (
    np.clip(index, 0, count - 1.001)
    for index, count in zip(probe.place(points), levels.shape[1:], strict=True)
  )
  top, left = row.astype(np.int32), beam.astype(np.int32)
  down, across = row - top, beam - left
  places, weights = [], []
  for i, part in enumerate((1 - down, down)):
    for j, share in enumerate((1 - across, across)):
      places.append((top + i) * levels.shape[2] + left + j)
      weights.append(part * share / len(shifts))
  columns, values = (np.concatenate(x, axis=1) for x in (places, weights))
  matrix = sparse.csr_array(
    (
      values.ravel().astype(np.float32),
      columns.ravel(),
      np.arange(len(points) + 1) * columns.shape[1],
    ),
    shape=(len(points), levels[0].size),
  )
  frames = np.zeros((len(levels), size, size), np.uint8)
  grey = matrix @ levels.reshape(len(levels), -1).T
  frames[:, inside] = np.rint(grey.T)
  return frames
