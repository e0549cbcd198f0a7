from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.gemini.translated.event_writer import written_usage
from gateway.core.dialects.gemini.usage import GeminiUsage, read_usage
from gateway.core.records.usage import Usage


def counted(prompt: int, out: int = 0, total: int = 0, **more: Any) -> dict[str, Any]:
    found = {"promptTokenCount": prompt, "candidatesTokenCount": out, "totalTokenCount": total}
    return {**found, **more}


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([counted(9, 29, 320, thoughtsTokenCount=282)], Usage(9, 311, reasoning_tokens=282)),
        # A server that counts the thoughts among the candidates.
        ([counted(9, 311, 320, thoughtsTokenCount=282)], Usage(9, 311, reasoning_tokens=282)),
        ([counted(100, 5, 105, cachedContentTokenCount=80)], Usage(100, 5, cached_tokens=80)),
        ([counted(10, 5, 45, toolUsePromptTokenCount=30)], Usage(40, 5)),
        # Running totals: the later ones are larger.
        ([counted(9, 1, 10), counted(9, 7, 16), {"promptTokenCount": 9}], Usage(9, 7)),
        ([{"totalTokenCount": 12, "promptTokenCount": 5}], Usage(5, 7)),
        (
            [
                counted(
                    *(100, 50, 150),
                    promptTokensDetails=[
                        {"modality": "TEXT", "tokenCount": 40},
                        {"modality": "AUDIO", "tokenCount": 35},
                        {"modality": "IMAGE", "tokenCount": 25},
                    ],
                    candidatesTokensDetails=[{"modality": "IMAGE", "tokenCount": 30}],
                )
            ],
            Usage(100, 50, input_audio_tokens=35, input_image_tokens=25, output_image_tokens=30),
        ),
        ([counted(2**40)], None),
        ([{"promptTokenCount": "7", "candidatesTokenCount": True}], Usage(7, 0)),
        ([{"trafficType": "PROVISIONED_THROUGHPUT"}], None),
        ([[], "x", 5, None], None),
    ],
)
def test_reports(reports: list[Any], expected: Usage | None) -> None:
    found = GeminiUsage()
    for report in reports:
        found.add(json.dumps(report).encode())
    assert found.usage == expected


def test_what_is_no_json_is_no_report() -> None:
    assert read_usage(b"{") is None


@pytest.mark.parametrize(
    "usage",
    [
        Usage(9, 311, reasoning_tokens=282),
        Usage(100, 5, cached_tokens=80),
        Usage(100, 50, input_audio_tokens=35, input_image_tokens=25, output_audio_tokens=7),
        Usage(1, 0),
    ],
)
def test_what_is_written_is_read_as_it_was(usage: Usage) -> None:
    assert read_usage(json.dumps(written_usage(usage)).encode()) == usage
