"""Streams of Converse as they are passed on: to the byte, and where they break."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.bedrock_converse.dialect import BEDROCK_CONVERSE
from gateway.core.dialects.bedrock_converse.frames import KEEP_ALIVE, event_frame, exception_frame
from gateway.core.dialects.bedrock_converse.stream import STOP, ConverseStreamRewriter
from gateway.core.records.usage import Usage
from gateway.core.wire.binary.event_stream import encode_frame

from .frames import HELLO, STARTED, ended, read_by_botocore, stopped, stream_of, text


def rewriter(limit: int = 1 << 20) -> ConverseStreamRewriter:
    return ConverseStreamRewriter(max_event_bytes=limit)


@pytest.mark.parametrize("size", [1, 3, 50, 1 << 20])
def test_a_stream_goes_on_to_the_byte(size: int) -> None:
    stream = stream_of(*HELLO)
    found = rewriter()
    out = b"".join(found.feed(stream[at : at + size]) for at in range(0, len(stream), size))
    out += found.end()
    held = stream_of(*ended())
    # What says that all is well waits until it is.
    assert out == stream.removesuffix(held)
    assert (found.done, found.finished, found.meaningful) == (True, True, True)
    assert out + found.finish() == stream
    assert found.usage == Usage(input_tokens=10, output_tokens=5)
    assert (found.error, found.broken, found.malformed, found.events) == (None, None, 0, 6)
    assert found.text_tokens == 2


def test_unknown_events_and_members_go_on() -> None:
    odd: list[dict[str, Any]] = [
        STARTED,
        {"somethingNew": {"a": [1, 2.50]}},
        {
            "contentBlockDelta": {
                "delta": {"text": "x", "new": 1},
                "contentBlockIndex": 0,
                "p": "ab",
            }
        },
        *ended(),
    ]
    stream = stream_of(*odd)
    found = rewriter()
    assert found.feed(stream) + found.finish() == stream
    assert found.done


def test_usage_may_come_before_the_end() -> None:
    stop, metadata = ended()
    stream = stream_of(STARTED, text("x"), metadata, stop)
    found = rewriter()
    out = found.feed(stream)
    assert out == stream_of(STARTED, text("x"), metadata)
    assert found.done
    assert out + found.finish() == stream


def test_a_stream_without_usage_is_finished_and_waited_for() -> None:
    found = rewriter()
    found.feed(stream_of(STARTED, text("x"), ended()[0]))
    assert (found.finished, found.done, found.awaits_usage) == (True, False, True)
    assert found.finish() == stream_of(ended()[0])


def test_what_breaks_off_is_not_finished() -> None:
    stream = stream_of(*HELLO)
    whole = len(stream) - len(stream_of(ended()[1]))
    for cut in range(len(stream)):
        found = rewriter()
        out = found.feed(stream[:cut]) + found.end()
        assert stream.startswith(out)
        assert found.finished == (cut >= whole)
        if not found.finished:
            assert not found.done


def test_damage_breaks_the_stream() -> None:
    damaged = bytearray(stream_of(text("lost")))
    damaged[-8] ^= 1
    found = rewriter()
    out = found.feed(stream_of(STARTED, text("kept")) + bytes(damaged) + stream_of(*ended()))
    assert out == stream_of(STARTED, text("kept"))
    assert "checksum" in str(found.broken)
    assert found.feed(stream_of(*ended())) == b""


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'"x"', b'{"a":\xff}', b'{"delta":'])
def test_an_event_that_cannot_be_read_breaks_the_stream(payload: bytes) -> None:
    found = rewriter()
    found.feed(event_frame("contentBlockDelta", payload))
    assert found.broken
    assert found.malformed == 1


def test_an_event_may_be_too_large() -> None:
    found = rewriter(200)
    found.feed(stream_of(text("x" * 300)))
    assert "larger than 200" in str(found.broken)


@pytest.mark.parametrize(
    ("frame", "status", "says"),
    [
        (exception_frame("throttlingException", b'{"message":"slow down"}'), 429, "slow down"),
        (exception_frame("validationException", b'{"message":"bad"}'), 400, "bad"),
        (exception_frame("internalServerException", b'{"message":"oh"}'), 500, "oh"),
        (exception_frame("serviceUnavailableException", b'{"message":"no"}'), 503, "no"),
        (
            exception_frame(
                "modelStreamErrorException", b'{"message":"m","originalStatusCode":424}'
            ),
            424,
            "m",
        ),
        (exception_frame("newException", b'{"message":"new"}'), None, "new"),
        (exception_frame("throttlingException", b"no JSON"), 429, "no JSON"),
        (exception_frame("throttlingException", b""), 429, "the provider reports an error"),
        (
            encode_frame(
                {":message-type": "error", ":error-code": "InternalError", ":error-message": "hm"},
                b"",
            ),
            None,
            "hm",
        ),
    ],
)
def test_exceptions_are_errors(frame: bytes, status: int | None, says: str) -> None:
    found = rewriter()
    out = found.feed(stream_of(STARTED, text("x")) + frame + stream_of(*ended()))
    assert out == stream_of(STARTED, text("x"))
    assert found.error is not None
    assert BEDROCK_CONVERSE.error_status(found.error) == status
    assert BEDROCK_CONVERSE.read_error(found.error) == says
    shown = BEDROCK_CONVERSE.relayed_error_event(found.error)
    with pytest.raises(ValueError, match=says):
        read_by_botocore(shown)


def test_a_call_is_meaningful_when_it_begins() -> None:
    call = {"toolUse": {"toolUseId": "t", "name": "f"}}
    found = rewriter()
    found.feed(stream_of(STARTED, {"contentBlockStart": {"contentBlockIndex": 0, "start": {}}}))
    assert not found.meaningful
    found.feed(stream_of({"contentBlockStart": {"contentBlockIndex": 0, "start": call}}))
    assert found.meaningful


@pytest.mark.parametrize(
    ("delta", "says"),
    [
        ({"text": ""}, False),
        ({"text": "x"}, True),
        ({"toolUse": {"input": ""}}, False),
        ({"toolUse": {"input": "{"}}, True),
        ({"reasoningContent": {"text": "hm"}}, True),
        ({"reasoningContent": {"redactedContent": "AAAA"}}, True),
        ({}, False),
        (None, False),
    ],
)
def test_a_delta_says_something_or_not(delta: Any, says: bool) -> None:
    found = rewriter()
    found.feed(stream_of({"contentBlockDelta": {"contentBlockIndex": 0, "delta": delta}}))
    assert found.meaningful == says


def test_an_empty_answer_is_one() -> None:
    found = rewriter()
    found.feed(stream_of(STARTED, *ended("guardrail_intervened")))
    assert found.meaningful
    assert found.done


def test_a_whole_answer_instead_of_a_stream() -> None:
    content = [{"text": "Hello"}]
    answer = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3},
        "metrics": {"latencyMs": 5},
    }
    found = rewriter()
    out = found.feed_answer(json.dumps(answer).encode()) + found.finish()
    events = read_by_botocore(out)
    assert [*map(next, map(iter, events))] == [
        *("messageStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata")
    ]
    assert events[-1]["metadata"]["usage"]["totalTokens"] == 3
    assert found.done


def test_keep_alive_is_nothing_to_clients() -> None:
    stream = KEEP_ALIVE + stream_of(*HELLO[:3]) + KEEP_ALIVE + stream_of(*HELLO[3:])
    assert read_by_botocore(stream) == read_by_botocore(stream_of(*HELLO))


def test_the_end_that_stands_for_a_missing_one() -> None:
    assert read_by_botocore(STOP) == [{"messageStop": {"stopReason": "end_turn"}}]
    found = rewriter()
    found.feed(stream_of(STARTED, text("x"), stopped()))
    assert found.finish() == STOP
