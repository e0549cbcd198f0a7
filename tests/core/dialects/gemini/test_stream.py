from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dialects.base import NotAnAnswer
from gateway.core.dialects.gemini.stream import GeminiStreamRewriter
from gateway.core.records.usage import Usage
from gateway.core.wire.sse import SseDecoder

from .events import call, chunk, dumped, stream, text, whole

LIMIT = 1 << 20


def rewriter(*, array: bool = False, candidates: int = 1) -> GeminiStreamRewriter:
    return GeminiStreamRewriter(
        b'"mine"', max_event_bytes=LIMIT, array=array, candidates=candidates
    )


def fed(*chunks: bytes, array: bool = False) -> tuple[GeminiStreamRewriter, bytes]:
    found = rewriter(array=array)
    output = b"".join([found.feed(each) for each in chunks]) + found.end()
    assert found.end() == b""
    return found, output


def test_only_the_model_is_changed() -> None:
    odd = b'data: {"brandNew": {"modelVersion": "x"}, "n": 1.50}\n\n'
    nested = chunk(call("f", args={"modelVersion": "gemini-x", "n": 1}))
    sent = stream(chunk(text("Z\u00fcrich"), new={"a": [1]}), nested) + odd + whole("Hi")
    found, output = fed(sent)
    expected = sent.replace(b"\r\n\r\n", b"\n\n")
    expected = expected.replace(b'"modelVersion":"gemini-x","res', b'"modelVersion":"mine","res')
    assert output == expected
    assert found.finish() == b""
    assert (found.done, found.finished, found.meaningful) == (True, True, True)
    assert found.usage == Usage(10, 5)
    assert found.malformed == 0


def test_a_name_that_stands_elsewhere_too() -> None:
    for written in (
        b'{"modelVersion": "real", "candidates": [{"content": {"parts": [{"functionCall": '
        b'{"name": "f", "args": {"modelVersion":"real"}}}]}, "finishReason": "STOP"}]}',
        b'{"candidates":[{"finishReason":"STOP","x":{"\\u006dodelVersion":"real"}}],'
        b'"modelVersion":"real"}',
    ):
        _, output = fed(b"data: %b\n\n" % written)
        found, given_ = json.loads(output[6:]), json.loads(written)
        assert found == given_ | {"modelVersion": "mine"}


def test_any_chunking_is_the_same() -> None:
    sent = whole("Z\u00fcrich", " ", "\U0001f600")
    for array in (False, True):
        _, expected = fed(sent, array=array)
        for cut in range(len(sent)):
            found, output = fed(sent[:cut], sent[cut:], array=array)
            assert output == expected, cut
            assert found.done
        _, output = fed(*(sent[at : at + 1] for at in range(len(sent))), array=array)
        assert output == expected


def test_cut_anywhere_it_is_no_whole_answer() -> None:
    sent = whole("a", "b")
    last = sent.rindex(b"data:")
    for cut in range(len(sent)):
        found, output = fed(sent[:cut])
        # The blank line behind the last event is no part of what it says.
        assert found.finished == (cut >= len(sent) - 4), cut
        assert b"STOP" not in output or cut > last
        assert found.malformed == 0 or found.broken


def test_the_elements_of_an_array() -> None:
    chunks = [chunk(text("a\u2028")), chunk(text("b"), reason="STOP")]
    found, output = fed(stream(*chunks), array=True)
    whole_body = output + found.finish()
    assert json.loads(whole_body) == [each | {"modelVersion": "mine"} for each in chunks]
    assert whole_body.startswith(b"[{")
    # One of nothing at all is one, too; but no answer.
    assert rewriter(array=True).finish() == b"[]"


@pytest.mark.parametrize(
    ("part", "meaningful"),
    [
        (text("a"), True),
        (text(""), False),
        (text("", thought=True), False),
        (text("a", thought=True), True),
        (text("", thoughtSignature="xyz"), False),
        (call("f"), True),
        ({"inlineData": {"mimeType": "image/png", "data": "aa"}}, True),
        ({"brandNew": {}}, True),
    ],
)
def test_what_is_content(part: dict[str, object], meaningful: bool) -> None:
    found = rewriter()
    found.feed(stream(chunk(part)))
    assert (found.meaningful, found.finished) == (meaningful, False)


def test_a_blocked_prompt_is_an_answer() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {}}
    found, output = fed(stream(blocked))
    assert json.loads(output[6:]) == blocked
    assert (found.meaningful, found.finished, found.done) == (True, True, True)
    # Ratings alone block nothing.
    found, _ = fed(stream({"promptFeedback": {"safetyRatings": []}}))
    assert (found.meaningful, found.finished) == (False, False)


def test_several_candidates() -> None:
    found = rewriter(candidates=2)
    found.feed(stream(chunk(text("a")), chunk(text("b"), index=1, reason="STOP")))
    assert not found.finished
    found.feed(stream(chunk(text(""), reason="MAX_TOKENS")))
    assert found.finished


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b'{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}', "busy"),
        (b'{"error":"no"}', "no"),
    ],
)
def test_errors_in_the_middle(sent: bytes, told: str) -> None:
    found, output = fed(stream(chunk(text("a"))) + b"data: %b\n\n" % sent + whole("never"))
    assert json.loads(output[6:])["candidates"]
    assert found.error is not None
    assert told in found.error.decode()
    assert not found.done
    named, _ = fed(b"event: error\ndata: oh\n\n")
    assert json.loads(named.error or b"")["error"]["message"] == "oh"


@pytest.mark.parametrize("data", [b"{", b'{"candidates":[{"content":', b"nonsense", b"[1]"])
def test_an_event_that_cannot_be_read_breaks_the_stream(data: bytes) -> None:
    found, _ = fed(stream(chunk(text("a"))) + b"data: %b\n\n" % data)
    assert found.broken
    assert found.malformed == 1
    # Behind a whole answer it takes nothing away.
    found, _ = fed(whole("a") + b"data: %b\n\n" % data)
    assert (found.broken, found.done) == (None, True)


def test_odd_types_go_on() -> None:
    for odd in (b'{"candidates":5}', b'{"candidates":[{"index":"x"}]}', b'{"x":"\\ud800"}'):
        found, output = fed(b"data: %b\n\n" % odd + whole("a"))
        assert output.startswith(b"data: %b\n\n" % odd)
        assert found.done


def test_what_is_no_event_is_left_out() -> None:
    found, output = fed(b": ping\n\nid: 4\n" + whole("a") + b"data: [DONE]\n\n")
    assert found.done
    assert [event.id for event in SseDecoder().feed(output)] == [None, None]
    assert b"ping" not in output


def test_too_large() -> None:
    found, _ = fed(b"data: " + b"x" * (LIMIT + 1))
    assert found.broken == f"an event is larger than {LIMIT} bytes"


def test_text_is_measured_when_no_usage_comes() -> None:
    silent = [chunk(text("some words of text"), usageMetadata={}) for _ in range(4)]
    signed = chunk(text("", thoughtSignature="S" * 4000), usageMetadata={})
    found, _ = fed(stream(*silent, signed, chunk(text(""), reason="STOP", usageMetadata={})))
    assert found.usage is None
    assert 12 <= found.text_tokens <= 24


def test_a_whole_answer_instead_of_a_stream() -> None:
    given_ = chunk(text("Hi"), reason="STOP")
    for body in (dumped(given_), json.dumps(given_, indent=2).encode(), dumped([given_])):
        found = rewriter()
        output = found.feed_answer(body)
        assert json.loads(output[6:]) == given_ | {"modelVersion": "mine"}
        assert found.done
    found = rewriter(array=True)
    parts = [chunk(text("a")), chunk(text("b"), reason="STOP")]
    output = found.feed_answer(json.dumps(parts, indent=1).encode()) + found.finish()
    assert json.loads(output) == [each | {"modelVersion": "mine"} for each in parts]


@pytest.mark.parametrize(
    ("body", "is_error"),
    [
        (b'{"error":{"code":429}}', True),
        (b'[{"error":{"code":429}}]', True),
        (b"{}", False),
        (b"[", False),
        (b"nonsense", False),
    ],
)
def test_no_answer_instead_of_a_stream(body: bytes, is_error: bool) -> None:
    with pytest.raises(NotAnAnswer) as caught:
        rewriter().feed_answer(body)
    assert (caught.value.error is not None) == is_error


@given(st.binary(max_size=80), st.integers(0, 400))
def test_whatever_comes_nothing_is_raised(noise: bytes, at: int) -> None:
    sent = whole("a", "b")
    at = min(at, len(sent))
    for array in (False, True):
        found, _ = fed(sent[:at] + noise + sent[at:], array=array)
        found.finish()
