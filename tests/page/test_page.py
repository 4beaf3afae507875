"""The page as a whole: valid, escaped, and only what there is."""

import html.parser
import json
import re
import shutil

import pytest

from echogan_jax import report
from echogan_jax.command import BadInput
from echogan_jax.page import pictures, records

VOID = {'br', 'img', 'input', 'link', 'meta'}
HEADINGS = {
  'Does it help? Does it harm?': ('eval/test/metrics.json',),
  'All numbers': ('eval/test/metrics.json',),
  'Patient by patient': ('eval/test/per_image.csv',),
  'Before and after': ('eval/test/pictures',),
  'Cases side by side': ('eval/test/pictures',),
  'Clips side by side': ('eval/test/clips',),
  'Does it paint what it learnt?': ('eval/hallucination.json',),
  'Enhanced clips': ('enhanced',),
  'As training went on': ('samples',),
}


class Outline(html.parser.HTMLParser):
  """Checks that tags are balanced; keeps headings, attributes and text."""

  def __init__(self):
    super().__init__()
    self.open, self.headings, self.tags, self.text = [], [], [], ''

  def handle_starttag(self, tag, attributes):
    self.tags.append((tag, dict(attributes)))
    if tag not in VOID:
      self.open.append(tag)

  def handle_startendtag(self, tag, attributes):
    self.tags.append((tag, dict(attributes)))

  def handle_endtag(self, tag):
    assert self.open and self.open.pop() == tag, (tag, self.getpos())

  def handle_data(self, data):
    if self.open and self.open[-1] not in ('style', 'script'):
      self.text += data
    if self.open and self.open[-1] == 'h2':
      self.headings.append(data.strip())


def outline(workdir, *flags):
  report.main([f'--workdir={workdir}', *flags])
  found = Outline()
  found.feed((workdir / 'report.html').read_text())
  found.close()
  assert not found.open
  return found


def remove(path):
  shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_the_full_page_is_valid_and_complete(full):
  found = outline(full)
  assert set(HEADINGS) <= set(found.headings)
  assert {"Is it still this patient's heart?", 'Config'} <= set(found.headings)
  assert found.tags[0] == ('html', {'lang': 'en'})
  for tag, attributes in found.tags:
    if tag == 'img':
      assert attributes['alt'] and attributes['src'].startswith('data:image/')
    assert not {'href', 'srcset'} & set(attributes) or tag == 'use'
  for text in ('no InceptionV3 weights', 'it paints what it learnt', 'Worst'):
    assert text in found.text
  assert (full / 'report.html').stat().st_size < 1_000_000


def test_nothing_on_the_page_needs_a_network(full):
  outline(full)
  page = (full / 'report.html').read_text()
  page = re.sub(r'data:image/[a-z+]+;base64,[\w+/=]+', '', page)
  assert page.count('<svg') == 1  # the others are pictures to save
  assert 'http' not in page.replace('http://www.w3.org', '')
  assert not re.search(r'src="(?!")|@import|url\((?![)#])', page)


def test_clips_that_would_not_fit_are_named(full, monkeypatch):
  monkeypatch.setattr(pictures, 'BUDGET', 10)
  text = outline(full).text
  assert 'clips/0.gif is too large for this page' in text
  assert 'first: too large for this page' in text


def test_a_section_vanishes_with_its_data(full):
  for heading, paths in reversed(HEADINGS.items()):
    for path in paths:
      if (full / path).exists():
        remove(full / path)
    assert heading not in outline(full).headings
  assert outline(full).headings == ['Training', 'Config']


def test_a_run_without_evaluation_has_curves_only(bare):
  assert outline(bare).headings == ['Training', 'Config']


def test_older_evaluations_are_read(bare, made_up):
  values = {'psnr/input': 20.0, 'psnr/enhanced': 22.0, 'gcnr/target': 0.9}
  found = {'step': 4, 'split': 'all', 'images': 8, 'studies': 8}
  made_up.write(bare / 'eval' / 'all', found | {'metrics': values})
  text = outline(bare).text
  assert 'Nearness to the truth (PSNR): 20.0 → 22.0 dB' in text
  assert 'Nothing is certain' in text and '▲ better' not in text


HOSTILE = '<script>alert("x")</script>&$\\frac{'


def test_hostile_strings_are_escaped(full, made_up):
  whole = made_up.evaluation()
  for key in ('metrics', 'changes', 'findings', 'skipped', 'extractors'):
    whole[key][HOSTILE] = next(iter(whole[key].values()))
  whole['method'] = whole['split'] = whole['config_sha256'] = HOSTILE
  whole['skipped']['kid'] = HOSTILE
  for listed in (*whole['pictures'], *whole['clips']):
    listed |= {'columns': [HOSTILE] * 3, 'patient': HOSTILE}
  made_up.write(full / 'eval' / 'test', whole)
  sweep = made_up.sweep() | {'finding': HOSTILE, 'slopes': {}}
  sweep['points'][0]['variant'] = HOSTILE
  (full / 'sweep.json').write_text(json.dumps(sweep))
  lines = (full / 'metrics.jsonl').read_text()
  line = {'step': 2000, f'loss/{HOSTILE}': 1.0, 'alarms': [HOSTILE]}
  (full / 'metrics.jsonl').write_text(lines + json.dumps(line) + '\n')
  found = outline(full, f'--hallucination={full / "sweep.json"}')
  assert [tag for tag, _ in found.tags].count('script') == 1
  assert '<script>alert' not in (full / 'report.html').read_text()


def test_nothing_outside_the_evaluation_is_embedded(full, made_up):
  whole = made_up.evaluation()
  whole['pictures'] = [{'file': '../../samples/step_100.png'}]
  whole['clips'] = [{'file': str(full / 'enhanced' / 'first.gif')}]
  made_up.write(full / 'eval' / 'test', whole)
  headings = outline(full).headings
  assert 'Cases side by side' not in headings
  assert 'Clips side by side' not in headings


@pytest.mark.parametrize(
  'text',
  [
    '{',
    '[]',
    '{}',
    '{"metrics": {"psnr/input": "high"}}',
    '{"metrics": {}, "changes": {"psnr": {"mean": 1.0}}}',
    '{"metrics": {}, "pictures": [{}]}',
    '{"metrics": {}, "findings": {"effusion": []}}',
  ],
)
def test_a_damaged_file_is_named(full, text):
  path = full / 'eval' / 'test' / 'metrics.json'
  path.write_text(text)
  with pytest.raises(BadInput, match=r'metrics\.json is damaged: evaluate'):
    report.main([f'--workdir={full}'])


def test_damaged_pictures_and_sweeps_are_named(full):
  (full / 'eval' / 'hallucination.json').write_text('{"points": []}')
  with pytest.raises(BadInput, match='run the sweep again'):
    report.main([f'--workdir={full}'])
  (full / 'eval' / 'test' / 'clips' / '0.gif').write_bytes(b'GIF89a')
  with pytest.raises(BadInput, match=r'0\.gif is damaged'):
    report.main([f'--workdir={full}'])


def test_values_are_averaged_by_patient():
  rows = [
    {'patient': 'a', 'psnr/input': '1', 'psnr/enhanced': '2'},
    {'patient': 'a', 'psnr/input': '3', 'psnr/enhanced': '4'},
    {'patient': 'b', 'psnr/input': '5', 'psnr/enhanced': ''},
  ]
  found = records.paired(rows, 'psnr', ('input', 'enhanced'))
  assert found.tolist() == [[2.0, 3.0]]
