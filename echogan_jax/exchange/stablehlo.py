"""StableHLO: the enhancer as `jax.export` writes it, for CPU, GPU and TPU.

The file starts with what `jax.export.deserialize` reads and ends with a ZIP
archive of the model card: each reader finds its own end.
"""

import contextlib
import functools
import json
import pathlib
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import export
from jaxtyping import PyTree

from echogan_jax.command import BadInput
from echogan_jax.exchange import deployed, markdown

PLATFORMS = ('cpu', 'cuda', 'tpu')
_USE = """
# pip install jax flatbuffers; the card: unzip -p FILE.stablehlo card.md
import pathlib, jax.export
file = jax.export.deserialize(pathlib.Path('FILE.stablehlo').read_bytes())
enhanced, values = file.call(frames, inside)
"""


def write(
  path: pathlib.Path,
  generator: nn.Module,
  params: PyTree,
  card: Mapping[str, Any],
) -> str:
  """Write a file that holds for any batch and any size the network takes.

  Args:
    path: of the file.
    generator: that enhances.
    params: its weights.
    card: what `card.describe` returned.

  Returns:
    which frames the file takes.

  Raises:
    BadInput: what was written computes something else than the network.
  """
  call = jax.jit(deployed.deployed(generator, params))
  path.write_bytes(_export(call, generator).serialize())
  trained = card['network']['size']
  sizes = deployed.sizes(generator, trained)
  about = {'format': 'StableHLO', 'sizes': sizes, 'use': _USE.strip()}
  about |= {'platforms': PLATFORMS, 'jax': jax.__version__}
  _append(path, card | {'file': about})
  read = export.deserialize(path.read_bytes())
  for sample in deployed.samples(generator, trained):
    made = (deployed.run(which, sample) for which in (read.call, call))
    if deployed.difference(*made) > deployed.TOLERANCE:
      raise BadInput(
        f'JAX {jax.__version__} exports another network than this: try '
        'another version'
      )
  return sizes


def _export(call: jax.stages.Wrapped, generator: nn.Module) -> export.Exported:
  multiple = generator.multiple
  least = -(-generator.smallest // multiple)
  shape = export.symbolic_shape(
    f'batch, {multiple}*rows, {multiple}*columns, 1',
    constraints=(f'rows >= {least}', f'columns >= {least}'),
  )
  inputs = (jax.ShapeDtypeStruct(shape, t) for t in (jnp.uint8, jnp.bool_))
  with _anonymous():
    return export.export(call, platforms=PLATFORMS)(*inputs)


@contextlib.contextmanager
def _anonymous() -> Iterator[None]:
  """Leave out where each operation was written: paths name people."""
  name = 'jax_traceback_in_locations_limit'
  restore = functools.partial(
    jax.config.update, name, getattr(jax.config, name)
  )
  jax.config.update(name, 0)
  try:
    yield
  finally:
    restore()


def _append(path: pathlib.Path, card: Mapping[str, Any]) -> None:
  texts = {
    'card.json': json.dumps(card, indent=2, allow_nan=False) + '\n',
    'card.md': markdown.render(card),
  }
  with zipfile.ZipFile(path, 'a') as archive:
    for name, text in texts.items():
      # the same bytes every time: no time of writing
      archive.writestr(zipfile.ZipInfo(name), text)
