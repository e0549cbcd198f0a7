from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.base import NotAnAnswer
from gateway.core.dialects.rerank.answer import rewrite_ranks
from gateway.core.records.pricing import Prices, cost
from gateway.core.records.usage import Usage

RANKS = [{"index": 1, "relevance_score": 0.9}]


def test_usage_is_read_as_each_has_it_and_only_the_name_changes() -> None:
    cases: list[tuple[dict[str, Any], Usage | None]] = [
        ({"meta": {"billed_units": {"search_units": 2}}, "results": RANKS}, Usage(search_units=2)),
        ({"model": "j", "results": RANKS, "usage": {"total_tokens": 7}}, Usage(7)),
        ({"object": "list", "data": RANKS, "model": "v", "usage": {"total_tokens": 7}}, Usage(7)),
        ({"results": RANKS, "meta": {"billed_units": {"search_units": True}}}, None),
        ({"results": RANKS, "meta": "x"}, None),
        ({"results": []}, None),
    ]
    for found, usage in cases:
        answer = rewrite_ranks(json.dumps(found).encode(), b'"mine"')
        assert answer.usage == usage, found
        assert json.loads(answer.body) == found | ({"model": "mine"} if "model" in found else {})


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"error": {"message": "no"}}', b'{"a": 1}'])
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(NotAnAnswer):
        rewrite_ranks(body, b'"m"')


def test_units_of_search_have_a_price_of_their_own() -> None:
    used = Usage(search_units=3)
    # 3 of a thousand at 2 USD.
    assert cost(used, Prices(search=2.0)) == 6_000_000
    assert cost(used, Prices(input=1.0, output=1.0)) is None
    assert used.with_prompt(99) == used
