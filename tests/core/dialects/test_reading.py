"""Requests and answers of Messages and Responses as a person reads them; nothing raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dialects.conversation import Conversation, ConversationTurn, PartKind
from gateway.core.dialects.reading import read_conversation

MESSAGES, RESPONSES = "/v1/messages", "/v1/responses"


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def read(target: str, request: Any, events: Any = (), body: Any = None) -> Conversation:
    found = read_conversation(
        target, encoded(request), [encoded(each) for each in events],
        None if body is None else encoded(body),
    )  # fmt: skip
    assert found is not None
    return found


def said(conversation: Conversation) -> list[tuple[str, str, str]]:
    return [
        (part.kind.value, part.title, part.text)
        for turn in conversation.answers
        for part in turn.parts
    ]


def test_a_request_of_messages() -> None:
    found = read(MESSAGES, {
        "model": "m", "max_tokens": 5, "tools": [{"name": "f"}, {"type": "web_search_20250305"}],
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "Look"},
                {"type": "image", "source": {"media_type": "image/png", "data": "QUJD"}},
                {"type": "document", "title": "a.pdf", "source": {"url": "https://e.org/a"}},
                {"type": "tool_result", "content": [{"type": "text", "text": "42"}]},
                {"type": "new", "x": 1},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm"}, {"type": "tool_use", "name": "f"},
            ]},
            {"role": "user", "content": "plain"},
        ],
    })  # fmt: skip
    assert found.settings == {"max_tokens": 5}
    assert found.tools == ["f", "web_search_20250305"]
    assert [turn.role for turn in found.turns] == ["system", "user", "assistant", "user"]
    kinds = [part.kind for part in found.turns[1].parts]
    assert kinds == [PartKind.TEXT, PartKind.IMAGE, PartKind.FILE, PartKind.TOOL_RESULT,
                     PartKind.OTHER]  # fmt: skip
    image = found.turns[1].parts[1]
    assert (image.media_type, image.bytes) == ("image/png", 3)


def test_an_answer_of_messages_is_the_same_streamed_and_whole() -> None:
    content = [
        {"type": "thinking", "thinking": "hm, hm", "signature": "s"},
        {"type": "text", "text": "It is sunny."},
        {"type": "tool_use", "id": "t", "name": "weather", "input": {"city": "Köln"}},
    ]
    whole = read(MESSAGES, {}, body={"content": content, "stop_reason": "tool_use"})
    events = [
        {"type": "message_start", "message": {}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking",
                                                                      "thinking": ""}},
        {"type": "content_block_delta", "index": 0,
         "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_delta", "index": 0,
         "delta": {"type": "thinking_delta", "thinking": ", hm"}},
        {"type": "content_block_delta", "index": 0,
         "delta": {"type": "signature_delta", "signature": "s"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 1,
         "delta": {"type": "text_delta", "text": "It is sunny."}},
        {"type": "content_block_start", "index": 2,
         "content_block": {"type": "tool_use", "id": "t", "name": "weather", "input": {}}},
        {"type": "content_block_delta", "index": 2,
         "delta": {"type": "input_json_delta", "partial_json": '{"city":'}},
        {"type": "content_block_delta", "index": 2,
         "delta": {"type": "input_json_delta", "partial_json": '"Köln"}'}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}},
        {"type": "message_stop"},
    ]  # fmt: skip
    streamed = read(MESSAGES, {}, events)
    assert said(streamed) == said(whole) == [
        ("reasoning", "", "hm, hm"), ("text", "", "It is sunny."),
        ("tool_call", "weather", '{"city":"Köln"}'),
    ]  # fmt: skip
    assert streamed.answers[0].note == whole.answers[0].note == "tool_use"
    # A stream that broke off has what came.
    assert said(read(MESSAGES, {}, events[:8]))[-1] == ("text", "", "It is sunny.")


def test_a_request_of_responses() -> None:
    found = read(RESPONSES, {
        "model": "m", "instructions": "Be brief.", "store": False,
        "tools": [{"type": "function", "name": "f"}],
        "input": [
            {"role": "user", "content": "plain"},
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "Look"},
                {"type": "input_image", "image_url": "data:image/png;base64,QUJD"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "QUJD"},
            ]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "function_call", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "output": "42"},
            {"type": "new", "x": 1},
        ],
    })  # fmt: skip
    assert found.settings == {"store": False}
    assert found.tools == ["f"]
    kinds = [[part.kind.value for part in turn.parts] for turn in found.turns]
    assert kinds == [["text"], ["text"], ["text", "image", "file"], ["reasoning"], ["tool_call"],
                     ["tool_result"], ["other"]]  # fmt: skip
    assert read(RESPONSES, {"input": "Hi"}).turns[0].parts[0].text == "Hi"


def test_an_answer_of_responses() -> None:
    output = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "message", "role": "assistant",
         "content": [{"type": "output_text", "text": "It is sunny."}]},
        {"type": "function_call", "name": "weather", "arguments": '{"city":"Köln"}'},
    ]  # fmt: skip
    answer = {"status": "completed", "output": output}
    whole = read(RESPONSES, {}, body=answer)
    events = [
        {"type": "response.created", "response": {"output": []}},
        {"type": "response.output_item.done", "output_index": 0, "item": output[0]},
        {"type": "response.output_text.delta", "output_index": 1, "delta": "It is "},
        {"type": "response.output_text.delta", "output_index": 1, "delta": "sunny."},
    ]
    expected = [("reasoning", "", "hm"), ("text", "", "It is sunny."),
                ("tool_call", "weather", '{"city":"Köln"}')]  # fmt: skip
    assert said(whole) == expected
    completed = [*events, {"type": "response.completed", "response": answer}]
    assert said(read(RESPONSES, {}, completed)) == expected
    assert said(read(RESPONSES, {}, events)) == expected[:2]
    cut = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"},
           "output": []}  # fmt: skip
    assert read(RESPONSES, {}, body=cut).answers[0].note == "max_output_tokens"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["type", "role", "content", "index", "delta", "output", "item", "text",
                         "input", "messages", "content_block", "response", "output_index"]),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.parametrize("target", [MESSAGES, RESPONSES, "/v1/chat/completions"])
@given(request=JSON, events=st.lists(JSON, max_size=4), body=st.none() | JSON, raw=st.binary())
def test_nothing_raises(
    target: str, request: Any, events: list[Any], body: Any, raw: bytes
) -> None:
    read(target, request, events, body)
    read_conversation(target, raw, [raw], raw)


TYPED = st.builds(
    lambda what, rest: {**(rest if isinstance(rest, dict) else {}), "type": what},
    st.sampled_from(["text", "tool_use", "thinking", "image", "message", "reasoning", "refusal",
                     "function_call", "content_block_start", "content_block_delta", "input_image",
                     "response.completed", "response.output_item.done", "x_call_output"]),
    JSON,
)  # fmt: skip


@pytest.mark.parametrize("target", [MESSAGES, RESPONSES])
@given(parts=st.lists(TYPED, max_size=3))
def test_nothing_raises_for_parts_of_a_known_type(target: str, parts: list[Any]) -> None:
    read(target, {"messages": [{"content": parts}], "input": parts}, parts)
    read(target, {}, body={"content": parts, "output": parts})


def test_another_path_is_no_conversation() -> None:
    assert read_conversation("/v1/batches", b"{}") is None
    assert read_conversation("/v1/audio", b"{}") is None


def shown(turns: list[ConversationTurn]) -> list[tuple[str, ...]]:
    """Return who says what: the role, the kind of each part, and its text."""
    return [
        (turn.role, *(each for part in turn.parts for each in (part.kind.value, part.text)))
        for turn in turns
    ]


def test_a_chat_of_ollama_and_its_answer_whole_and_streamed() -> None:
    found = read("/api/chat", {
        "model": "m", "stream": False, "options": {"num_predict": 9},
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Look", "images": ["QUJD"]},
            {"role": "assistant", "content": "", "thinking": "hm",
             "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
            {"role": "tool", "tool_name": "f", "content": "42"},
        ],
    })  # fmt: skip
    assert found.settings == {"stream": False, "options": {"num_predict": 9}}
    assert found.tools == ["f"]
    assert shown(found.turns) == [
        ("system", "text", "Be brief."),
        ("user", "text", "Look", "image", ""),
        ("assistant", "reasoning", "hm", "tool_call", '{"a":1}'),
        ("tool", "tool_result", "42"),
    ]
    assert (found.turns[1].parts[1].bytes, found.turns[3].name) == (3, "f")
    call = {"function": {"name": "f", "arguments": {"city": "x"}}}
    lines = [{"message": {"role": "assistant", "content": "", "thinking": "h"}},
             {"message": {"content": "It is ", "thinking": "m"}}, {"message": {"content": "sunny"}},
             {"message": {"content": "", "tool_calls": [call]}, "done": True,
              "done_reason": "stop"}]  # fmt: skip
    whole = {"message": {"content": "It is sunny", "thinking": "hm", "tool_calls": [call]},
             "done_reason": "stop"}  # fmt: skip
    expected = [("assistant", "reasoning", "hm", "text", "It is sunny", "tool_call",
                 '{"city":"x"}')]  # fmt: skip
    for answers in (
        read("/api/chat", {}, lines).answers,
        read("/api/chat", {}, body=whole).answers,
    ):
        assert shown(answers) == expected
        assert answers[0].note == "stop"


# What is asked and answered that is no chat: the path, the request, the answer, and how each reads.
OTHERS: Any = [
    ("/api/generate", {"prompt": "Go on", "system": "S", "suffix": "end", "images": ["QUJD"]},
     {"response": "on", "thinking": "t", "done_reason": "length"},
     [("system", "text", "S"), ("user", "text", "Go on", "image", ""), ("suffix", "text", "end")],
     [("assistant", "reasoning", "t", "text", "on")]),
    ("/v1/completions", {"prompt": ["One", "Two"], "suffix": "!"},
     {"choices": [{"index": 1, "text": "b"}, {"index": 0, "text": "a", "finish_reason": "stop"}]},
     [("prompt", "text", "One", "text", "Two"), ("suffix", "text", "!")],
     [("assistant", "text", "a"), ("assistant", "text", "b")]),
    ("/v1/embeddings", {"input": [1, 2]}, {"data": [{"embedding": [0.5, 1.5]}]},
     [("input", "other", "[1,2]")], [("vectors", "text", "1 vector of 2 numbers")]),
    ("/v1/embeddings", {"input": ["a", "b"]}, {"data": [{"embedding": "AAAAAAAAAAA="}] * 2},
     [("input", "text", "a", "text", "b")], [("vectors", "text", "2 vectors of 2 numbers")]),
    ("/v2/embed", {"texts": ["a"], "input_type": "x"}, {"embeddings": {"float": [[1, 2, 3]]}},
     [("texts", "text", "a")], [("vectors", "text", "1 vector of 3 numbers")]),
    ("/api/embed", {"input": "a"}, {"embeddings": [[1, 2]]},
     [("input", "text", "a")], [("vectors", "text", "1 vector of 2 numbers")]),
    ("/v1/moderations", {"input": "a"}, {"results": [{"flagged": True}]},
     [("input", "text", "a")], [("result", "other", '{"flagged":true}')]),
    ("/v1/rerank", {"query": "q", "documents": ["a", {"text": "b"}]},
     {"results": [{"index": 1, "relevance_score": 0.75}]},
     [("query", "text", "q"), ("document", "text", "a"), ("document", "text", "b")],
     [("rank", "text", "document 1: 0.75")]),
    ("/v1/images/generations", {"prompt": "A cat", "size": "1x1"},
     {"data": [{"b64_json": "QUJD", "revised_prompt": "A red cat"}, {"url": "https://e.org/i"}]},
     [("prompt", "text", "A cat")],
     [("assistant", "image", "", "text", "A red cat", "image", "https://e.org/i")]),
    ("/v1/audio/transcriptions", "no JSON but a form", {"text": "Hello"},
     [], [("assistant", "text", "Hello")]),
    ("/v1/messages/count_tokens", {"messages": [{"role": "user", "content": "a"}]},
     {"input_tokens": 3}, [("user", "text", "a")], []),
    ("/v1/responses/input_tokens", {"input": "a"}, {"input_tokens": 3},
     [("user", "text", "a")], []),
    ("/v1beta/models/m:countTokens", {"contents": [{"role": "user", "parts": [{"text": "a"}]}]},
     {"totalTokens": 3}, [("user", "text", "a")], []),
]  # fmt: skip


def test_what_is_no_chat_is_readable() -> None:
    for target, request, body, asked, answered in OTHERS:
        found = read(target, request, body=body)
        assert shown(found.turns) == asked, target
        assert shown(found.answers) == answered, target
    spoken = read_conversation("/v1/audio/speech", b'{"input":"Hi"}', (), b"ID3\xff\0")
    assert spoken is not None
    assert shown(spoken.turns) == [("input", "text", "Hi")]
    assert [(each.kind.value, each.bytes) for each in spoken.answers[0].parts] == [("sound", 5)]


NO_CHATS = [*{each[0] for each in OTHERS}, "/api/chat", "/v2/chat", "/model/m/converse"]


@given(
    values=st.lists(JSON, min_size=4, max_size=4),
    raw=st.binary(max_size=20),
    target=st.sampled_from(NO_CHATS),
)
def test_nothing_raises_for_what_is_no_chat(values: list[Any], raw: bytes, target: str) -> None:
    one, two, three, four = values
    read(target, dict.fromkeys(("prompt", "input", "documents", "query", "images", "texts"), one))
    read(target, one, [{"message": two, "response": three, "choices": four}, two],
         {"data": three, "results": four, "embeddings": two})  # fmt: skip
    read_conversation(target, raw, [raw], raw)
