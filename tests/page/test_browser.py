"""The report in a real browser: it needs nothing and complains of nothing."""

import browser

from echogan_jax import report


def test_the_report_opens_without_a_network(full, tmp_path):
  report.main([f'--workdir={full}'])
  with browser.opened(tmp_path) as tab:
    tab.size(1280, 800)
    tab.open((full / 'report.html').as_uri())
    broken = '[...document.images].filter((i) => !i.naturalWidth).length'
    assert tab.run('document.images.length') and tab.run(broken) == 0
    assert tab.run('document.querySelectorAll("h2").length') > 5

    film = 'document.querySelector(".film")'
    place = f'{film}.querySelector(".frame").style.backgroundPosition'
    tab.run(f'{film}.querySelector("button").click()')
    tab.wait(f'{place} && {place} !== "0px 0px"')

    slider = 'document.querySelector(".slider input")'
    tab.run(f'({slider}.value = 10, {slider}.oninput())')
    after = 'document.querySelector(".slider .after").style.clipPath'
    assert '10%' in tab.run(after)
    tab.picture(tmp_path / 'report.png')

    tab.size(390, 844, mobile=True)
    assert tab.run('document.documentElement.scrollWidth') <= 390
    assert tab.errors == []
    assert all(u.startswith(('file:', 'data:')) for u in tab.requests)
