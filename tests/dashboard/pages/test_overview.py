"""Charts of the overview, as they are drawn: what a program can see of them."""

from __future__ import annotations

import html
import json
import re
import time
from typing import Any, Final

import pytest

from gateway.dashboard.views import series

from ..conftest import Watched

pytestmark = pytest.mark.slow
sync_api = pytest.importorskip("playwright.sync_api")

# Lines have a hue; grid, axes and the ground have none to speak of.
_COLOURED: Final = """() => [...document.querySelectorAll('.chart canvas')].map((canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let at = 0; at < data.length; at += 4) {
    const rgb = [data[at], data[at + 1], data[at + 2]];
    if (data[at + 3] > 200 && Math.max(...rgb) - Math.min(...rgb) > 60) found += 1;
  }
  return found;
})"""


def _without_figures(route: Any) -> None:
    """Send the overview as it is where figures take longer than a page waits for them."""
    answer = route.fetch()
    none = f'data-series="{html.escape(json.dumps(series.NONE))}"'
    body, count = re.subn(r'data-series="[^"]*"', none, answer.text())
    assert count == 1
    route.fulfill(response=answer, body=body)


def test_figures_that_come_later_are_drawn_and_stay_in_another_theme(watched: Watched) -> None:
    page = watched.page
    page.route(re.compile(r"/admin/$"), _without_figures)
    watched.goto("")
    # All traffic is of the same minute or two: of most charts a single point is known.
    until = time.monotonic() + 20
    while not _all_are_drawn(watched):
        assert time.monotonic() < until, page.evaluate(_COLOURED)
        page.wait_for_timeout(100)
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(100)
    assert _all_are_drawn(watched), page.evaluate(_COLOURED)
    # It advises to say beforehand that a canvas will be read, which only this test does.
    watched.problems = [each for each in watched.problems if "willReadFrequently" not in each]


def _all_are_drawn(watched: Watched) -> bool:
    found = watched.page.evaluate(_COLOURED)
    return len(found) == 6 and min(found) > 8
