"""Usage in a browser: by team and user, and a file whose progress is shown."""

from __future__ import annotations

import csv

import pytest

from ..conftest import Watched

pytestmark = pytest.mark.slow
pytest.importorskip("playwright.sync_api")


def test_usage_by_user_and_its_file(watched: Watched) -> None:
    page = watched.goto("usage?period=today")
    page.click(".segments >> text=User")
    page.wait_for_url("**group_by=user**")
    row = page.locator("tbody tr").first
    assert "<img" in row.inner_text()
    assert page.locator("img").count() == 0
    with page.expect_download() as download:
        page.click("a:has-text('CSV')")
    page.wait_for_selector(".toast.progress:has-text('rows')")
    with download.value.path().open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert {"user", "team", "cost_nano_usd"} <= rows[0].keys()
    page.click("tbody tr a >> nth=0")
    page.wait_for_selector("text=First to last")


def test_a_team_s_budget_stands_beside_what_it_used(watched: Watched) -> None:
    page = watched.goto("usage?period=today&group_by=team")
    assert page.locator("th:has-text('Team')").count() >= 1
    assert "none" in page.locator("tbody").first.inner_text()
    # The file tells teams apart as the page does.
    with page.expect_download() as download:
        page.click("a:has-text('CSV')")
    with download.value.path().open(encoding="utf-8-sig", newline="") as file:
        assert "team" in (csv.DictReader(file).fieldnames or ())
