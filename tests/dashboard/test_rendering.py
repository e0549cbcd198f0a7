"""Templates with rows as the store gives them."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.dashboard.assets import Assets
from gateway.dashboard.rendering import Templates
from gateway.store.engine.schema import requests


class _AnyAssets(Assets):
    def url(self, name: str) -> str:
        return f"/{name}"


def summary(**more: Any) -> str:
    """Return the summary of a request."""
    row: dict[str, Any] = {column.name: None for column in requests.columns}
    row |= {"operation": "chat", "stream": False, "end_reason": "complete", "cached": False}
    environment = Templates(_AnyAssets({}))._environment
    template = '{% import "parts/macros.html" as m with context %}'
    template += '{% include "parts/request_summary.html" %}'
    return environment.from_string(template).render(
        row=row | more,
        steps=[],
        ends={},
        prices=None,
        captured=False,
        link=lambda **_: "x",
    )


@pytest.mark.parametrize("dropped", [None, []])
def test_a_request_that_was_sent_whole_says_nothing_of_it(dropped: list[str] | None) -> None:
    assert "Not sent" not in summary(dropped=dropped)


def test_what_a_provider_was_not_sent_leads_to_others_like_it() -> None:
    page = summary(dropped=["seed", "a<b>"])
    assert "Not sent" in page
    assert 'dropped=seed">seed</a>, ' in page
    assert "<b>" not in page.partition("Not sent")[2].partition("</dd>")[0]
    assert "a&lt;b&gt;</a>" in page
