"""The report as a person meets it: drawn, narrow, and with a keyboard alone."""

import pytest
from big_sweep import write_big_sweep

from dashboards.load import load_sweep
from dashboards.page import write_report
from tests.browser import CHROMIUM, FIRST_FIGURE, browser

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here"),
]

VISIBLE = "document.querySelector('.plot').data.filter(line => line.visible !== false).length"
FOCUSED = "document.activeElement.tagName + ' ' + document.activeElement.textContent.slice(0, 20)"


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("big") / "sweep"
    write_big_sweep(folder, num_trials=12)
    return write_report(load_sweep(folder)).as_uri()


@pytest.fixture
def page():
    with browser() as page:
        yield page


def test_figures_are_drawn_when_they_come_into_view_and_not_before(page, url):
    page.size(1200, 800)
    page.open(url, until=FIRST_FIGURE)
    drawn = "[...document.querySelectorAll('.plot')].map(place => !!place.data)"
    assert page.run(drawn)[0] is True
    assert page.run(drawn)[-1] is False
    page.run("[...document.querySelectorAll('.plot')].at(-1).scrollIntoView()")
    page.run("new Promise(done => setTimeout(done, 1500))")
    assert page.run(drawn)[-1] is True


def test_a_narrow_screen_does_not_scroll_sideways(page, url):
    page.size(420, 800)
    page.open(url, until=FIRST_FIGURE)
    assert page.run("document.documentElement.scrollWidth") == 420


def test_the_keyboard_reaches_the_report_and_the_choice_of_trials(page, url):
    page.size(1200, 800)
    page.open(url, until=FIRST_FIGURE)
    everything = page.run(VISIBLE)
    page.press("Tab")
    assert page.run(FOCUSED) == "A Skip to the report"
    page.press("Enter")
    page.press("Tab")
    assert page.run("document.activeElement.type") == "search"
    page.press("Tab")
    assert page.run(FOCUSED) == "BUTTON arm01"
    page.press("Enter")
    assert page.run("document.activeElement.getAttribute('aria-pressed')") == "true"
    assert 0 < page.run(VISIBLE) < everything
    assert page.run("document.querySelector('.choice output').value") == "4 of 12 trials"


def test_typing_a_branch_keeps_its_trunk_in_sight(page, url):
    page.size(1200, 800)
    page.open(url, until=FIRST_FIGURE)
    page.run(
        "{ const field = document.querySelector('.choice input'); field.value = 'arm02.drop30';"
        "  field.dispatchEvent(new Event('input')); }"
    )
    lines = page.run(
        "document.querySelector('.plot').data.filter(line => line.visible !== false)"
        ".map(line => [line.x[0], line.x.at(-1)])"
    )
    assert lines == [[1, 20], [20, 30], [30, 70]]
