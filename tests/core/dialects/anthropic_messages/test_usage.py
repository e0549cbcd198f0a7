from __future__ import annotations

import json

import pytest

from gateway.core.dialects.anthropic_messages.usage import MessageUsage, read_usage
from gateway.core.records.pricing import Prices, cost
from gateway.core.records.usage import Usage

# Claude Sonnet 4.5's, USD per million tokens (docs.anthropic.com, "Pricing").
PRICES = Prices(input=3, output=15, cached_input=0.3, cache_write=3.75, cache_write_1h=6)


def together(*reports: object) -> Usage | None:
    found = MessageUsage()
    for report in reports:
        found.add(json.dumps(report).encode())
    return found.usage


def test_the_prompt_is_what_is_new_and_what_the_cache_took_and_gave() -> None:
    report = {
        "input_tokens": 21,
        "cache_creation_input_tokens": 300,
        "cache_read_input_tokens": 1000,
        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
        "output_tokens": 50,
    }
    found = read_usage(json.dumps(report).encode())
    assert found == Usage(1321, 50, 1000, cache_write_tokens=300, cache_write_1h_tokens=200)
    # 21 x 3 + 1000 x 0.3 + 100 x 3.75 + 200 x 6 + 50 x 15, in millionths of a dollar.
    assert cost(found, PRICES) == (63 + 300 + 375 + 1200 + 750) * 1000


def test_a_stream_has_them_in_two_events() -> None:
    first = {
        "input_tokens": 3,
        "cache_creation_input_tokens": 40,
        "cache_read_input_tokens": 100,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 40},
        "output_tokens": 1,
    }
    last = {
        "input_tokens": 3,
        "cache_creation_input_tokens": 40,
        "cache_read_input_tokens": 100,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
    }
    expected = Usage(143, 9, 100, 4, cache_write_tokens=40, cache_write_1h_tokens=40)
    assert together(first, last) == expected
    assert together(first, first, last) == expected


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        # The prompt grows with what server tools read (recordings/anthropic-mcp.1).
        (({"input_tokens": 589, "output_tokens": 1}, {"input_tokens": 1250, "output_tokens": 83}), Usage(1250, 83)),  # noqa: E501
        # Compatible servers have nothing in the first, or repeat zeros in the last.
        (({"input_tokens": 0, "output_tokens": 0}, {"input_tokens": 7, "output_tokens": 2}), Usage(7, 2)),  # noqa: E501
        (({"input_tokens": 7, "output_tokens": 1}, {"input_tokens": 0, "output_tokens": 2}), Usage(7, 2)),  # noqa: E501
        (({"input_tokens": 7}, {"output_tokens": None}), Usage(7, 0)),
        (({"input_tokens": "7", "output_tokens": 2},), Usage(0, 2)),
        (({"input_tokens": -1, "output_tokens": 2**40},), None),
        (([],), None),
        (("x",), None),
        (({},), None),
    ],
)  # fmt: skip
def test_reports(reports: tuple[object, ...], expected: Usage | None) -> None:
    assert together(*reports) == expected


def test_what_is_no_json_is_no_report() -> None:
    assert read_usage(b"{") is None
    assert read_usage(b'"\xff"') is None
