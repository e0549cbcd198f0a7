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
from gateway.core.dialects.gemini.dialect import GEMINI
from gateway.core.dialects.gemini.translated.event_reader import GeminiEventReader
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT

from ...canonical.recipient import To
from ..events import call, chunk, dumped, stream, text
from .asking import to_gemini


def read(*chunks: dict[str, Any]) -> list[Event]:
    reader = GeminiEventReader()
    return [event for each in chunks for event in reader.read(dumped(each))]


def test_texts_and_thoughts_are_blocks() -> None:
    found = read(
        chunk(text("Hm", thought=True)),
        chunk(text(".", thought=True)),
        chunk(text("He"), text("")),
        chunk(text("llo"), reason="STOP"),
    )
    assert found == [
        Started("r-1"),
        *(BlockStarted(0, "thinking"), Grown(0, "Hm"), Grown(0, "."), BlockStopped(0)),
        *(BlockStarted(1, "text"), Grown(1, "He"), Grown(1, "llo"), BlockStopped(1)),
        Stopped(StopReason.END),
    ]


def test_calls_whole_and_in_pieces() -> None:
    piece = [{"jsonPath": "$.a", "stringValue": "x", "willContinue": True}]
    found = read(
        chunk(call("f", id="given", args={"n": 1}), call("g")),
        chunk(call("h", willContinue=True)),
        chunk({"functionCall": {"partialArgs": piece, "willContinue": True}}),
        # The last piece of one may be missing: another call ends it, too.
        chunk(call("h", args={})),
        chunk({"functionCall": {}}),
        chunk(text(""), reason="STOP"),
    )
    started = [each for each in found if isinstance(each, BlockStarted)]
    assert [each.name for each in started] == ["f", "g", "h", "h"]
    assert started[0].call_id == "given"
    assert len({each.call_id for each in started}) == 4
    grown = [each.text for each in found if isinstance(each, Grown)]
    assert grown == ['{"n":1}', "{}", '{"a":"x"}', "{}"]
    assert found[-1] == Stopped(StopReason.CALLS)


def test_ids_are_no_others_in_the_next_answer() -> None:
    first = read(chunk(call("f"), responseId="a"))
    assert first == read(chunk(call("f"), responseId="a"))
    assert first != read(chunk(call("f"), responseId="b"))
    unnamed = [chunk(call("f", args={"n": n}), responseId=None) for n in range(2)]
    assert read(unnamed[0])[1] != read(unnamed[1])[1]
    long = read(chunk(call("f"), responseId="x" * 500))[1]
    assert isinstance(long, BlockStarted)
    assert len(long.call_id) <= 64


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("STOP", StopReason.END),
        ("MAX_TOKENS", StopReason.LENGTH),
        ("SAFETY", StopReason.REFUSAL),
        ("RECITATION", StopReason.REFUSAL),
        ("PROHIBITED_CONTENT", StopReason.REFUSAL),
        ("IMAGE_SAFETY", StopReason.REFUSAL),
        ("MALFORMED_FUNCTION_CALL", StopReason.END),
        ("BRAND_NEW", StopReason.END),
    ],
)
def test_why_it_stopped(reason: str, expected: StopReason) -> None:
    [*_, last] = read(chunk(text("a"), reason=reason))
    words = f"blocked: {reason}" if expected is StopReason.REFUSAL else None
    assert last == Stopped(expected, words=words)
    told = chunk(text("a"), reason=reason)
    told["candidates"][0]["finishMessage"] = "Because."
    [*_, last] = read(told)
    assert isinstance(last, Stopped)
    assert last.words == ("Because." if words else None)


def test_a_blocked_prompt_is_a_refusal() -> None:
    feedback = {"blockReason": "SAFETY", "blockReasonMessage": "No."}
    assert read({"promptFeedback": feedback})[-1] == Stopped(StopReason.REFUSAL, words="No.")
    body = {"messages": [{"role": "user", "content": "Hi"}]}
    request = to_gemini(body, OPENAI_CHAT)
    answer = request.rewrite_answer(To(GEMINI), b'"m"', dumped({"promptFeedback": feedback}))
    choice = json.loads(answer.body)["choices"][0]
    assert choice["finish_reason"] == "content_filter"
    assert choice["message"]["refusal"] == "No."


def test_what_google_s_servers_did_is_passed_over() -> None:
    found = read(
        chunk({"executableCode": {"language": "PYTHON", "code": "print(1)"}}),
        chunk({"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}),
        chunk(text("One."), reason="STOP"),
        chunk(text("other"), index=1, reason="STOP"),
    )
    assert [each.text for each in found if isinstance(each, Grown)] == ["One."]
    assert found[-1] == Stopped(StopReason.END)


def test_what_an_answer_is_grounded_on() -> None:
    end = chunk(text("!"), reason="STOP")
    end["candidates"][0]["groundingMetadata"] = {
        "webSearchQueries": ["q"],
        "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}],
        "groundingSupports": [
            # Bytes: the umlaut has two.
            {"segment": {"endIndex": 8, "text": "Z\u00fcrich"}, "groundingChunkIndices": [0, 7]},
            {"segment": {"startIndex": 3}, "groundingChunkIndices": [0]},
        ],
    }
    found = read(chunk(text("Z\u00fcrich is")), end)
    [cited] = [each for each in found if isinstance(each, Cited)]
    assert (cited.citation.url, cited.citation.title) == ("https://a", "A")
    assert (cited.citation.start, cited.citation.end) == (0, 7)
    [searched] = [each for each in found if isinstance(each, Searched)]
    assert searched.queries == ["q"]
    assert found.index(cited) < found.index(searched)
    # Of another form it is nothing.
    end["candidates"][0]["groundingMetadata"] = {"groundingChunks": 5}
    assert not [each for each in read(end) if isinstance(each, Searched)]


def test_cut_anywhere_and_in_any_pieces() -> None:
    sent = stream(
        chunk(text("Z\u00fcrich", thought=True)),
        chunk(call("f", args={"a": "\u2028"}) | {"thoughtSignature": "c2ln"}),
        chunk(text(""), reason="STOP"),
    )
    body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
    expected = b""
    for cut in [len(sent), *range(len(sent))]:
        rewriter = to_gemini(body, OPENAI_CHAT).start_stream(To(GEMINI), b'"m"', 1 << 20)
        output = rewriter.feed(sent[:cut])
        if cut == len(sent):
            expected = output + rewriter.end()
            assert rewriter.done
            continue
        # Broken off there it is no whole answer; with the rest it is the same.
        assert not rewriter.done
        assert output + rewriter.feed(sent[cut:]) + rewriter.end() == expected
        assert (rewriter.broken, rewriter.error) == (None, None)


@pytest.mark.parametrize(
    "data",
    [
        b'{"candidates":[{"content":{"parts":[{"text":5}]}}]}',
        b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","partialArgs":[{"jsonPath":"x"}]}}]}}]}',
        b'{"candidates":5}',
    ],
)
def test_what_cannot_be_translated_breaks_the_stream(data: bytes) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
    rewriter = to_gemini(body, OPENAI_CHAT).start_stream(To(GEMINI), b'"m"', 1 << 20)
    rewriter.feed(b"data: %b\n\n" % data)
    assert rewriter.broken
