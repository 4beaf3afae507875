"""The judge's network: sizes, and that a drawing stays where it was seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from echogan_jax.models import reader
from echogan_jax.shapes import TISSUES


@pytest.mark.parametrize('downs', [1, 2, 4])
def test_it_draws_every_pixel_and_tells_every_finding(downs):
  network = reader.Reader(findings=3, features=2, downs=downs)
  blank = jax.ShapeDtypeStruct((2, 32, 48, 1), jnp.float32)
  (tissues, findings), _ = jax.eval_shape(
    network.init_with_output, jax.random.key(0), blank
  )
  assert tissues.shape == (2, 32, 48, TISSUES)
  assert findings.shape == (2, 3)


def test_blocks_unfold_to_the_pixels_they_were():
  x = jnp.arange(2 * 4 * 6 * 3.0).reshape(2, 4, 6, 3)
  folded = reader._blocks(x)
  assert folded.shape == (2, 2, 3, 12)
  np.testing.assert_array_equal(folded[0, 1, 2, :3], x[0, 2, 4])
  np.testing.assert_array_equal(reader._pixels(folded), x)
