"""Addresses with their filters."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.dashboard import links


def test_parameters_are_kept_replaced_and_taken_out() -> None:
    params = {"model": ["a", "b&c"], "status": ["error"], "cursor": [""]}
    assert links.with_params("/p", params) == "/p?model=a&model=b%26c&status=error"
    assert links.with_params("/p", params, status=None, model="x") == "/p?model=x"
    assert links.to("requests", model=None) == "/admin/requests"


def test_an_id_of_a_caller_is_one_part_of_the_path() -> None:
    assert links.to_item("requests", 'a/../b?c#d"<') == "/admin/requests/a%2F..%2Fb%3Fc%23d%22%3C"


@pytest.mark.parametrize(
    "target",
    ["https://e.org", "//e.org", "/admin//e", "/admin/\\e", "/admin/\n", "/administrator", ""],
)
def test_what_is_not_inside_becomes_the_first_page(target: str) -> None:
    assert links.inside(target) == "/admin/"


def test_what_is_inside_stays() -> None:
    assert links.inside("/admin/requests?model=a%2Fb") == "/admin/requests?model=a%2Fb"


def test_no_page_says_where_it_is_by_itself() -> None:
    """`[admin] path` may put all of them elsewhere: links are made by `links` alone."""
    folder = Path(links.__file__).parent
    found = [
        f"{file.relative_to(folder)}: {line.strip()}"
        for file in (
            *folder.rglob("*.html"),
            *folder.rglob("pages/*.py"),
            *folder.glob("static/*.js"),
        )
        for line in file.read_text().splitlines()
        if re.search(r"""["'`(=]/admin\b""", line)
    ]
    assert found == []
