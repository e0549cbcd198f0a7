from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dialects.anthropic_messages.stream import STOP as OUR_STOP
from gateway.core.dialects.anthropic_messages.stream import MessageStreamRewriter
from gateway.core.dialects.base import NotAnAnswer
from gateway.core.records.usage import Usage
from gateway.core.wire.sse import SseDecoder

from .events import PING, STOP, end, event, start, text, whole

LIMIT = 1 << 20


def rewriter(limit: int = LIMIT) -> MessageStreamRewriter:
    return MessageStreamRewriter(b'"mine"', max_event_bytes=limit)


def fed(*chunks: bytes) -> tuple[MessageStreamRewriter, bytes]:
    found = rewriter()
    output = b"".join([found.feed(chunk) for chunk in chunks]) + found.end()
    assert found.end() == b""
    return found, output


def test_only_the_model_is_changed() -> None:
    odd = event("brand_new", anything={"model": "claude-x", "n": 1.50})
    numbered = (
        b'id: 7\nevent: content_block_stop\ndata: {"type":"content_block_stop","index":9}\n\n'
    )
    stream = start() + PING + odd + numbered + b": a comment\n\n" + text("Hi", "") + end()
    found, output = fed(stream + STOP)
    expected = stream.replace(b'"model":"claude-x","content"', b'"model":"mine","content"')
    expected = expected.replace(
        b"id: 7\nevent: content_block_stop\n", b"event: content_block_stop\nid: 7\n"
    )
    assert output == expected
    assert found.finish() == STOP
    assert found.done
    assert found.usage == Usage(10, 5)
    assert found.malformed == 0


def test_any_chunking_is_the_same() -> None:
    stream = whole("Z\u00fcrich", " ", "\U0001f600")
    _, expected = fed(stream)
    for cut in range(len(stream)):
        found, output = fed(stream[:cut], stream[cut:])
        assert output == expected, cut
        assert found.done
    _, output = fed(*(stream[at : at + 1] for at in range(len(stream))))
    assert output == expected


def test_cut_anywhere_it_is_no_whole_answer() -> None:
    stream = whole("one", "two")
    for cut in range(len(stream) - len(STOP) + 1):
        found, _ = fed(stream[:cut])
        assert not found.done
        assert not found.finished


@pytest.mark.parametrize(
    ("stream", "meaningful"),
    [
        (start() + PING, False),
        (start() + text(""), False),
        (start() + text("a"), True),
        (start() + end("refusal"), True),
        (start() + event("content_block_start", index=0, content_block={"type": "text", "text": "x"}), True),  # noqa: E501
        (
            start()
            + event("content_block_start", index=0, content_block={"type": "tool_use", "id": "t"}),
            True,
        ),
        (
            start()
            + event(
                "content_block_start",
                index=0,
                content_block={"type": "thinking", "thinking": "", "signature": ""},
            ),
            False,
        ),
        (start() + event("message_delta", delta={"stop_reason": None}, usage={}), False),
    ],
)  # fmt: skip
def test_what_is_content(stream: bytes, meaningful: bool) -> None:
    found, _ = fed(stream)
    assert found.meaningful is meaningful
    assert found.said == meaningful


def test_pings_say_nothing() -> None:
    found, output = fed(start() + PING * 3)
    assert output.endswith(PING * 3)
    assert (found.said, found.meaningful) == (0, False)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"O"}}\n\n', "O"),  # noqa: E501
        (b'data: {"type":"error","error":{"type":"api_error","message":"O"}}\n\n', "O"),
        (b'data: {"error":{"message":"O"}}\n\n', "O"),
        (b'event: error\ndata: {"message":"O"}\n\n', "O"),
        (b"event: error\ndata: O\n\n", "O"),
        (b"event: error\ndata: \n\n", "the provider reports an error"),
        (b"event: error\ndata: {}\n\n", "the provider reports an error"),
    ],
)  # fmt: skip
def test_errors_in_the_middle(sent: bytes, told: str) -> None:
    found, output = fed(start() + text("Hi") + sent + text("more") + STOP)
    assert found.error is not None
    assert json.loads(found.error)["error"]["message"] == told
    assert b"more" not in output
    assert not found.done


@pytest.mark.parametrize("data", [b'{"type":"content_block_delta"', b"{", b'{"a":\xff}', b""])
def test_an_event_that_cannot_be_read_breaks_the_stream(data: bytes) -> None:
    found, _ = fed(start() + text("Hi") + b"data: " + data + b"\n\n" + STOP)
    assert found.broken is not None
    assert found.malformed == 1
    assert not found.done


def test_an_event_of_odd_types_goes_on() -> None:
    odd = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":"0","delta":3}\n\n'  # noqa: E501
    surrogate = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\ud83d"}}\n\n'  # noqa: E501
    found, output = fed(start() + odd + surrogate + end() + STOP)
    assert odd in output
    assert surrogate in output
    assert found.done


def test_events_without_a_name_get_one() -> None:
    plain = whole("Hi").replace(b"event: content_block_delta\n", b"")
    _, output = fed(plain)
    assert output == fed(whole("Hi"))[1]


def test_a_second_start_changes_nothing() -> None:
    found, output = fed(start() + start() + text("Hi") + end() + STOP)
    assert output.count(b'"model":"mine"') == 2
    assert found.usage == Usage(10, 5)


def test_too_large() -> None:
    found = rewriter(limit=200)
    found.feed(text("x" * 300))
    assert found.broken is not None


def test_text_is_measured_when_no_usage_comes() -> None:
    found, _ = fed(start(), text(*["word "] * 100))
    assert 100 <= found.text_tokens <= 130


def test_a_forgotten_end() -> None:
    found, _ = fed(start() + text("Hi") + end())
    assert not found.done
    assert found.finish() == OUR_STOP


BLOCKS = [
    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
    {"type": "text", "text": "Hi", "citations": None},
    {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1.50}},
    {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
]
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": BLOCKS,
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 4},
}


def test_a_whole_answer_instead_of_a_stream() -> None:
    found = rewriter()
    output = found.feed_answer(json.dumps(MESSAGE).encode()) + found.finish()
    shown = [json.loads(each.data or b"") for each in SseDecoder().feed(output)]
    kinds = [each["type"] for each in shown]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert shown[0]["message"]["model"] == "mine"
    deltas = [each["delta"] for each in shown if each["type"] == "content_block_delta"]
    assert deltas == [
        {"type": "thinking_delta", "thinking": "hm"},
        {"type": "signature_delta", "signature": "c2ln"},
        {"type": "text_delta", "text": "Hi"},
        {"type": "input_json_delta", "partial_json": '{"a": 1.5}'},
    ]
    assert found.done
    assert found.usage == Usage(3, 4)


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"nothing",
        b"{}",
        b'{"content":null}',
        b'{"type":"error","error":{"type":"api_error","message":"O"}}',
        b'{"content":null,"base_resp":{"status_code":1008,"status_msg":"no money"}}',
    ],
)
def test_no_answer_instead_of_a_stream(body: bytes) -> None:
    with pytest.raises(NotAnAnswer):
        rewriter().feed_answer(body)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_whatever_comes_nothing_is_raised(noise: bytes, at: int) -> None:
    stream = whole("Hi")
    fed(stream[:at] + noise + stream[at:])
