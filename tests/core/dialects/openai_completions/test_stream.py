from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.base import NotAnAnswer
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_completions.request import parse_text
from gateway.core.dialects.openai_completions.stream import TextStreamRewriter
from gateway.core.records.counting import UsageRule
from gateway.core.records.usage import Usage
from gateway.core.wire.sse import SseDecoder

USAGE = {"prompt_tokens": 14, "completion_tokens": 16, "total_tokens": 30}
DONE = b"data: [DONE]\n\n"


class Recipient:
    model_json = b'"real"'
    stream_usage = True
    usage_rule: UsageRule = "usual"
    dialect = OPENAI_CHAT


def event(text: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if text is None else [{"text": text, "index": 0, "finish_reason": finish}]
    chunk = {"id": "cmpl-1", "object": "text_completion", "choices": choices, "model": "real"}
    return b"data: %b\n\n" % json.dumps({**chunk, **more}, separators=(",", ":")).encode()


STREAM = [
    event("", usage=None),
    event("Hel", usage=None),
    event("lo", usage=None),
    event("", "stop", usage=None),
    event(usage=USAGE),
    DONE,
]


def started(*, keep: bool = False, **members: Any) -> TextStreamRewriter:
    options = {"stream_options": {"include_usage": True}} if keep else {}
    asked = {"model": "m", "prompt": "x", "stream": True, **options, **members}
    found = parse_text(json.dumps(asked).encode()).start_stream(Recipient(), b'"mine"', 1 << 20)
    assert isinstance(found, TextStreamRewriter)
    return found


def datas(output: bytes) -> list[Any]:
    events = [found.data or b"" for found in SseDecoder().feed(output)]
    return [json.loads(data) for data in events if data != b"[DONE]"]


@pytest.mark.parametrize("keep", [False, True])
def test_cut_anywhere_it_is_the_same_stream(keep: bool) -> None:
    stream = b"".join(STREAM)
    expected = stream.removesuffix(DONE).replace(b'"real"', b'"mine"')
    if not keep:
        expected = expected.replace(event(usage=USAGE).replace(b'"real"', b'"mine"'), b"")
        expected = expected.replace(b',"usage":null', b"")
    for cut in range(len(stream) + 1):
        rewriter = started(keep=keep)
        assert rewriter.feed(stream[:cut]) + rewriter.feed(stream[cut:]) == expected
        assert (rewriter.done, rewriter.finished, rewriter.error) == (True, True, None)
        assert rewriter.usage == Usage(14, 16)


def test_an_empty_text_is_no_content_yet() -> None:
    rewriter = started()
    rewriter.feed(STREAM[0])
    assert (rewriter.meaningful, rewriter.text_tokens) == (False, 0)
    rewriter.feed(STREAM[1])
    assert (rewriter.meaningful, rewriter.text_tokens) == (True, 1)


def test_it_is_finished_once_all_texts_are() -> None:
    rewriter = started(prompt=["a", "b"])
    for index in (0, 1):
        assert not rewriter.finished
        choice = {"text": "x", "index": index, "finish_reason": "length"}
        rewriter.feed(event(choices=[choice]))
    assert rewriter.finished


def test_the_best_of_several_is_one_text() -> None:
    rewriter = started(best_of=3)
    rewriter.feed(event("x", "stop"))
    assert rewriter.finished


@pytest.mark.parametrize(
    ("members", "tokens"),
    [({}, 100), ({"echo": True, "prompt": "x" * 300}, 25), ({"echo": True, "max_tokens": 0}, 0)],
)
def test_an_echo_is_not_what_was_generated(members: dict[str, Any], tokens: int) -> None:
    rewriter = started(**members)
    rewriter.feed(event("x" * 400))
    assert rewriter.text_tokens == tokens
    body = json.dumps({"choices": [{"text": "x" * 400, "index": 0}]}).encode()
    asked = json.dumps({"model": "m", "prompt": "x", **members}).encode()
    answer = parse_text(asked).rewrite_answer(Recipient(), b'"mine"', body)
    assert answer.text_tokens == tokens


@pytest.mark.parametrize(
    "data",
    [
        b'{"error":{"message":"no"}}',
        b'{"choices":[{"text":"","index":0,"finish_reason":"error"}]}',
        b'{"choices":[{"text":"","error":{"message":"no"}}]}',
    ],
)
def test_an_error_in_the_stream_ends_it(data: bytes) -> None:
    rewriter = started()
    rewriter.feed(STREAM[1] + b"data: %b\n\n" % data + STREAM[2])
    assert rewriter.error is not None
    assert b"lo" not in rewriter.feed(STREAM[2])


def test_half_an_event_breaks_the_stream() -> None:
    rewriter = started()
    rewriter.feed(STREAM[1] + b'data: {"choices":[{"text":"a\n\n')
    assert rewriter.broken is not None


WHOLE = {
    "id": "cmpl-1",
    "object": "text_completion",
    "model": "real",
    "choices": [
        {"text": "Hello", "index": 0, "logprobs": None, "finish_reason": "stop"},
        {"text": "Hi", "index": 1, "logprobs": None, "finish_reason": "length"},
    ],
    "usage": USAGE,
}


def test_a_whole_answer_is_renamed() -> None:
    body = json.dumps(WHOLE, indent=1).encode()
    answer = parse_text(b'{"model":"m"}').rewrite_answer(Recipient(), b'"mine"', body)
    assert answer.body == body.replace(b'"real"', b'"mine"')
    assert answer.usage == Usage(14, 16)


def test_a_whole_answer_instead_of_a_stream() -> None:
    rewriter = started(keep=True, n=2)
    texts, usage = datas(rewriter.feed_answer(json.dumps(WHOLE).encode()))
    expected = {**WHOLE, "model": "mine"}
    assert usage == {**expected, "choices": []}
    del expected["usage"]
    assert texts == expected
    assert (rewriter.done, rewriter.finished, rewriter.meaningful) == (True, True, True)


def test_a_stream_instead_of_a_whole_answer() -> None:
    body = b"".join(STREAM)
    answer = parse_text(b'{"model":"m"}').rewrite_answer(Recipient(), b'"mine"', body)
    assert json.loads(answer.body) == {
        "id": "cmpl-1",
        "object": "text_completion",
        "choices": [{"text": "Hello", "index": 0, "finish_reason": "stop"}],
        "model": "mine",
        "usage": USAGE,
    }


@pytest.mark.parametrize("body", [b"{}", b'{"choices":null}', b"[]", b"nothing"])
def test_what_has_no_text_is_no_answer(body: bytes) -> None:
    with pytest.raises(NotAnAnswer):
        parse_text(b'{"model":"m"}').rewrite_answer(Recipient(), b'"mine"', body)
