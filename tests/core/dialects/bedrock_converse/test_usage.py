"""Bedrock's counts, read and written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.bedrock_converse.usage import read_usage, written_usage
from gateway.core.records.usage import Usage


@pytest.mark.parametrize(
    ("given", "usage"),
    [
        (
            {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7},
            Usage(input_tokens=3, output_tokens=4),
        ),
        (
            {
                "inputTokens": 3,
                "outputTokens": 4,
                "cacheReadInputTokens": 100,
                "cacheWriteInputTokens": 20,
                "cacheDetails": [
                    {"ttl": "5m", "inputTokens": 5},
                    {"ttl": "1h", "inputTokens": 15},
                ],
            },
            Usage(
                input_tokens=123,
                output_tokens=4,
                cached_tokens=100,
                cache_write_tokens=20,
                cache_write_1h_tokens=15,
            ),
        ),
        ({"inputTokens": 0, "outputTokens": 0}, None),
        ({"inputTokens": -1, "outputTokens": True}, None),
        ({"inputTokens": 2**40, "outputTokens": 1}, Usage(output_tokens=1)),
        ({"inputTokens": "7", "outputTokens": 1, "cacheDetails": 3}, Usage(output_tokens=1)),
        ([], None),
        (None, None),
    ],
)
def test_reading(given: Any, usage: Usage | None) -> None:
    assert read_usage(json.dumps(given).encode()) == usage


def test_what_is_written_reads_the_same() -> None:
    for usage in (
        Usage(input_tokens=9, output_tokens=4),
        Usage(input_tokens=90, output_tokens=4, cached_tokens=50),
        Usage(
            input_tokens=90,
            output_tokens=4,
            cached_tokens=50,
            cache_write_tokens=30,
            cache_write_1h_tokens=10,
        ),
    ):
        assert read_usage(json.dumps(written_usage(usage)).encode()) == usage
