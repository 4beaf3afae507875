"""`python -m echogan_jax`: list the verbs, one line each."""

import ast
import pathlib

_NOUNS = ('__init__', '__main__', 'command', 'configured', 'image', 'shapes')


def verbs() -> dict[str, str]:
  """Return each verb's name and the first line of its docstring."""
  here = pathlib.Path(__file__).parent
  found = {}
  for path in sorted(here.glob('*.py')):
    if path.stem not in _NOUNS:
      doc = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8')))
      found[path.stem] = (doc or '').split('\n')[0]
  return found


if __name__ == '__main__':
  for name, line in verbs().items():
    print(f'python -m echogan_jax.{name:10s} {line}')
