"""ONNX: the enhancer as a graph for onnxruntime and its like.

jax2onnx, which draws the graph, pins an older Orbax than ours, so it lives in
an environment of its own. Plain arrays cross over: run as a program there,
this module needs nothing of ours but the networks.
"""

import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import export
from jaxtyping import PyTree

import echogan_jax
from echogan_jax import command, models
from echogan_jax.command import BadInput
from echogan_jax.exchange import deployed, markdown

_MISSING = (
  'ONNX needs jax2onnx, in an environment of its own (it pins an older '
  'Orbax): python -m venv onnx-env && onnx-env/bin/pip install jax2onnx, '
  'then add --python=onnx-env/bin/python'
)
_USE = """
# pip install onnxruntime; the card: session.get_modelmeta()
import onnxruntime
session = onnxruntime.InferenceSession('FILE.onnx')
feed = {'frames': frames, 'inside': inside}
enhanced, values = session.run(['enhanced', 'values'], feed)
"""


def write(
  path: pathlib.Path,
  model: Mapping[str, Any],
  params: PyTree,
  card: Mapping[str, Any],
  *,
  python: str | None = None,
) -> str:
  """Let another interpreter convert the network, and hold it to ours.

  Args:
    path: of the file.
    model: `config.model`; the graph computes in float32 whatever it says.
    params: weights of the generator that enhances.
    card: what `card.describe` returned.
    python: interpreter that has jax2onnx; None for this one.

  Returns:
    which frames the file takes.

  Raises:
    BadInput: there is no such interpreter, it lacks jax2onnx, or that cannot
      convert this network.
  """
  interpreter = _interpreter(python)
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    # both sides run the same networks, whatever is installed there
    package = pathlib.Path(echogan_jax.__file__).parent
    (folder / 'echogan_jax').symlink_to(package)
    _hand_over(folder, dict(model) | {'dtype': 'float32'}, params, card)
    done = subprocess.run(
      [interpreter, '-m', __name__, folder, path.absolute()],
      cwd=folder,  # where -m looks first
      env=os.environ | {'JAX_PLATFORMS': 'cpu'},
      capture_output=True,
      text=True,
    )
  if done.returncode:
    last = (done.stderr.strip().splitlines() or ['no reason given'])[-1]
    if done.returncode != 2:  # not even ours to tell
      raise BadInput(f'{interpreter}: {last}; {_MISSING}')
    raise BadInput(last.removeprefix('error: '))
  return done.stdout.strip().splitlines()[-1]


def _interpreter(python: str | None) -> str:
  if python is None:
    if importlib.util.find_spec('jax2onnx') is None:
      raise BadInput(_MISSING)
    return sys.executable
  found = shutil.which(pathlib.Path(python).expanduser())
  if found is None:
    raise BadInput(f'--python={python} is no program: {_MISSING}')
  return os.path.abspath(found)


def _hand_over(
  folder: pathlib.Path, model: Mapping, params: PyTree, card: Mapping
) -> None:
  generator = models.generators(model).generator
  np.savez(folder / 'weights.npz', **flatten_dict(params, sep='/'))
  (folder / 'about.json').write_text(
    json.dumps({'model': model, 'card': card}, allow_nan=False)
  )
  call = jax.jit(deployed.deployed(generator, params))
  samples = deployed.samples(generator, card['network']['size'])
  for i, sample in enumerate(samples):
    arrays = (*sample, *deployed.run(call, sample))
    names = (*deployed.INPUTS, *deployed.OUTPUTS)
    named = dict(zip(names, arrays, strict=True))
    np.savez(folder / f'sample_{i}.npz', **named)


def main(argv: Sequence[str]) -> None:
  """Convert what `write` left in a folder: FOLDER FILE.onnx."""
  folder, path = map(pathlib.Path, argv)
  try:
    import jax2onnx  # noqa: F401
    import onnx
  except ImportError as error:
    raise BadInput(_MISSING) from error

  about = json.loads((folder / 'about.json').read_text())
  card, generator = about['card'], models.generators(about['model']).generator
  with np.load(folder / 'weights.npz') as weights:
    params = unflatten_dict(dict(weights), sep='/')
  call = deployed.deployed(generator, params)
  trained = card['network']['size']
  graph, sizes = _convert(call, generator, trained, folder)
  told = {'format': 'ONNX', 'sizes': sizes, 'use': _USE.strip()}
  told |= {'opset': max(one.version for one in graph.opset_import)}
  told |= {'dtype': about['model']['dtype']}
  card |= {'file': told}
  texts = {'card.json': json.dumps(card), 'card.md': markdown.render(card)}
  onnx.helper.set_model_props(graph, texts)
  graph.doc_string = card['intended_use']
  onnx.checker.check_model(graph, full_check=True)
  path.write_bytes(graph.SerializeToString())
  print(sizes)


def _convert(
  call: deployed.Deployed,
  generator: nn.Module,
  trained: int,
  folder: pathlib.Path,
) -> tuple[Any, str]:
  """Return a graph that is right, for any size if there is one that can."""
  import jax2onnx

  flexible = tuple(_rules(generator))
  cases = ('height, width', flexible), (f'{trained}, {trained}', ())
  for tried, (sides, rules) in enumerate(cases):
    try:
      shape = export.symbolic_shape(f'batch, {sides}, 1', constraints=rules)
      types = (jnp.uint8, jnp.bool_)
      graph = jax2onnx.to_onnx(
        call,
        [jax.ShapeDtypeStruct(shape, dtype) for dtype in types],
        model_name='echogan_jax',
        input_names=deployed.INPUTS,
        output_names=deployed.OUTPUTS,
      )
      samples = sorted(folder.glob('sample_*.npz'))
      worst = max(_differences(graph, samples[:1] if tried else samples))
    except Exception as error:  # it raises whatever it meets
      reason = f'{type(error).__name__}: {" ".join(str(error).split())[:200]}'
    else:
      if worst <= deployed.TOLERANCE:
        return graph, deployed.sizes(generator, trained, fixed=bool(tried))
      reason = f'the graph differs from the network by {worst:.2g}'
  raise BadInput(f'jax2onnx cannot convert this network: {reason}')


def _rules(generator: nn.Module) -> Iterator[str]:
  """Yield what holds for sides that can be halved as often as is needed.

  A halving leaves floor((n - 1) / 2) + 1 or floor((n - 2) / 2) + 1, by its
  padding; both are n / 2 here, which the tracer cannot know by itself.
  """
  for side in ('height', 'width'):
    yield f'{side} >= {generator.smallest}'
    yield f'mod({side}, {generator.multiple}) == 0'
    for less in (1, 2):
      whole = side
      for _ in range(generator.multiple.bit_length() - 1):
        half = f'floordiv({whole} - {less}, 2)'
        yield f'2*{half} == {whole} - 2'
        whole = f'{half} + 1'


def _differences(
  graph: Any, samples: Sequence[pathlib.Path]
) -> Iterator[float]:
  import onnxruntime

  session = onnxruntime.InferenceSession(graph.SerializeToString())
  for path in samples:
    with np.load(path) as sample:
      found = session.run(None, {n: sample[n] for n in deployed.INPUTS})
      yield deployed.difference(found, [sample[n] for n in deployed.OUTPUTS])


if __name__ == '__main__':
  command.run(main)
