from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.dialects.base import NotAnAnswer
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES
from gateway.core.records.usage import Usage

from .streams import (
    ADDED,
    COMPLETED,
    CREATED,
    HEL,
    IN_PROGRESS,
    ITEM,
    ITEM_DONE,
    LO,
    PLACE,
    RESPONSE,
    STREAM,
    USAGE,
    WHOLE,
    datas,
    event,
    mine,
    started,
)

ERROR = event("error", 5, code="server_error", message="out of luck", param=None)
FAILED = event(
    "response.failed",
    6,
    response=RESPONSE | {"status": "failed", "error": {"code": "server_error", "message": "no"}},
)


def test_cut_anywhere_it_is_the_same_stream() -> None:
    stream = b"".join(STREAM)
    for cut in range(len(stream) + 1):
        rewriter = started()
        output = rewriter.feed(stream[:cut]) + rewriter.feed(stream[cut:])
        assert output + rewriter.finish() == mine(stream)
        assert (rewriter.done, rewriter.finished, rewriter.error) == (True, True, None)
        assert rewriter.usage == Usage(100, 20, 40, 5)
        assert rewriter.kept_ids == ("resp_1",)


@pytest.mark.parametrize("line", [b"\r\n", b"\r", b"\n"])
def test_ids_and_retries_are_left_out(line: bytes) -> None:
    stream = b"id: 1\nretry: 5\n" + CREATED + b": ping\n\nid: 2\n" + ADDED + COMPLETED
    rewriter = started()
    output = rewriter.feed(stream.replace(b"\n", line)) + rewriter.finish()
    assert output == mine(CREATED) + b": ping\n\n" + ADDED + mine(COMPLETED)


def test_the_last_event_waits_for_the_end() -> None:
    rewriter = started()
    output = rewriter.feed(b"".join(STREAM) + b"data: [DONE]\n\n" + LO)
    assert output == mine(b"".join(STREAM[:-1]))
    assert rewriter.ended
    assert rewriter.finish() == mine(COMPLETED)
    assert rewriter.feed(LO) == b""


@pytest.mark.parametrize("kind", ["response.completed", "response.incomplete"])
def test_each_end_is_one(kind: str) -> None:
    rewriter = started()
    rewriter.feed(CREATED + event(kind, 1, response=WHOLE))
    assert (rewriter.done, rewriter.meaningful) == (True, True)
    assert rewriter.finish() == mine(event(kind, 1, response=WHOLE))


@pytest.mark.parametrize("pings", [b"", b"data: ping\n\n", b'data: {"type":"keepalive"}\n\n'])
def test_what_opens_is_no_content(pings: bytes) -> None:
    rewriter = started()
    rewriter.feed(CREATED + IN_PROGRESS + pings)
    assert (rewriter.meaningful, rewriter.said) == (False, 0)
    rewriter.feed(ADDED)
    assert (rewriter.meaningful, rewriter.said) == (True, 1)


def test_text_is_counted_where_usage_is_not_told() -> None:
    rewriter = started()
    rewriter.feed(CREATED + ADDED + b"".join([HEL, LO] * 10))
    assert rewriter.text_tokens == 20
    rewriter.feed(event("response.output_text.delta", 9, **PLACE, delta="x" * 400))
    assert rewriter.text_tokens == (50 + 400 + 3) // 4
    rewriter.feed(event("response.audio.delta", 9, delta="x" * 4000))
    assert rewriter.text_tokens == (50 + 400 + 3) // 4


def test_what_comes_with_its_end_alone_is_counted_as_well() -> None:
    call = {"type": "function_call", "id": "fc_1", "arguments": "x" * 400, "call_id": "c"}
    rewriter = started()
    done = event("response.output_item.done", 3, output_index=0, item=call)
    rewriter.feed(CREATED + ADDED + done)
    assert rewriter.text_tokens >= 100
    # What had deltas is not counted twice.
    rewriter = started()
    rewriter.feed(CREATED + ADDED + HEL + LO + ITEM_DONE)
    assert rewriter.text_tokens == 2


# Failures before any content: another attempt may follow...


@pytest.mark.parametrize(
    ("data", "message", "code"),
    [
        (ERROR, "out of luck", "server_error"),
        (FAILED, "no", "server_error"),
        (b'data: {"error":{"message":"no","code":429}}\n\n', "no", 429),
        (b'event: error\ndata: {"error":{"message":"no"}}\n\n', "no", None),
        (b'event: error\ndata: {"message":"no","code":"x"}\n\n', "no", "x"),
        (b"event: error\ndata: no\n\n", "no", None),
        (
            b'event: error\ndata: {"type":"error","error":{"type":"t","code":"c","message":"no"}}'
            b"\n\n",
            "no",
            "c",
        ),
        (
            event("response.failed", 1, response=RESPONSE),
            "the provider reports an error",
            "server_error",
        ),
    ],
)
def test_an_error_before_content_is_in_openai_s_object(
    data: bytes, message: str, code: Any
) -> None:
    rewriter = started()
    rewriter.feed(CREATED + data + LO)
    assert not rewriter.meaningful
    assert rewriter.error is not None
    error = json.loads(rewriter.error)["error"]
    assert (error["message"], error.get("code")) == (message, code)


# ... and after it: the stream ends with `response.failed`.


def test_a_failed_response_is_shown_as_it_is() -> None:
    rewriter = started()
    assert rewriter.feed(CREATED + ADDED + HEL + FAILED + LO) == mine(CREATED) + ADDED + HEL
    assert rewriter.error is not None
    assert OPENAI_RESPONSES.relayed_error_event(rewriter.error, rewriter) == mine(FAILED)


def test_an_error_is_followed_by_the_provider_s_own_end() -> None:
    rewriter = started()
    # It goes out with the last one, after our keys have been taken out of both.
    assert rewriter.feed(CREATED + ADDED + HEL + ERROR) == mine(CREATED) + ADDED + HEL
    assert (rewriter.finished, rewriter.ended) == (True, False)
    assert rewriter.feed(FAILED) == b""
    assert rewriter.error is not None
    assert OPENAI_RESPONSES.relayed_error_event(rewriter.error, rewriter) == ERROR + mine(FAILED)


@pytest.mark.parametrize("last", [b"", b"data: [DONE]\n\n"])
def test_an_error_without_an_end_gets_one(last: bytes) -> None:
    rewriter = started()
    rewriter.feed(CREATED + ADDED + HEL + ERROR + last)
    rewriter.end()
    assert rewriter.error is not None
    error, failed = datas(OPENAI_RESPONSES.relayed_error_event(rewriter.error, rewriter))
    assert (error["type"], error["sequence_number"]) == ("error", 5)
    assert (failed["type"], failed["sequence_number"]) == ("response.failed", 6)
    assert failed["response"] == RESPONSE | {
        "model": "mine",
        "status": "failed",
        "error": {"code": "server_error", "message": "out of luck"},
    }


def test_an_error_that_is_lost_with_its_end_leaves_no_gap() -> None:
    rewriter = started()
    rewriter.feed(CREATED + IN_PROGRESS + ADDED + HEL + ERROR)
    [failed] = datas(OPENAI_RESPONSES.error_event("gone", "upstream_broke", "t", rewriter))
    assert failed["sequence_number"] == 4


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("idle_timeout", "server_error"),
        ("rate_limit_exceeded", "rate_limit_exceeded"),
        ("insufficient_quota", "insufficient_quota"),
    ],
)
def test_our_own_error_continues_the_numbers(code: str, shown: str) -> None:
    rewriter = started()
    rewriter.feed(CREATED + IN_PROGRESS + ADDED + HEL)
    [failed] = datas(OPENAI_RESPONSES.error_event("broke", code, "upstream_error", rewriter))
    assert (failed["type"], failed["sequence_number"]) == ("response.failed", 4)
    assert failed["response"]["id"] == "resp_1"
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"] == {"code": shown, "message": "broke"}


def test_cut_anywhere_a_broken_stream_fails_with_the_next_number() -> None:
    stream = b"".join(STREAM[:-1])
    for cut in range(len(stream)):
        rewriter = started()
        output = rewriter.feed(stream[:cut])
        output += OPENAI_RESPONSES.error_event("broke", "upstream_broke", "t", rewriter)
        events = datas(output)
        assert events[-1]["type"] == "response.failed"
        assert [each["sequence_number"] for each in events] == list(range(len(events)))


@pytest.mark.parametrize("number", ['"x"', "null", "1e999", "9" * 5000])
def test_a_number_that_is_none_hurts_nobody(number: str) -> None:
    rewriter = started()
    rewriter.feed(
        CREATED + b'data: {"type":"response.x","sequence_number":%b}\n\n' % number.encode()
    )
    [failed] = datas(OPENAI_RESPONSES.error_event("broke", "x", "t", rewriter))
    assert failed["type"] == "response.failed"


@pytest.mark.parametrize("data", [b'{"type":"response.output_text.delta","del', b"{]", b'"a"'])
def test_what_cannot_be_read_breaks_the_stream(data: bytes) -> None:
    rewriter = started()
    assert rewriter.feed(CREATED + HEL + b"data: %b\n\n" % data + LO) == mine(CREATED) + HEL
    assert (rewriter.broken is not None, rewriter.malformed) == (True, 1)


def test_the_end_of_something_else_is_no_end() -> None:
    rewriter = started()
    rewriter.feed(CREATED + HEL + b"data: [DONE]\n\n")
    assert rewriter.broken is not None
    assert not rewriter.done


def test_an_event_that_is_too_large_breaks_the_stream() -> None:
    rewriter = started(limit=1000)
    rewriter.feed(event("response.output_text.delta", 1, delta="x" * 2000))
    assert rewriter.broken is not None


def test_lone_surrogates_pass() -> None:
    rewriter = started()
    lone = b'data: {"type":"response.output_text.delta","delta":"\\ud83d"}\n\n'
    assert rewriter.feed(CREATED + lone) == mine(CREATED) + lone
    odd = RESPONSE | {"instructions": "\ud83d"}
    completed = event("response.completed", 1, response=odd)
    rewriter.feed(completed)
    assert rewriter.finish() == mine(completed)


@pytest.mark.parametrize("response", [None, [], "x", 7])
def test_a_response_of_another_form_passes(response: Any) -> None:
    rewriter = started()
    odd = event("response.created", 0, response=response)
    assert rewriter.feed(odd) == odd


def test_what_is_not_kept_has_no_id() -> None:
    rewriter = started()
    rewriter.feed(event("response.created", 0, response=RESPONSE | {"store": False}))
    assert rewriter.kept_ids == ()
    rewriter = started()
    kept = RESPONSE | {"conversation": {"id": "conv_1"}}
    rewriter.feed(event("response.created", 0, response=kept))
    assert rewriter.kept_ids == ("resp_1", "conv_1")


# A whole answer instead of a stream...


def test_a_whole_answer_becomes_a_stream() -> None:
    rewriter = started()
    output = rewriter.feed_answer(json.dumps(WHOLE, indent=1).encode()) + rewriter.finish()
    events = datas(output)
    assert [each["type"].removeprefix("response.") for each in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [each["sequence_number"] for each in events] == list(range(9))
    assert events[-1]["response"] == WHOLE | {"model": "mine"}
    assert events[0]["response"]["output"] == []
    assert events[2]["item"] == ITEM | {"content": []}
    assert (events[4]["delta"], events[4]["item_id"]) == ("Hello", "msg_1")
    assert rewriter.usage == Usage(100, 20, 40, 5)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"error": {"message": "no"}}, True),
        ({"error": {"message": "no", "code": "x"}, "output": [], "status": "failed"}, True),
        ({}, False),
        ({"output": None}, False),
        ([], False),
    ],
)
def test_what_is_no_answer_is_none(body: Any, error: bool) -> None:
    for rewrite in (
        started().feed_answer,
        lambda body: OPENAI_RESPONSES.read_request(b'{"model":"m"}').rewrite_answer(
            RECIPIENT, b'"mine"', body
        ),
    ):
        with pytest.raises(NotAnAnswer) as caught:
            rewrite(json.dumps(body).encode())
        assert (caught.value.error is not None) is error


RECIPIENT: Any = None


def test_a_stream_instead_of_an_answer() -> None:
    asked = OPENAI_RESPONSES.read_request(b'{"model":"m"}')
    answer = asked.rewrite_answer(RECIPIENT, b'"mine"', b"".join(STREAM))
    assert json.loads(answer.body) == WHOLE | {"model": "mine"}
    assert answer.usage == Usage(100, 20, 40, 5)
    for cut in (CREATED + HEL, b"data: x\n\n", b": ping\n\n"):
        with pytest.raises(NotAnAnswer) as caught:
            asked.rewrite_answer(RECIPIENT, b'"mine"', cut)
        assert caught.value.final
    with pytest.raises(NotAnAnswer) as caught:
        asked.rewrite_answer(RECIPIENT, b'"mine"', CREATED + FAILED)
    assert json.loads(caught.value.error or b"")["error"]["message"] == "no"


def test_a_whole_answer_tells_what_it_took_and_where_it_is_kept() -> None:
    asked = OPENAI_RESPONSES.read_request(b'{"model":"m"}')
    body = json.dumps(WHOLE, indent=2).encode()
    answer = asked.rewrite_answer(RECIPIENT, b'"mine"', body)
    assert answer.body == body.replace(b'"model": "real"', b'"model": "mine"')
    assert (answer.usage, answer.text_tokens) == (Usage(100, 20, 40, 5), 0)
    assert answer.kept_ids == ("resp_1",)
    silent = json.dumps(WHOLE | {"usage": None, "store": False}).encode()
    answer = asked.rewrite_answer(RECIPIENT, b'"mine"', silent)
    assert (answer.usage, answer.kept_ids) == (None, ())
    assert answer.text_tokens > 0
    assert USAGE["total_tokens"] == 120
