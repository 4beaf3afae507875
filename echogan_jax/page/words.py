"""Numbers and metrics in words that a clinician reads."""

from echogan_jax.metrics.catalogue import FACTS, Fact
from echogan_jax.page.records import Interval

ARROWS = {
  'higher': ('↑', 'higher is better'),
  'lower': ('↓', 'lower is better'),
  'zero': ('→ 0', 'nearest to zero is best'),
  '': ('', ''),
}


def fact(name: str) -> Fact:
  """Return what is known of a metric; nothing of one that is not ours."""
  return FACTS.get(name, Fact('', '', ''))


def number(value: float | None) -> str:
  """Write a number with about three digits that mean something."""
  return '' if value is None else _decimals(value, (3, 2, 1))


def short(value: float) -> str:
  """Write a number as a sentence can bear it."""
  return _decimals(value, (2, 1, 1))


def _decimals(value: float, places: tuple[int, int, int]) -> str:
  """Write a number with that many decimals below 1, 10 and 100."""
  size = abs(value)
  if 0 < size < 0.5 * 0.1 ** places[0]:
    text = f'{value:.1g}'
  else:
    digits = dict(zip((1, 10, 100), places, strict=True))
    text = (
      f'{value:.{next((d for top, d in digits.items() if size < top), 0)}f}'
    )
  return text.replace('-', '−')


def signed(value: float) -> str:
  """Write a difference with its sign."""
  return ('+' if value > 0 else '') + short(value)


def percent(value: float) -> str:
  """Write a share of 1 as a percentage."""
  return f'{100 * value:.0f} %'


def span(low: float, high: float) -> str:
  """Write the ends of an interval of differences."""
  return f'{signed(low)} to {signed(high)}'


def share(rate: Interval, of: str = '') -> str:
  """Write a rate with its interval, as `2 of 40 patients (1 to 17 %)`."""
  ends = f'({100 * rate.low:.0f} to {100 * rate.high:.0f} %)'
  part = percent(rate.value)
  if rate.count:
    part = f'{round(rate.value * rate.count)} of {rate.count}'
  return ' '.join(filter(None, (part, of, ends)))
