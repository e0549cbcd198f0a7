from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.canonical.events import (
    BlockStarted,
    BlockStopped,
    Cited,
    Event,
    Grown,
    Searched,
    Started,
    Stopped,
    StopReason,
)
from gateway.core.dialects.canonical.sources import Citation, FoundPage
from gateway.core.dialects.gemini.dialect import asked_by
from gateway.core.dialects.gemini.state.carried_state import is_carried
from gateway.core.dialects.gemini.translated import event_writer
from gateway.core.dialects.gemini.translated.event_writer import GeminiEventWriter
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.translators import translate
from gateway.core.records.usage import Usage
from gateway.core.wire.sse import SseDecoder

from ...canonical.recipient import To


def written(*events: Event, **more: Any) -> list[dict[str, Any]]:
    writer = GeminiEventWriter(b'"mine"', "fam", **more)
    out = b"".join([writer.write(each) for each in events])
    out += writer.finish(Usage(9, 5, reasoning_tokens=2), 0)
    if more.get("array"):
        found: list[dict[str, Any]] = json.loads(out)
        return found
    return [json.loads(event.data or b"") for event in SseDecoder().feed(out)]


def parts(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [part for event in events for part in event["candidates"][0]["content"]["parts"]]


THOUGHT = (
    *(BlockStarted(0, "thinking"), Grown(0, "Hm"), Grown(0, ".")),
    *(Grown(0, "sig", signature=True), BlockStopped(0)),
)
TEXT = (BlockStarted(1, "text"), Grown(1, "He\u2028"), Grown(1, "llo"), BlockStopped(1))
CALL = (
    *(BlockStarted(2, "call", "c1", "f"), Grown(2, '{"n":'), Grown(2, "1.50}"), BlockStopped(2)),
)


@pytest.mark.parametrize("array", [False, True])
def test_an_answer(array: bool) -> None:
    found = written(Started("id"), *THOUGHT, *TEXT, *CALL, Stopped(StopReason.CALLS), array=array)
    shown = parts(found)
    state = shown[2].pop("thoughtSignature")
    assert is_carried(state)
    assert shown == [
        *({"text": "Hm", "thought": True}, {"text": ".", "thought": True}),
        *({"text": "He\u2028"}, {"text": "llo"}),
        {"functionCall": {"name": "f", "args": {"n": 1.5}, "id": "c1"}},
        {"text": ""},
    ]
    last = found[-1]
    assert last["candidates"][0]["finishReason"] == "STOP"
    assert last["usageMetadata"] == {
        "promptTokenCount": 9,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 2,
        "totalTokenCount": 14,
    }
    assert {(each["modelVersion"], each["responseId"]) for each in found} == {("mine", "id")}
    assert not any("finishReason" in each["candidates"][0] for each in found[:-1])


def test_thoughts_that_are_not_to_be_shown_are_still_carried() -> None:
    shown = parts(written(*THOUGHT, *TEXT, Stopped(StopReason.END), thoughts=False))
    assert [part["text"] for part in shown] == ["He\u2028", "llo", ""]
    assert is_carried(shown[0]["thoughtSignature"])


def test_state_without_anything_behind_it_is_in_the_last_part() -> None:
    shown = parts(written(*THOUGHT, Stopped(StopReason.LENGTH)))
    assert is_carried(shown[-1]["thoughtSignature"])


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (StopReason.END, "STOP"),
        (StopReason.LENGTH, "MAX_TOKENS"),
        (StopReason.CONTEXT, "MAX_TOKENS"),
        (StopReason.SEQUENCE, "STOP"),
        (StopReason.CALLS, "STOP"),
        (StopReason.PAUSE, "STOP"),
        (StopReason.REFUSAL, "SAFETY"),
    ],
)
def test_why_it_stopped(reason: StopReason, expected: str) -> None:
    candidate = written(*TEXT, Stopped(reason, words="w"))[-1]["candidates"][0]
    assert candidate["finishReason"] == expected
    assert candidate.get("finishMessage") == ("w" if expected == "SAFETY" else None)
    refused = written(BlockStarted(0, "refusal"), Grown(0, "No."), Stopped(StopReason.END))
    assert refused[-1]["candidates"][0]["finishReason"] == "SAFETY"
    # Broken off without a reason: it has ended, whatever for.
    assert written(*TEXT)[-1]["candidates"][0]["finishReason"] == "STOP"


@pytest.mark.parametrize(
    ("begun", "text", "arguments"),
    [
        (BlockStarted(0, "call", "c", "f"), "", {}),
        (BlockStarted(0, "call", "c", "f"), "oops", {"INVALID_JSON": "oops"}),
        (BlockStarted(0, "call", "c", "f"), "[1]", {"INVALID_JSON": "[1]"}),
        (BlockStarted(0, "call", "c", "f", custom=True), 'a"b', {"input": 'a"b'}),
    ],
)
def test_arguments_are_an_object(begun: BlockStarted, text: str, arguments: Any) -> None:
    [part, _] = parts(written(begun, Grown(0, text), BlockStopped(0)))
    assert part["functionCall"]["args"] == arguments


def test_arguments_keep_their_bytes_on_one_line() -> None:
    writer = GeminiEventWriter(b'"m"', "f")
    writer.write(BlockStarted(0, "call", "", "f"))
    writer.write(Grown(0, '{\n "n": 1.50, "big": 12345678901234567890\n}'))
    out = writer.write(BlockStopped(0))
    assert b'"n":1.50' in out
    assert b"12345678901234567890" in out
    assert out.count(b"\n") == 2


def test_calls_that_are_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_writer, "MOST_HELD_TEXT", 10)
    writer = GeminiEventWriter(b'"m"', "f")
    writer.write(BlockStarted(0, "call", "", "f"))
    with pytest.raises(ValueError, match="too long"):
        writer.write(Grown(0, "x" * 11))


def test_what_an_answer_is_grounded_on() -> None:
    page = FoundPage("https://a", "A")
    found = written(
        Searched("s", ["q"], [page]),
        *(BlockStarted(0, "text"), Grown(0, "Z\u00fcrich "), BlockStopped(0)),
        *(BlockStarted(1, "text"), Grown(1, "is"), Cited(1, Citation("https://b", "B"))),
        *(Cited(1, Citation("https://a", "A", 0, 1)), BlockStopped(1)),
        Stopped(StopReason.END),
    )
    grounding = found[-1]["candidates"][0]["groundingMetadata"]
    assert grounding["webSearchQueries"] == ["q"]
    assert [each["web"]["uri"] for each in grounding["groundingChunks"]] == [
        "https://a",
        "https://b",
    ]
    assert grounding["groundingSupports"] == [
        {
            "segment": {"startIndex": 8, "endIndex": 10, "text": "is"},
            "groundingChunkIndices": [1],
        },
        {"segment": {"startIndex": 8, "endIndex": 9, "text": "i"}, "groundingChunkIndices": [0]},
    ]


@pytest.mark.parametrize("array", [False, True])
def test_errors_in_the_middle_of_a_stream(array: bool) -> None:
    dialect = asked_by("/v1beta/models/m:streamGenerateContent", b"" if array else b"alt=sse")
    assert dialect is not None
    request = dialect.read_request(b'{"contents":[{"parts":[{"text":"a"}]}]}')
    rewriter = translate(request, dialect, To(OPENAI_CHAT), 0.0).start_stream(
        To(OPENAI_CHAT), b'"m"', 1 << 20
    )
    begun = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
    out = rewriter.feed(begun) + dialect.error_event("It broke", "overloaded", "x", rewriter)
    events = (
        json.loads(out)
        if array
        else [json.loads(event.data or b"") for event in SseDecoder().feed(out)]
    )
    assert events[0]["candidates"][0]["content"]["parts"] == [{"text": "Hi"}]
    assert events[1]["error"]["code"] == 503
    assert events[1]["error"]["message"] == "It broke"
