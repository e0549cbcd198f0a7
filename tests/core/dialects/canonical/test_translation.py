"""Each of three dialects for callers of the others: requests there and back, and broken streams."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect, StreamRewriter
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES
from gateway.core.dialects.translators import TranslatedRequest, Untranslatable, translate
from gateway.core.wire.sse import SseDecoder
from gateway.errors import InvalidRequest
from tests.late import openai

from ....rounds import rounds, swept
from ..anthropic_messages.events import PING, STOP, end, event, start
from ..openai_responses.streams import RESPONSE, USAGE
from ..openai_responses.streams import event as response_event
from .recipient import To

DIALECTS: Final = (OPENAI_CHAT, ANTHROPIC_MESSAGES, OPENAI_RESPONSES)
PAIRS: Final = [*permutations(DIALECTS, 2)]
NAMES: Final = [f"{provider.name} for {caller.name}" for provider, caller in PAIRS]
every_pair: Final = pytest.mark.parametrize(("provider", "caller"), PAIRS, ids=NAMES)


def asked(caller: Dialect, provider: Dialect, body: dict[str, Any], **to: Any) -> TranslatedRequest:
    given: dict[str, Any] = {"model": "m"} | body
    if caller is ANTHROPIC_MESSAGES:
        given = {"max_tokens": 64} | given
    request = caller.read_request(json.dumps(given).encode())
    return translate(request, caller, To(provider, **to), 1.5)


def sent(request: TranslatedRequest) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(request.inner.body)
    return found


def hello(caller: Dialect) -> dict[str, Any]:
    if caller is OPENAI_RESPONSES:
        return {"input": "Hi"}
    return {"messages": [{"role": "user", "content": "Hi"}]}


# Requests there and back...

TEXT: Final = st.text(min_size=1, max_size=20)
ARGUMENTS: Final = st.dictionaries(TEXT, st.integers() | TEXT, max_size=2).map(json.dumps)
PICTURES: Final = st.sampled_from(["data:image/png;base64,AAAA", "https://h/i.png"])
FILE: Final = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}


@st.composite
def conversations(draw: Any, caller: Dialect) -> list[dict[str, Any]]:
    """Draw a conversation that all three dialects can have, in the words of one of OpenAI's."""
    chat = caller is OPENAI_CHAT
    found: list[dict[str, Any]] = []
    if draw(st.booleans()):
        found.append({"role": "system", "content": draw(TEXT)})
    for turn in range(draw(st.integers(1, 3))):
        found.append({"role": "user", "content": draw(TEXT | parts(chat=chat))})
        ids = [f"call_{turn}_{number}" for number in range(draw(st.integers(0, 2)))]
        said = draw(st.none() | TEXT) if ids else draw(TEXT)
        results = [draw(TEXT) for _ in ids]
        written = [draw(ARGUMENTS) for _ in ids]
        if chat:
            calls = [
                {"id": id, "type": "function", "function": {"name": "f", "arguments": text}}
                for id, text in zip(ids, written, strict=True)
            ]
            message = {"role": "assistant", "content": said}
            found.append(message | ({"tool_calls": calls} if calls else {}))
            found += [
                {"role": "tool", "tool_call_id": id, "content": text}
                for id, text in zip(ids, results, strict=True)
            ]
            continue
        if said is not None:
            found.append({"role": "assistant", "content": said})
        found += [
            {"type": "function_call", "call_id": id, "name": "f", "arguments": text}
            for id, text in zip(ids, written, strict=True)
        ]
        found += [
            {"type": "function_call_output", "call_id": id, "output": text}
            for id, text in zip(ids, results, strict=True)
        ]
    return found


def parts(*, chat: bool) -> st.SearchStrategy[list[dict[str, Any]]]:
    if chat:
        return st.lists(
            PICTURES.map(lambda url: {"type": "image_url", "image_url": {"url": url}})
            | TEXT.map(lambda text: {"type": "text", "text": text})
            | st.just({"type": "file", "file": FILE}),
            min_size=2,
            max_size=4,
        )
    return st.lists(
        PICTURES.map(lambda url: {"type": "input_image", "detail": "auto", "image_url": url})
        | TEXT.map(lambda text: {"type": "input_text", "text": text})
        | st.just({"type": "input_file", **FILE}),
        min_size=2,
        max_size=4,
    )


@pytest.mark.parametrize("by", [ANTHROPIC_MESSAGES, OPENAI_RESPONSES], ids=lambda each: each.name)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=rounds(20, 300))
@given(conversations(OPENAI_CHAT))
def test_a_chat_goes_there_and_back(by: Dialect, messages: list[dict[str, Any]]) -> None:
    there = asked(OPENAI_CHAT, by, {"messages": messages})
    back = asked(by, OPENAI_CHAT, there_of(there))
    assert sent(back)["messages"] == messages
    assert there.dropped == back.dropped == ()


@pytest.mark.parametrize("by", [OPENAI_CHAT, ANTHROPIC_MESSAGES], ids=lambda each: each.name)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=rounds(20, 300))
@given(conversations(OPENAI_RESPONSES))
def test_an_input_goes_there_and_back(by: Dialect, items: list[dict[str, Any]]) -> None:
    there = asked(OPENAI_RESPONSES, by, {"input": items})
    back = asked(by, OPENAI_RESPONSES, there_of(there))
    found = sent(back)
    # What stands before a conversation of Messages has its own place in Responses.
    head = [{"role": "system", "content": found["instructions"]}] if "instructions" in found else []
    assert head + found["input"] == items
    assert there.dropped == back.dropped == ()


def there_of(request: TranslatedRequest) -> dict[str, Any]:
    return {key: value for key, value in sent(request).items() if key != "model"}


SCHEMA: Final = {"type": "object", "properties": {"n": {"type": "number"}}}
ALL: Final[dict[str, Any]] = {
    "instructions": "Be brief",
    "input": [
        {"role": "developer", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},  # noqa: E501
        {"role": "user", "content": [{"type": "input_text", "text": "x"}, {"type": "input_image", "detail": "high", "image_url": "https://h/i.png"}, {"type": "input_file", "file_id": "file_1"}, {"type": "input_file", "file_url": "https://h/a.pdf"}]},  # noqa: E501
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "A"}, {"type": "summary_text", "text": "B\n\nC"}], "encrypted_content": "c2VjcmV0"},  # noqa: E501
        {"role": "assistant", "content": "y"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"n": 1.50,\n"s":"\\u00e9"}'},  # noqa: E501
        {"type": "custom_tool_call", "call_id": "c2", "name": "exec", "namespace": "functions", "input": "ls \u00e9"},  # noqa: E501
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "r"}, {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,AAAA"}]},  # noqa: E501
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "done"},
        {"type": "reasoning", "id": "rs_2", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm"}]},  # noqa: E501
        {"type": "message", "id": "msg_gateway_1", "status": "completed", "role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]},  # noqa: E501
        {"role": "user", "content": "again"},
    ],
    "tools": [
        {"type": "function", "name": "f", "description": "d", "parameters": SCHEMA, "strict": True},
        {"type": "namespace", "name": "functions", "description": "", "tools": [{"type": "custom", "name": "exec", "description": "e", "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}}]},  # noqa: E501
    ],
    "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "exec"}]},  # noqa: E501
    "parallel_tool_calls": False,
    "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}, "verbosity": "low"},  # noqa: E501
    "reasoning": {"effort": "high", "summary": "detailed"},
    "include": ["reasoning.encrypted_content"],
    "max_output_tokens": 999,
    "temperature": 0.5,
    "top_p": 0.25,
    "metadata": {"k": "v"},
    "user": "u",
    "safety_identifier": "s",
    "service_tier": "flex",
    "prompt_cache_key": "k",
    "prompt_cache_retention": "24h",
    "stream": True,
    "store": False,
}  # fmt: skip


def tagged(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item of reasoning as a caller gets it whose provider is behind the gateway."""
    if item.get("type") != "reasoning":
        return item
    state = [
        item["id"],
        item.get("encrypted_content", ""),
        [len(part["text"]) for part in item["summary"]],
        [len(part["text"]) for part in item.get("content", [])],
    ]
    texts = [part["text"] for part in item["summary"] or item.get("content", [])]
    return {
        "type": "reasoning",
        "id": "rs_gw",
        "summary": [{"type": "summary_text", "text": "\n\n".join(texts)}],
        "encrypted_content": f"~GATEWAY~STATE~1~:openai_responses/p:{json.dumps(state)}",
    }


def test_a_request_for_a_response_loses_nothing_on_the_way_to_one() -> None:
    given = ALL | {"input": [tagged(item) for item in ALL["input"]]}
    found = asked(OPENAI_RESPONSES, OPENAI_RESPONSES, given, reasoning="effort")
    assert sent(found) == {"model": "real"} | ALL
    assert found.dropped == ()
    assert b'{\\"n\\": 1.50,\\n\\"s\\":\\"\\\\u00e9\\"}' in found.inner.body


def test_numbers_keep_their_digits() -> None:
    raw = (
        b'{"model":"m","temperature":0.70,"top_p":1E-2,"max_output_tokens":1e3,"input":"x",'
        b'"tools":[{"type":"function","name":"f","strict":null,"parameters":{"maximum":10.0}}]}'
    )
    for provider in (OPENAI_CHAT, ANTHROPIC_MESSAGES):
        request = OPENAI_RESPONSES.read_request(raw)
        body = translate(request, OPENAI_RESPONSES, To(provider), 0.0).inner.body
        for each in (b'"temperature":0.70', b'"top_p":1E-2', b"1e3", b'"maximum":10.0'):
            assert each in body


# Streams...


def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return b"data: " + json.dumps({"id": "c", "choices": [choice]} | more).encode() + b"\n\n"


def item_events(index: int, kind: str, item: dict[str, Any], pieces: list[str]) -> list[bytes]:
    added = item | {"arguments": ""} if "arguments" in item else item | {"content": []}
    return [
        response_event("response.output_item.added", 1, output_index=index, item=added),
        *(response_event(kind, 1, output_index=index, delta=piece) for piece in pieces),
        response_event("response.output_item.done", 1, output_index=index, item=item),
    ]


# What each says: a text with an empty piece, and two calls whose arguments are split in an escape.
PIECES: Final = ["Z\u00fc", "", "rich \U0001f600"]
CALLS: Final = [("call_1", ['{"c":"\\', 'u00fc"}']), ("call_2", ["", '{"n":1.50}'])]


def chat_stream(repeat: int = 1) -> list[bytes]:
    found = [chunk({"role": "assistant", "content": ""})]
    for _ in range(repeat):
        found += [chunk({"content": piece}) for piece in PIECES]
    heads = [
        {"index": n, "id": id, "function": {"name": "f", "arguments": ""}}
        for n, (id, _) in enumerate(CALLS)
    ]
    found += [chunk({"tool_calls": [head]}) for head in heads]
    # Side by side, in turns.
    for number in range(2):
        for n, (_, pieces) in enumerate(CALLS):
            piece = {"index": n, "function": {"arguments": pieces[number]}}
            found.append(chunk({"tool_calls": [piece]}))
    usage = {"prompt_tokens": 100, "completion_tokens": 20}
    return [*found, chunk({}, "tool_calls"), chunk({}, None, choices=[], usage=usage), b"data: [DONE]\n\n"]  # noqa: E501  # fmt: skip


def message_stream(repeat: int = 1) -> list[bytes]:
    found = [start(input_tokens=100), PING]
    index = -1
    for index in range(repeat):
        found.append(event("content_block_start", index=index, content_block={"type": "text", "text": ""}))  # noqa: E501  # fmt: skip
        for piece in PIECES:
            delta = {"type": "text_delta", "text": piece}
            found.append(event("content_block_delta", index=index, delta=delta))
        found.append(event("content_block_stop", index=index))
    for n, (id, pieces) in enumerate(CALLS, index + 1):
        block = {"type": "tool_use", "id": id, "name": "f", "input": {}}
        found.append(event("content_block_start", index=n, content_block=block))
        for piece in pieces:
            delta = {"type": "input_json_delta", "partial_json": piece}
            found.append(event("content_block_delta", index=n, delta=delta))
        found.append(event("content_block_stop", index=n))
    return [*found, end("tool_use", output_tokens=20), STOP]


def response_stream(repeat: int = 1) -> list[bytes]:
    found = [response_event("response.created", 0, response=RESPONSE | {"tools": []})]
    index = -1
    for index in range(repeat):
        part = {"type": "output_text", "text": "".join(PIECES), "annotations": []}
        item = {"type": "message", "id": f"m{index}", "role": "assistant", "content": [part]}
        found += item_events(index, "response.output_text.delta", item, PIECES)
    for n, (id, pieces) in enumerate(CALLS, index + 1):
        item = {"type": "function_call", "id": f"f{n}", "call_id": id, "name": "f", "arguments": "".join(pieces)}  # noqa: E501  # fmt: skip
        # The arguments of one come with its end alone.
        shown = pieces if n == index + 1 else []
        found += item_events(n, "response.function_call_arguments.delta", item, shown)
    last = RESPONSE | {"status": "completed", "output": [], "usage": USAGE}
    return [*found, response_event("response.completed", 99, response=last)]


STREAMS: Final = {
    OPENAI_CHAT.name: chat_stream,
    ANTHROPIC_MESSAGES.name: message_stream,
    OPENAI_RESPONSES.name: response_stream,
}


def started(provider: Dialect, caller: Dialect) -> StreamRewriter:
    body = hello(caller) | {"stream": True}
    return asked(caller, provider, body).start_stream(To(provider), b'"mine"', 1 << 20)


def fed(provider: Dialect, caller: Dialect, *pieces: bytes) -> tuple[StreamRewriter, bytes]:
    rewriter = started(provider, caller)
    output = b"".join(map(rewriter.feed, pieces)) + rewriter.end()
    return rewriter, output


def said(caller: Dialect, output: bytes) -> tuple[str, list[tuple[str, str]]]:
    """Return the text and the calls of a stream, whatever it is written in."""
    text = ""
    calls: dict[int, list[str]] = {}
    for each in SseDecoder().feed(output):
        if each.data is None or each.data == b"[DONE]":
            continue
        found = json.loads(each.data)
        if caller is OPENAI_CHAT:
            for choice in found["choices"]:
                text += choice["delta"].get("content") or ""
                for call in choice["delta"].get("tool_calls") or []:
                    have = calls.setdefault(call["index"], ["", ""])
                    have[0] += call.get("id", "")
                    have[1] += call["function"].get("arguments", "")
        elif caller is ANTHROPIC_MESSAGES:
            block, delta = found.get("content_block") or {}, found.get("delta") or {}
            if block.get("type") == "tool_use":
                calls[found["index"]] = [block["id"], ""]
            text += delta.get("text", "")
            if "partial_json" in delta:
                calls[found["index"]][1] += delta["partial_json"]
        elif found["type"] == "response.output_text.delta":
            text += found["delta"]
        elif found["type"] == "response.output_item.added" and "call_id" in found["item"]:
            calls[found["output_index"]] = [found["item"]["call_id"], ""]
        elif found["type"] == "response.function_call_arguments.delta":
            calls[found["output_index"]][1] += found["delta"]
    return text, [(id, arguments) for id, arguments in calls.values()]


EXPECTED: Final = ("Z\u00fcrich \U0001f600", [(id, "".join(pieces)) for id, pieces in CALLS])


@every_pair
def test_any_chunking_is_the_same_and_half_a_stream_is_none(
    provider: Dialect, caller: Dialect
) -> None:
    stream = b"".join(STREAMS[provider.name]())
    rewriter, expected = fed(provider, caller, stream)
    assert rewriter.done
    assert said(caller, expected) == EXPECTED
    usage = rewriter.usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (100, 20)
    end_ = rewriter.finish()
    last = stream.rstrip(b"\n").rfind(b"\n\n")
    turn = len(caller.name)
    for cut in swept(len(stream) - 1, turn, 7):
        rewriter, output = fed(provider, caller, stream[:cut], stream[cut:])
        assert output == expected
        assert rewriter.finish() == end_
    for cut in swept(len(stream) - 1, turn, 13):
        rewriter, output = fed(provider, caller, stream[:cut])
        assert output == expected[: len(output)]
        # Anthropic's and OpenAI's ends are one event; without it nothing is whole.
        assert not rewriter.done or cut > last


@every_pair
def test_a_thousand_blocks(provider: Dialect, caller: Dialect) -> None:
    rewriter, output = fed(provider, caller, b"".join(STREAMS[provider.name](1000)))
    assert rewriter.done
    text, calls = said(caller, output)
    assert text == EXPECTED[0] * 1000
    assert calls == EXPECTED[1]


@every_pair
def test_unknown_events_and_events_of_unknown_blocks_are_passed_over(
    provider: Dialect, caller: Dialect
) -> None:
    events = STREAMS[provider.name]()
    odd = {
        OPENAI_CHAT.name: [b'data: {"id":"c","object":"brand.new","choices":[]}\n\n'],
        ANTHROPIC_MESSAGES.name: [
            event("brand_new", delta=3, message="x"),
            event("content_block_delta", index=77, delta={"type": "text_delta", "text": "lost"}),
            event("content_block_stop", index=78),
        ],
        OPENAI_RESPONSES.name: [
            response_event("response.brand_new.delta", 5, delta="x", output_index=0),
            response_event("response.function_call_arguments.delta", 5, delta="x", output_index=77),
            response_event("response.output_item.done", 5, output_index=78, item={"type": "new", "content": "x", "name": 3, "summary": {}}),  # noqa: E501
        ],
    }[provider.name]  # fmt: skip
    for at in range(1, len(events) - 1):
        rewriter, output = fed(provider, caller, *events[:at], *odd, *events[at:])
        assert rewriter.done
        assert rewriter.broken is None
        assert said(caller, output) == EXPECTED


@every_pair
@settings(deadline=None, max_examples=rounds(20, 300))
@given(st.binary(max_size=60), st.floats(0, 1))
def test_whatever_comes_nothing_is_raised(
    provider: Dialect, caller: Dialect, noise: bytes, at: float
) -> None:
    stream = b"".join(STREAMS[provider.name]())
    cut = int(at * len(stream))
    fed(provider, caller, stream[:cut] + noise + stream[cut:])


@every_pair
@settings(deadline=None, max_examples=rounds(20, 300))
@given(st.randoms(use_true_random=False))
def test_events_in_any_order_raise_nothing(provider: Dialect, caller: Dialect, random: Any) -> None:
    events = STREAMS[provider.name]()
    middle = events[1:-1]
    random.shuffle(middle)
    rewriter, output = fed(provider, caller, events[0], *middle, events[-1])
    said(caller, output + rewriter.finish())


@pytest.mark.parametrize("provider", [OPENAI_CHAT, ANTHROPIC_MESSAGES], ids=lambda each: each.name)
def test_a_stream_of_responses_that_breaks_fails_in_its_own_words(provider: Dialect) -> None:
    events = STREAMS[provider.name]()
    for at in range(1, len(events) - 1):
        rewriter, output = fed(provider, OPENAI_RESPONSES, *events[:at])
        told = OPENAI_RESPONSES.error_event(
            "It broke", "upstream_broke", "upstream_error", rewriter
        )
        found = [json.loads(each.data or b"") for each in SseDecoder().feed(output + told)]
        assert [each["sequence_number"] for each in found] == [*range(len(found))]
        last = openai.types.responses.ResponseFailedEvent.model_validate(found[-1], strict=True)
        assert last.response.error is not None
        assert (last.response.error.code, last.response.status) == ("server_error", "failed")
        assert last.response.model == "mine"
        if len(found) > 1:
            assert last.response.id == found[0]["response"]["id"]


def test_a_code_that_codex_takes_for_final_is_kept() -> None:
    error = event("error", error={"type": "billing_error", "message": "no money"})
    rewriter, _ = fed(ANTHROPIC_MESSAGES, OPENAI_RESPONSES, *message_stream()[:5], error)
    assert rewriter.foreign_error is not None
    message, code = rewriter.foreign_error
    told = OPENAI_RESPONSES.error_event(message, code, "upstream_error", rewriter)
    assert b'"code":"insufficient_quota"' in told


@pytest.mark.parametrize("kind", ["text", "custom"])
def test_what_is_held_of_an_answer_has_a_bound(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.core.dialects.openai_responses.translated.event_writer.MOST_TEXT", 50)  # noqa: E501  # fmt: skip
    monkeypatch.setattr("gateway.core.dialects.canonical.tools.MOST_HELD_TEXT", 20)
    tool = {"type": "custom", "name": "c"}
    body = hello(OPENAI_RESPONSES) | {"stream": True, "tools": [tool]}
    request = asked(OPENAI_RESPONSES, OPENAI_CHAT, body)
    rewriter = request.start_stream(To(OPENAI_CHAT), b'"mine"', 1 << 20)
    call = {"index": 0, "id": "x", "function": {"name": "c", "arguments": "y" * 15}}
    piece = chunk({"content": "y" * 15}) if kind == "text" else chunk({"tool_calls": [call]})
    fed_ = [rewriter.feed(piece) for _ in range(9)]
    assert rewriter.broken is not None
    assert fed_[0]
    assert not fed_[-1]


ANYTHING: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(deadline=None, max_examples=rounds(60, 600))
@given(st.randoms(use_true_random=False), ANYTHING, st.booleans())
def test_a_request_that_is_damaged_is_read_or_refused(random: Any, value: Any, drops: bool) -> None:
    damaged = json.loads(json.dumps(ALL | {"model": "m"}))
    place: Any = damaged
    while True:
        keys = [*place] if isinstance(place, dict) else [*range(len(place))]
        key = random.choice(keys)
        if not isinstance(place[key], dict | list) or not place[key] or random.random() < 0.2:
            break
        place = place[key]
    place[key] = value
    body = json.dumps(damaged).encode()
    for provider in DIALECTS:
        try:
            request = OPENAI_RESPONSES.read_request(body)
            found = translate(request, OPENAI_RESPONSES, To(provider, drops=drops), 1.5)
            rewriter = found.start_stream(To(provider), b'"mine"', 1 << 20)
            output = b"".join(map(rewriter.feed, STREAMS[provider.name]())) + rewriter.finish()
        except (InvalidRequest, Untranslatable):
            continue
        for each in SseDecoder().feed(output):
            json.loads(each.data or b"")
