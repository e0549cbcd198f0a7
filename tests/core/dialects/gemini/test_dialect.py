from __future__ import annotations

import pytest

from gateway.core.dialects.gemini.dialect import (
    GEMINI,
    GEMINI_BATCH_EMBED,
    GEMINI_COUNT,
    GEMINI_EMBED,
    asked_by,
)
from gateway.core.dialects.gemini.request import PathCall


@pytest.mark.parametrize("prefix", ["", "/v1", "/v1beta", "/v1alpha", "/v1beta/v1beta", "/v1/v1"])
@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("models/models/m", "m"),
        ("models/openai/gpt-4o", "openai/gpt-4o"),
        ("models/llama3:8b", "llama3:8b"),
        ("tunedModels/mine", "tunedModels/mine"),
    ],
)
def test_what_a_path_asks_for(prefix: str, name: str, model: str) -> None:
    for method, dialect in (
        ("generateContent", GEMINI),
        ("streamGenerateContent", GEMINI),
        ("countTokens", GEMINI_COUNT),
        ("embedContent", GEMINI_EMBED),
        ("batchEmbedContents", GEMINI_BATCH_EMBED),
    ):
        path = f"{prefix}/{name}:{method}"
        found = asked_by(path)
        assert found is not None
        assert (found.name, found.path) == (dialect.name, path)
        sse = asked_by(path, b"key=sk-secret&alt=sse")
        assert sse is not None
        assert sse.path == (f"{path}?alt=sse" if "stream" in method else path)
        assert found.read_request(b"{}").model == model


@pytest.mark.parametrize(
    ("query", "array"),
    [
        (b"alt=sse", False),
        (b"key=x&alt=sse", False),
        (b"%24alt=sse", False),
        (b"alt=SSE", False),
        (b"", True),
        (b"alt=json", True),
        (b"salt=sse", True),
    ],
)
def test_how_a_stream_is_framed(query: bytes, array: bool) -> None:
    found = asked_by("/v1beta/models/m:streamGenerateContent", query)
    assert found is not None
    kind = dict(found.stream_headers)[b"content-type"]
    assert kind.startswith(b"application/json") == array
    assert found.opens_once == found.closes_failed == array


@pytest.mark.parametrize(
    "path",
    [
        "/v1beta/models/m:predict",
        "/v1beta/models/:generateContent",
        "/v1beta/models/m",
        "/v2/models/m:generateContent",
        "/v1beta/files/m:generateContent",
        "/x/v1beta/models/m:generateContent",
    ],
)
def test_what_is_no_such_path(path: str) -> None:
    assert asked_by(path) is None


@pytest.mark.parametrize(
    ("base", "model", "expected"),
    [
        (b"", "m", b"/v1beta/models/m:generateContent"),
        (b"/v1", "m", b"/v1/models/m:generateContent"),
        (b"/proxy/v1beta", "m", b"/proxy/v1beta/models/m:generateContent"),
        (b"/gemini", "m", b"/gemini/v1beta/models/m:generateContent"),
        (b"/v1/publishers/google", "m", b"/v1/publishers/google/models/m:generateContent"),
        (b"", "tunedModels/m", b"/v1beta/tunedModels/m:generateContent"),
        (b"", "org/m x?#", b"/v1beta/models/org/m%20x%3F%23:generateContent"),
    ],
)
def test_where_a_call_goes(base: bytes, model: str, expected: bytes) -> None:
    assert GEMINI.target(base, model, stream=False) == expected
    streamed = expected.replace(b":generateContent", b":streamGenerateContent?alt=sse")
    assert GEMINI.target(base, model, stream=True) == streamed
    counted = expected.replace(b":generateContent", b":countTokens")
    assert GEMINI_COUNT.target(base, model, stream=False) == counted


def test_what_keeps_a_stream_alive_is_nothing_in_both_framings() -> None:
    assert GEMINI.keep_alive.strip() == b""
    assert GEMINI.token_count(3) == b'{"totalTokens":3}'
    assert PathCall("m") == PathCall("m", stream=False, array=False)
