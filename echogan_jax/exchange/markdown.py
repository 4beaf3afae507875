"""A model card as Markdown."""

from collections.abc import Iterator, Mapping
from typing import Any

_COLUMNS = ('input', 'enhanced', 'target')


def render(card: Mapping[str, Any]) -> str:
  """Lay out a finished card for people; all of it is in the JSON too."""
  return '\n'.join(_lines(card)) + '\n'


def _lines(card: Mapping[str, Any]) -> Iterator[str]:
  file = card['file']
  yield f'# {card["name"]}, {file["format"]}\n\n{card["what"]}\n'
  yield f'**Intended use.** {card["intended_use"]}\n'
  yield '## In and out\n'
  for role in ('input', 'output'):
    for name, text in card[role].items():
      yield f'- {role} `{name}`: {text}'
  yield f'- sizes: {file["sizes"]}\n\n```python\n{file["use"]}\n```\n'
  yield '## Limits\n'
  yield from (f'- {limit}' for limit in card['limits'])
  yield '\n## Measured\n'
  for one in card['evaluations']:
    yield from _evaluation(one)
  if not card['evaluations']:
    yield 'Nothing, at this step.\n'
  yield '## Network and training\n'
  yield from _list(card['network'])
  yield from _list(card['training'])
  yield '\n## Identity\n'
  names = ('version', 'step', 'weights_sha256', 'config_sha256')
  yield from _list({name: card[name] for name in names})
  yield from _list({k: v for k, v in file.items() if k != 'use'})


def _evaluation(one: Mapping[str, Any]) -> Iterator[str]:
  said = one['verdict']
  share = 'held-out part' if one['split'] in ('test', 'validation') else 'part'
  whose = 'the training data' if one['of_the_training_data'] else 'other data'
  yield f'**{said["headline"]}**\n'
  yield (
    f'{one["images"]} frames of {one["patients"]} patients, the '
    f'{share} `{one["split"]}` of {whose}.\n'
  )
  for kind in ('worse', 'better', 'unsure', 'unchecked'):
    yield from (f'- {kind}: {text}' for text in said[kind])
  yield '\n| metric | input | enhanced | target | change (95 %) |'
  yield '|---|---:|---:|---:|---|'
  for name, row in one['metrics'].items():
    cells = [f'{row[c]:.4g}' if c in row else '' for c in _COLUMNS]
    change = ''
    if 'change' in row:
      mean, low, high = row['change']
      change = f'{mean:+.3g} ({low:+.3g} to {high:+.3g})'
    yield f'| {" | ".join((name, *cells, change))} |'
  if one['not_measured']:
    yield f'\nNot measured: {", ".join(one["not_measured"])}.'
  yield ''


def _list(found: Mapping[str, Any], prefix: str = '') -> Iterator[str]:
  for name, value in found.items():
    if isinstance(value, Mapping):
      yield from _list(value, f'{prefix}{name}.')
    elif isinstance(value, list | tuple):
      yield f'- {prefix}{name}: {", ".join(map(str, value))}'
    else:
      yield f'- {prefix}{name}: {value}'
