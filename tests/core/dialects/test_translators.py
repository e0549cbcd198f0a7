"""Requests and streams from one dialect to the other, and back: what each side gets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import StreamRewriter
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.translators import TranslatedRequest, Untranslatable, translate
from gateway.errors import InvalidRequest

from .anthropic_messages.events import STOP, end, event, start, text
from .canonical.recipient import To

HI = [{"role": "user", "content": "Hi"}]


def to_chat(body: dict[str, Any], **to: Any) -> TranslatedRequest:
    given = {"model": "m", "max_tokens": 64, "messages": HI} | body
    request = ANTHROPIC_MESSAGES.read_request(json.dumps(given).encode())
    return translate(request, ANTHROPIC_MESSAGES, To(OPENAI_CHAT, **to), 0.0)


def to_messages(body: dict[str, Any] | bytes, **to: Any) -> TranslatedRequest:
    raw = (
        body
        if isinstance(body, bytes)
        else json.dumps({"model": "m", "messages": HI} | body).encode()
    )
    return translate(OPENAI_CHAT.read_request(raw), OPENAI_CHAT, To(ANTHROPIC_MESSAGES, **to), 0.0)


def sent(request: TranslatedRequest) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(request.inner.body)
    return found


# Requests...


@pytest.mark.parametrize(
    ("body", "member"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"temperature": 1.5}, "temperature"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"brand_new": 1}, "brand_new"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "A", "format": "wav"}}]}]}, "messages.0 (audio)"),  # noqa: E501
        ({"messages": [{"role": "user", "content": [{"type": "video_url", "video_url": {}}]}]}, "messages.0.content.0 (video_url)"),  # noqa: E501
    ],
)  # fmt: skip
def test_what_messages_cannot_say(body: dict[str, Any], member: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        to_messages(body)
    assert caught.value.member == member
    assert to_messages(body, drops=True).dropped == (member,)


@pytest.mark.parametrize(
    ("body", "member"),
    [
        ({"container": "c"}, "container"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}], "tool_choice": {"type": "tool", "name": "web_search"}}, "tools.0 (web_search_20250305)"),  # noqa: E501
        ({"tools": [{"type": "bash_20250124", "name": "bash"}], "tool_choice": {"type": "any"}}, "tool_choice"),  # noqa: E501
        ({"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}]}, "messages.0.content.0 (container_upload)"),  # noqa: E501
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]}]}, "messages.0.content.0.source"),  # noqa: E501
    ],
)  # fmt: skip
def test_what_a_chat_cannot_say(body: dict[str, Any], member: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        to_chat(body)
    assert caught.value.member == member
    assert member in to_chat(body, drops=True).dropped


@pytest.mark.parametrize(
    "body",
    [
        {"frequency_penalty": 0, "presence_penalty": 0.0, "n": 1, "logprobs": False, "logit_bias": {}},  # noqa: E501
        {"tools": None, "stop": None, "modalities": ["text"], "min_p": 0},
    ],
)  # fmt: skip
def test_what_asks_for_nothing_is_no_reason_to_refuse(body: dict[str, Any]) -> None:
    assert to_messages(body).dropped == ()


@pytest.mark.parametrize(
    "body",
    [
        {"messages": 3},
        {"messages": [3]},
        {"messages": [{"role": "wizard", "content": "x"}]},
        {"messages": [{"role": "user", "content": 3}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"tools": [{"type": "function"}]},
        {"stop": [3]},
        {"temperature": "hot"},
        {"reasoning_effort": 3},
    ],
)
def test_what_cannot_be_read_is_the_caller_s_fault(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        to_messages(body)
    assert caught.value.status == 400
    assert caught.value.param


def test_numbers_keep_their_digits_and_arguments_their_bytes() -> None:
    call = {"id": "c.1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1.50,\n"b":"\\u00e9"}'}}  # fmt: skip  # noqa: E501
    raw = (
        b'{"model":"m","temperature":0.70,"top_p":1E-2,"max_tokens":1e3,"messages":['
        b'{"role":"user","content":"x"},{"role":"assistant","content":null,"tool_calls":[%b]},'
        b'{"role":"tool","tool_call_id":"c.1","content":"y"}],"tools":[{"type":"function",'
        b'"function":{"name":"f","parameters":{"type":"object","maximum":10.0}}}]}'
    ) % json.dumps(call).encode()
    body = to_messages(raw).inner.body
    for each in (b'"temperature":0.70', b'"top_p":1E-2', b'"max_tokens":1e3', b'"maximum":10.0'):
        assert each in body
    assert b'{"a": 1.50,\n"b":"\\u00e9"}' in body


def test_arguments_that_are_no_object() -> None:
    for written, expected in [("", {}), ("[1]", {"INVALID_JSON": "[1]"}), ('{"a', {"INVALID_JSON": '{"a'})]:  # fmt: skip  # noqa: E501
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": written}}
        messages = [*HI, {"role": "assistant", "tool_calls": [call]}]
        assert sent(to_messages({"messages": messages}))["messages"][1]["content"][0]["input"] == expected  # fmt: skip  # noqa: E501


def test_instructions_keep_their_place() -> None:
    messages = [
        {"role": "system", "content": "one"},
        {"role": "developer", "content": [{"type": "text", "text": "two"}]},
        *HI,
        {"role": "system", "content": "three"},
    ]
    found = sent(to_messages({"messages": messages}))
    assert [block["text"] for block in found["system"]] == ["one", "two"]
    assert found["messages"] == [*HI, {"role": "system", "content": "three"}]
    back = sent(to_chat({"system": found["system"], "messages": found["messages"]}))
    assert [message["role"] for message in back["messages"]] == ["system", "user", "system"]
    alone = sent(to_messages({"messages": [{"role": "system", "content": "do"}]}))
    assert alone["messages"] == [{"role": "user", "content": "do"}]


@pytest.mark.parametrize(
    ("chat", "messages"),
    [
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "auto", "parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),  # noqa: E501
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, {"type": "tool", "name": "f"}),  # noqa: E501
    ],
)  # fmt: skip
def test_choices_go_both_ways(chat: dict[str, Any], messages: dict[str, Any]) -> None:
    schema = {"type": "object"}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    found = sent(to_messages(chat | {"tools": [tool]}))
    assert found["tool_choice"] == messages
    back = sent(to_chat({"tools": found["tools"], "tool_choice": messages}))
    assert {key: back[key] for key in chat} == chat
    assert back["tools"] == [tool]


@pytest.mark.parametrize(
    ("reasoning", "body", "expected"),
    [
        ("adaptive", {"reasoning_effort": "high"}, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),  # noqa: E501
        ("budget", {"reasoning_effort": "low"}, {"thinking": {"type": "enabled", "budget_tokens": 2048}}),  # noqa: E501
        ("budget", {"reasoning": {"max_tokens": 5000}}, {"thinking": {"type": "enabled", "budget_tokens": 5000}}),  # noqa: E501
        ("budget", {"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        ("none", {"reasoning_effort": "high"}, {}),
    ],
)  # fmt: skip
def test_reasoning_of_messages(reasoning: Any, body: Any, expected: Any) -> None:
    found = sent(to_messages(body, reasoning=reasoning))
    assert {key: found[key] for key in ("thinking", "output_config") if key in found} == expected


def test_limits_of_a_route() -> None:
    assert sent(to_messages({}))["max_tokens"] == 8192
    assert sent(to_messages({"max_tokens": 99999}, max_output_tokens=500))["max_tokens"] == 500
    assert sent(to_chat({"max_tokens": 128000}, max_output_tokens=500))["max_tokens"] == 500


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
LINK = {"type": "image_url", "image_url": {"url": "https://h/i.png"}}
PARTS = st.lists(
    st.sampled_from([IMAGE, LINK]) | st.text(min_size=1).map(lambda t: {"type": "text", "text": t}),
    min_size=2,
    max_size=4,
)
ARGUMENTS = st.dictionaries(st.text(), st.integers() | st.text() | st.booleans()).map(json.dumps)


@st.composite
def conversations(draw: Any) -> list[dict[str, Any]]:
    """Draw a conversation that both dialects can have."""
    found: list[dict[str, Any]] = []
    if draw(st.booleans()):
        found.append({"role": "system", "content": draw(st.text(min_size=1))})
    for turn in range(draw(st.integers(1, 3))):
        content = draw(st.text(min_size=1) | PARTS)
        found.append({"role": "user", "content": content})
        calls = [
            {
                "id": draw(st.text(min_size=1, max_size=8)) + f"_{turn}_{number}",
                "type": "function",
                "function": {"name": "f", "arguments": draw(ARGUMENTS)},
            }
            for number in range(draw(st.integers(0, 2)))
        ]
        said = draw(st.none() | st.text(min_size=1)) if calls else draw(st.text(min_size=1))
        found.append(
            {"role": "assistant", "content": said} | ({"tool_calls": calls} if calls else {})
        )
        found += [
            {"role": "tool", "tool_call_id": call["id"], "content": draw(st.text(min_size=1))}
            for call in calls
        ]
    return found


@given(conversations())
def test_a_conversation_goes_there_and_back(messages: list[dict[str, Any]]) -> None:
    there = sent(to_messages({"messages": messages}))
    back = to_chat({key: value for key, value in there.items() if key != "model"})
    # Results and what the user says then are one message there.
    assert sent(back)["messages"] == messages
    assert back.dropped == ()


# Streams...


def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def for_messages(*events: bytes) -> tuple[StreamRewriter, list[dict[str, Any]]]:
    rewriter = to_chat({"stream": True}).start_stream(To(OPENAI_CHAT), b'"mine"', 1 << 20)
    output = b"".join(map(rewriter.feed, events)) + rewriter.end() + rewriter.finish()
    blocks = [block.partition(b"data: ")[2] for block in output.split(b"\n\n") if block]
    return rewriter, [json.loads(block) for block in blocks]


def calls_of(events: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    found: dict[int, list[str]] = {}
    for each in events:
        if each["type"] == "content_block_start" and each["content_block"]["type"] == "tool_use":
            block = each["content_block"]
            found[each["index"]] = [block["id"], block["name"], ""]
        elif each["type"] == "content_block_delta" and "partial_json" in each["delta"]:
            found[each["index"]][2] += each["delta"]["partial_json"]
    return [(id, name, text) for id, name, text in found.values()]


def call(index: int | None, id: str | None, name: str | None, arguments: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"function": {"name": name, "arguments": arguments}}
    if index is not None:
        found["index"] = index
    return {"tool_calls": [found | ({"id": id} if id is not None else {})]}


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        # Side by side, in turns.
        ([call(0, "a", "f", ""), call(1, "b", "g", ""), call(0, None, None, '{"x"'), call(1, None, None, "{}"), call(0, None, None, ":1}")], [("a", "f", '{"x":1}'), ("b", "g", "{}")]),  # noqa: E501
        # Without an index (Gemini), whole.
        ([call(None, "a", "f", "{}"), call(None, "b", "f", '{"x":1}')], [("a", "f", "{}"), ("b", "f", '{"x":1}')]),  # noqa: E501
        # All under one index.
        ([call(0, "a", "f", "{}"), call(0, "b", "g", '{"x":1}')], [("a", "f", "{}"), ("b", "g", '{"x":1}')]),  # noqa: E501
        # The id again with every piece, and an empty name.
        ([call(0, "a", "f", ""), call(0, "a", "", "{}")], [("a", "f", "{}")]),
        # The name later than the arguments; none at all; an object instead of text.
        ([call(0, "a", None, '{"x"'), call(0, None, "f", ":1}")], [("a", "f", '{"x":1}')]),
        ([call(0, "a", "f", None)], [("a", "f", "")]),
        ([call(0, "a", "f", {"x": 1})], [("a", "f", '{"x": 1}')]),
        ([{"function_call": {"name": "f", "arguments": "{}"}}], [("call_c_0", "f", "{}")]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("reason", ["tool_calls", "stop"])
def test_calls_are_told_apart(deltas: Any, expected: Any, reason: str) -> None:
    rewriter, events = for_messages(*map(chunk, deltas), chunk({}, reason), DONE)
    assert rewriter.done
    assert calls_of(events) == expected
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    opened = [each["index"] for each in events if each["type"] == "content_block_start"]
    closed = [each["index"] for each in events if each["type"] == "content_block_stop"]
    assert opened == sorted(closed) == list(range(len(opened)))


def test_reasoning_and_refusals_of_chats() -> None:
    deltas = [{"reasoning_content": "a"}, {"reasoning": "b"}, {"content": "c"}, {"refusal": "d"}]
    _, events = for_messages(*map(chunk, deltas), chunk({}, "stop"), DONE)
    blocks = [each["content_block"]["type"] for each in events if "content_block" in each]
    assert blocks == ["thinking", "text", "text"]
    assert events[-2]["delta"]["stop_reason"] == "refusal"
    parts = {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}, {"type": "text", "text": "x"}]}  # fmt: skip  # noqa: E501
    _, events = for_messages(chunk(parts), chunk({}, "stop"), DONE)
    assert next(each["delta"] for each in events if "delta" in each)["thinking"] == "t"


def for_chat(stream: bytes, cut: int | None = None) -> tuple[StreamRewriter, bytes]:
    body = {"stream": True, "stream_options": {"include_usage": True}}
    recipient = To(ANTHROPIC_MESSAGES)
    rewriter = to_messages(body).start_stream(recipient, b'"mine"', 1 << 20)
    pieces = [stream] if cut is None else [stream[:cut], stream[cut:]]
    output = b"".join(map(rewriter.feed, pieces)) + rewriter.end()
    return rewriter, output


WHOLE = (
    start()
    + text("Z\u00fcrich", "\U0001f600")
    + event("content_block_start", index=1, content_block={"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}})  # noqa: E501
    + event("content_block_stop", index=1)
    + end("tool_use")
    + STOP
)  # fmt: skip


def test_any_chunking_is_the_same_and_half_a_stream_is_none() -> None:
    expected = for_chat(WHOLE)[1]
    assert b'"arguments":"{\\"a\\": 1}"' in expected or b'{\\"a\\":1}' in expected
    for cut in range(1, len(WHOLE)):
        rewriter, output = for_chat(WHOLE, cut)
        assert output == expected
        assert rewriter.done
    for cut in range(len(WHOLE) - len(STOP) + 1):
        assert not for_chat(WHOLE[:cut])[0].done


def test_an_event_that_cannot_be_translated_breaks_the_stream() -> None:
    odd = event("content_block_delta", index=0, delta={"type": "text_delta", "text": 3})
    rewriter, _ = for_chat(start() + text("Hi") + odd + end() + STOP)
    assert rewriter.broken is not None
    unknown = event("brand_new", delta=3, message="x")
    rewriter, _ = for_chat(start() + unknown + text("Hi") + end() + STOP)
    assert rewriter.broken is None


def test_errors_have_their_code() -> None:
    error = event("error", error={"type": "overloaded_error", "message": "O"})
    rewriter, _ = for_chat(start() + text("Hi") + error)
    assert rewriter.foreign_error == ("O", "overloaded")


def test_a_thousand_blocks() -> None:
    blocks = b"".join(text("x", index=number) for number in range(1000))
    rewriter, output = for_chat(start() + blocks + end() + STOP)
    assert rewriter.done
    assert output.count(b'"content":"x"') == 1000


@given(st.binary(max_size=60), st.integers(0, len(WHOLE)))
def test_whatever_comes_nothing_is_raised(noise: bytes, at: int) -> None:
    for_chat(WHOLE[:at] + noise + WHOLE[at:])
