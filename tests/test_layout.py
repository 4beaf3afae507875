"""The shape of the code base: imports point down, nothing grows too large."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / 'echogan_jax'
FILES = sorted(PACKAGE.rglob('*.py'))
NOUNS = {'__init__', '__main__', 'command', 'configured', 'image', 'shapes'}
VERBS = {p.stem for p in PACKAGE.glob('*.py')} - NOUNS
# lowest first; a module may import from its own layer and from below
LAYERS = (
  {'', 'shapes', 'command', 'configured'},
  {'image', 'data', 'data.clip', 'data.files', 'data.reject', 'data.item'},
  {'models', 'losses', 'metrics', 'training', 'training.rng', 'data.sector'},
  {'training.pool', 'training.state', 'training.log', 'training.interrupt'},
  {'training.alarm', 'training.hosts', 'training.note', 'training.follow'},
  {'training.play', 'training.trial', 'training.step', 'training.recipe'},
  {'training.combination'},
  {'training.parallel', 'training.checkpoint', 'training.enhancer'},
  {'data.builder', 'data.order', 'data.pipeline'},
  {'evaluation', 'exchange', 'page'},
  {'delivery', 'training.built'},
  {'training.loop', 'training.gauge'},
  {'__main__', *VERBS},
)
TENSORFLOW = {'data.builder', 'data.order', 'data.pipeline'}
CONFIGURED = {'main', 'configured', 'training.loop', 'training.follow'}
CONFIGURED |= {'training.built', 'training.gauge'}


def name_of(path):
  parts = path.relative_to(PACKAGE).with_suffix('').parts
  return '.'.join(part for part in parts if part != '__init__')


def imports(path):
  """Yield every module that a file imports, at the top or inside."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      yield from (f'{node.module}.{alias.name}' for alias in node.names)


def own(path):
  """Yield the modules of the package that a file imports."""
  modules = {name_of(p) for p in FILES}
  for found in imports(path):
    parts = found.split('.')
    if parts[0] != 'echogan_jax':
      continue
    inner = '.'.join(parts[1:])
    yield inner if inner in modules else '.'.join(parts[1:-1])


def layer(module):
  for height, members in enumerate(LAYERS):
    if module in members:
      return height
  return layer(module.split('.')[0]) + (module.startswith('data.'))


@pytest.mark.parametrize('path', FILES, ids=name_of)
def test_imports_point_down(path):
  name = name_of(path)
  for module in own(path):
    assert layer(module) <= layer(name), f'{name} imports {module}'
    assert module not in VERBS, f'{name} imports the verb {module}'


def test_no_import_goes_round_in_a_circle():
  graph = {name_of(path): set(own(path)) - {name_of(path)} for path in FILES}
  while graph:
    free = {name for name, needs in graph.items() if not needs & set(graph)}
    assert free, f'a circle among {sorted(graph)}'
    graph = {name: needs for name, needs in graph.items() if name not in free}


@pytest.mark.parametrize('path', FILES, ids=name_of)
def test_heavy_and_outer_imports_stay_where_they_belong(path):
  name, found = name_of(path), {i.split('.')[0] for i in imports(path)}
  if name not in TENSORFLOW:
    assert not found & {'tensorflow', 'tensorflow_datasets'}
  if name not in CONFIGURED:
    assert 'ml_collections' not in found
  if name != 'configured':
    assert 'absl' not in found
  assert not found & {'configs', 'experiments', 'torch'}


@pytest.mark.parametrize('path', FILES, ids=name_of)
def test_files_and_functions_stay_small(path):
  text = path.read_text()
  assert text.count('\n') <= 250
  assert path.stem not in ('util', 'utils', 'common', 'helpers', 'misc')
  for node in ast.walk(ast.parse(text)):
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
      body = node.body[1:] if ast.get_docstring(node) else node.body
      first = body[0].lineno if body else node.end_lineno
      assert node.end_lineno - first < 50, node.name
      arguments = [a.arg for a in (*node.args.args, *node.args.kwonlyargs)]
      assert not {'rng', 'prng', 'prng_key'} & set(arguments) or (
        path.parent.name == 'data'  # numpy's generators
      )


def test_the_top_level_is_what_was_agreed():
  allowed = {'echogan_jax', 'configs', 'experiments', 'tests'}
  allowed |= {'setup.py', 'README.md', 'LICENSE'}
  made = {'runs', 'build', 'dist', '__pycache__'}  # ignored by git
  seen = {
    path.name
    for path in ROOT.iterdir()
    if not path.name.startswith('.') and path.suffix != '.egg-info'
  }
  assert seen - made <= allowed
