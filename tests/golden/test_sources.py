"""What answers cite, what web searches find and how likely tokens were: in every caller's shape.

Each provider's stream and each whole answer goes to the callers of the other APIs, and is read by
the official SDKs' own types.
"""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES
from gateway.core.dialects.translators import translate
from tests.late import adapter, openai

from ..core.dialects.anthropic_messages.events import STOP, end, event, start
from ..core.dialects.canonical.recipient import To
from ..core.dialects.openai_responses.streams import RESPONSE, USAGE
from ..core.dialects.openai_responses.streams import event as response_event
from .said import accumulated, last_response, said_in_chat, streamed

MODELS: Final = {
    OPENAI_CHAT.name: ("openai", "types.chat.ChatCompletion"),
    ANTHROPIC_MESSAGES.name: ("anthropic", "types.Message"),
    OPENAI_RESPONSES.name: ("openai", "types.responses.Response"),
}
DIALECTS: Final = (OPENAI_CHAT, ANTHROPIC_MESSAGES, OPENAI_RESPONSES)
URL, TITLE = "https://h/\u00e9", "The page"
CLAIM = "It rains \U0001f327."
BEFORE = "So: "
TEXT = BEFORE + CLAIM
QUERY = "weather %d"


def body(dialect: Dialect, **more: Any) -> bytes:
    said: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
    if dialect is OPENAI_RESPONSES:
        said = {"input": "Hi"}
    if dialect is ANTHROPIC_MESSAGES:
        said["max_tokens"] = 64
    return json.dumps({"model": "m"} | said | more).encode()


# What each provider says: a search, and a text of which the second half is from a page.


def chat_answer() -> dict[str, Any]:
    place = {"url": URL, "title": TITLE, "start_index": len(BEFORE), "end_index": len(TEXT)}
    note = {"type": "url_citation", "url_citation": place}
    message = {"role": "assistant", "content": TEXT, "annotations": [note]}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "x", "choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}}  # noqa: E501  # fmt: skip


def message_answer() -> dict[str, Any]:
    place = {"type": "web_search_result_location", "url": URL, "title": TITLE, "cited_text": "rain", "encrypted_index": "Eo"}  # noqa: E501  # fmt: skip
    page = {"type": "web_search_result", "url": URL, "title": TITLE, "encrypted_content": "Eq", "page_age": "1 day"}  # noqa: E501  # fmt: skip
    content = [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": QUERY}},  # noqa: E501
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [page]},
        {"type": "text", "text": BEFORE, "citations": None},
        {"type": "text", "text": CLAIM, "citations": [place]},
    ]  # fmt: skip
    usage = {"input_tokens": 9, "output_tokens": 3, "server_tool_use": {"web_search_requests": 1}}
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "x", "content": content, "stop_reason": "end_turn", "stop_sequence": None, "usage": usage}  # noqa: E501  # fmt: skip


def response_answer() -> dict[str, Any]:
    note = {"type": "url_citation", "url": URL, "title": TITLE, "start_index": len(BEFORE), "end_index": len(TEXT)}  # noqa: E501  # fmt: skip
    part = {"type": "output_text", "text": TEXT, "annotations": [note], "logprobs": []}
    action = {"type": "search", "query": QUERY, "sources": [{"type": "url", "url": URL}]}
    opened = {"type": "open_page", "url": URL}
    output = [
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": action},
        {"type": "web_search_call", "id": "ws_2", "status": "completed", "action": opened},
        {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part]},  # noqa: E501
    ]  # fmt: skip
    return RESPONSE | {"status": "completed", "output": output, "usage": USAGE}


ANSWERS: Final[dict[str, Any]] = {
    OPENAI_CHAT.name: chat_answer,
    ANTHROPIC_MESSAGES.name: message_answer,
    OPENAI_RESPONSES.name: response_answer,
}


def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason} | more
    return b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n"


def chat_stream() -> bytes:
    notes = chat_answer()["choices"][0]["message"]["annotations"]
    pieces = [{"role": "assistant", "content": BEFORE}, {"content": CLAIM}, {"annotations": notes}]
    return b"".join(map(chunk, pieces)) + chunk({}, "stop") + b"data: [DONE]\n\n"


def message_stream() -> bytes:
    call, found, before, claim = message_answer()["content"]
    given = json.dumps(call["input"])
    out = start() + event("content_block_start", index=0, content_block=call | {"input": {}})
    for piece in (given[:9], given[9:]):
        delta: dict[str, Any] = {"type": "input_json_delta", "partial_json": piece}
        out += event("content_block_delta", index=0, delta=delta)
    out += event("content_block_stop", index=0)
    out += event("content_block_start", index=1, content_block=found)
    out += event("content_block_stop", index=1)
    for index, block in enumerate((before, claim), 2):
        blank = {"type": "text", "text": "", "citations": []}
        out += event("content_block_start", index=index, content_block=blank)
        for place in block["citations"] or []:
            delta = {"type": "citations_delta", "citation": place}
            out += event("content_block_delta", index=index, delta=delta)
        delta = {"type": "text_delta", "text": block["text"]}
        out += event("content_block_delta", index=index, delta=delta)
        out += event("content_block_stop", index=index)
    return out + end() + STOP


def response_stream() -> bytes:
    answer = response_answer()
    out = response_event("response.created", 0, response=RESPONSE | {"tools": []})
    for index, item in enumerate(answer["output"]):
        out += response_event("response.output_item.added", 1, output_index=index, item={"type": item["type"], "id": item["id"]})  # noqa: E501  # fmt: skip
        for part in item.get("content", []):
            for piece in (BEFORE, CLAIM):
                out += response_event("response.output_text.delta", 1, output_index=index, content_index=0, delta=piece, logprobs=[])  # noqa: E501  # fmt: skip
            for note in part["annotations"]:
                out += response_event("response.output_text.annotation.added", 1, output_index=index, content_index=0, annotation_index=0, annotation=note)  # noqa: E501  # fmt: skip
        out += response_event("response.output_item.done", 1, output_index=index, item=item)
    return out + response_event("response.completed", 9, response=answer)


STREAMS: Final[dict[str, Any]] = {
    OPENAI_CHAT.name: chat_stream,
    ANTHROPIC_MESSAGES.name: message_stream,
    OPENAI_RESPONSES.name: response_stream,
}


def answered(caller: Dialect, provider: Dialect, *, stream: bool, **more: Any) -> dict[str, Any]:
    """Return what the caller gets, as a whole answer, checked by its SDK."""
    request = caller.read_request(body(caller, stream=stream, **more))
    there = translate(request, caller, To(provider), 1.0)
    if not stream:
        raw = json.dumps(ANSWERS[provider.name]()).encode()
        whole: dict[str, Any] = json.loads(there.rewrite_answer(To(provider), b'"mine"', raw).body)
        adapter(*MODELS[caller.name]).validate_json(json.dumps(whole), strict=True)
        return whole
    output = streamed(there, To(provider), STREAMS[provider.name](), 1 << 20)
    # Any chunking is the same.
    assert streamed(there, To(provider), STREAMS[provider.name](), 7) == output
    if caller is OPENAI_CHAT:
        assert said_in_chat(output).text == TEXT
        message: dict[str, Any] = {"content": "", "annotations": []}
        for line in output.split(b"\n\n"):
            if line.startswith(b"data: {"):
                for choice in json.loads(line[6:])["choices"]:
                    message["content"] += choice["delta"].get("content") or ""
                    message["annotations"] += choice["delta"].get("annotations") or []
                    assert "tool_calls" not in choice["delta"]
        return {"choices": [{"message": message}]}
    if caller is ANTHROPIC_MESSAGES:
        return accumulated(output).to_dict()
    return last_response(output).to_dict()


PAIRS: Final = [(c, p) for c in DIALECTS for p in DIALECTS if c is not p]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("caller", "provider"), PAIRS, ids=lambda each: each.name)
def test_what_an_answer_cites(caller: Dialect, provider: Dialect, stream: bool) -> None:
    found = answered(caller, provider, stream=stream)
    if caller is OPENAI_CHAT:
        message = found["choices"][0]["message"]
        assert message["content"] == TEXT
        [note] = message["annotations"]
        place = note["url_citation"]
        assert (place["url"], place["title"]) == (URL, TITLE)
        assert message["content"][place["start_index"] : place["end_index"]] == CLAIM
        return
    if caller is OPENAI_RESPONSES:
        parts = [
            p for item in found["output"] if item["type"] == "message" for p in item["content"]
        ]
        assert "".join(part["text"] for part in parts) == TEXT
        [(part, note)] = [(part, note) for part in parts for note in part["annotations"]]
        assert (note["url"], note["title"]) == (URL, TITLE)
        assert part["text"][note["start_index"] : note["end_index"]] == CLAIM
        return
    blocks = [block for block in found["content"] if block["type"] == "text"]
    assert "".join(block["text"] for block in blocks) == TEXT
    [place] = [place for block in blocks for place in block.get("citations") or []]
    assert (place["url"], place["title"]) == (URL, TITLE)
    assert place["encrypted_index"].startswith("~GATEWAY~STATE~1~:")


@pytest.mark.parametrize("stream", [False, True])
def test_a_search_is_shown_as_one(stream: bool) -> None:
    found = answered(OPENAI_RESPONSES, ANTHROPIC_MESSAGES, stream=stream)
    assert found["output"][0] | {"id": ""} == {
        "id": "",
        "type": "web_search_call",
        "status": "completed",
        "action": {"type": "search", "query": QUERY, "queries": [QUERY], "sources": [{"type": "url", "url": URL}]},  # noqa: E501
    }  # fmt: skip
    found = answered(ANTHROPIC_MESSAGES, OPENAI_RESPONSES, stream=stream)
    call, result, text = found["content"]
    assert (call["type"], call["name"], call["input"]) == ("server_tool_use", "web_search", {"query": QUERY})  # noqa: E501  # fmt: skip
    assert result["type"] == "web_search_tool_result"
    assert result["tool_use_id"] == call["id"]
    assert [page["url"] for page in result["content"]] == [URL]
    assert (text["type"], found["stop_reason"]) == ("text", "end_turn")
    # What was shown comes back with the next turn: it is left out, and listed.
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": found["content"]}, {"role": "user", "content": "More"}]  # noqa: E501  # fmt: skip
    request = ANTHROPIC_MESSAGES.read_request(body(ANTHROPIC_MESSAGES, messages=history))
    for provider in (OPENAI_CHAT, OPENAI_RESPONSES):
        there = translate(request, ANTHROPIC_MESSAGES, To(provider), 1.0)
        sent = json.loads(there.inner.body)
        assert TEXT in json.dumps(sent, ensure_ascii=False)
        assert [name for name in there.dropped if "server_tool_use" in name or "result" in name] == ["messages.1.content.0 (server_tool_use)", "messages.1.content.1 (web_search_tool_result)"]  # noqa: E501  # fmt: skip
        if provider is OPENAI_RESPONSES:
            [note] = sent["input"][1]["content"][0]["annotations"]
            assert note["url"] == URL
        else:
            assert "messages.1 (citations)" in there.dropped


def test_a_search_that_failed() -> None:
    answer = message_answer()
    answer["content"][1]["content"] = {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}  # noqa: E501  # fmt: skip
    request = OPENAI_RESPONSES.read_request(body(OPENAI_RESPONSES))
    there = translate(request, OPENAI_RESPONSES, To(ANTHROPIC_MESSAGES), 1.0)
    raw = json.dumps(answer).encode()
    found = json.loads(there.rewrite_answer(To(ANTHROPIC_MESSAGES), b'"m"', raw).body)
    assert found["output"][0]["status"] == "failed"


@pytest.mark.parametrize("caller", [ANTHROPIC_MESSAGES, OPENAI_RESPONSES], ids=lambda each: each.name)  # noqa: E501  # fmt: skip
def test_lists_of_pages_beside_a_text(caller: Dialect) -> None:
    """Perplexity lists what it has found in each chunk, xAI the addresses alone."""
    pages = {"search_results": [{"url": URL, "title": TITLE, "date": None}], "citations": [URL]}
    for more in (pages, {"citations": [URL]}, {"citations": "odd", "search_results": 3}):
        data = [{"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]} | more for delta, reason in (({"content": "x"}, None), ({"content": "y[1]"}, None), ({"content": ""}, "stop"))]  # noqa: E501  # fmt: skip
        stream = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in data)
        request = caller.read_request(body(caller, stream=True))
        there = translate(request, caller, To(OPENAI_CHAT), 1.0)
        output = streamed(there, To(OPENAI_CHAT), stream + b"data: [DONE]\n\n", 1 << 20)
        assert output.decode().count('"citations_delta"' if caller is ANTHROPIC_MESSAGES else "annotation.added\n") == (0 if "odd" in str(more) else 1)  # noqa: E501  # fmt: skip


# How likely...

TOP: Final = [{"token": "Hi", "logprob": -0.25, "bytes": [72, 105]}, {"token": "Ho", "logprob": -2.5, "bytes": None}]  # noqa: E501  # fmt: skip
TOKENS: Final = [
    {"token": "Hi", "logprob": -0.250, "bytes": [72, 105], "top_logprobs": TOP},
    {"token": "!", "logprob": -1e-05, "bytes": None, "top_logprobs": []},
]


def shown(tokens: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(t["token"], t["logprob"], t["bytes"], len(t["top_logprobs"])) for t in tokens]


LIKELY: Final = [("Hi", -0.25, [72, 105], 2), ("!", -1e-05, [33], 0)]


def test_log_probabilities_of_a_chat_for_a_response() -> None:
    asked = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
    request = OPENAI_RESPONSES.read_request(body(OPENAI_RESPONSES, stream=True, **asked))
    there = translate(request, OPENAI_RESPONSES, To(OPENAI_CHAT), 1.0)
    sent = json.loads(there.inner.body)
    assert (sent["logprobs"], sent["top_logprobs"], there.dropped) == (True, 2, ())
    pieces = [chunk({"content": token["token"]}, logprobs={"content": [token]}) for token in TOKENS]
    stream = b"".join([*pieces, chunk({}, "stop"), b"data: [DONE]\n\n"])
    output = streamed(there, To(OPENAI_CHAT), stream, 1 << 20)
    answer: dict[str, Any] = last_response(output).to_dict()
    [item] = answer["output"]
    assert shown(item["content"][0]["logprobs"]) == LIKELY
    deltas = [json.loads(line[6:]) for line in output.split(b"\n") if line.startswith(b'data: {"type":"response.output_text.d')]  # noqa: E501  # fmt: skip
    assert [shown(each["logprobs"]) for each in deltas] == [LIKELY[:1], LIKELY[1:], LIKELY]
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi!"}, "finish_reason": "stop", "logprobs": {"content": TOKENS}}  # noqa: E501  # fmt: skip
    raw = json.dumps(chat_answer() | {"choices": [choice]}).encode()
    found = json.loads(there.rewrite_answer(To(OPENAI_CHAT), b'"m"', raw).body)
    assert shown(found["output"][0]["content"][0]["logprobs"]) == LIKELY


def test_log_probabilities_of_a_response_for_a_chat() -> None:
    asked = {"logprobs": True, "top_logprobs": 2}
    request = OPENAI_CHAT.read_request(body(OPENAI_CHAT, stream=True, **asked))
    there = translate(request, OPENAI_CHAT, To(OPENAI_RESPONSES), 1.0)
    sent = json.loads(there.inner.body)
    assert (sent["include"], sent["top_logprobs"]) == (["message.output_text.logprobs"], 2)
    part = {"type": "output_text", "text": "Hi!", "annotations": [], "logprobs": TOKENS}
    item = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part]}  # noqa: E501  # fmt: skip
    answer = RESPONSE | {"status": "completed", "output": [item], "usage": USAGE}
    out = response_event("response.created", 0, response=RESPONSE | {"tools": []})
    for token in TOKENS:
        slim = {"token": token["token"], "logprob": token["logprob"], "top_logprobs": token["top_logprobs"]}  # noqa: E501  # fmt: skip
        out += response_event("response.output_text.delta", 1, output_index=0, content_index=0, delta=token["token"], logprobs=[slim])  # noqa: E501  # fmt: skip
    out += response_event("response.output_item.done", 1, output_index=0, item=item)
    out += response_event("response.completed", 9, response=answer)
    output = streamed(there, To(OPENAI_RESPONSES), out, 1 << 20)
    assert said_in_chat(output).text == "Hi!"
    chunks = [json.loads(line[6:]) for line in output.split(b"\n\n") if line.startswith(b"data: {")]
    told = [c["logprobs"]["content"] for each in chunks for c in each["choices"] if c.get("logprobs")]  # noqa: E501  # fmt: skip
    assert [shown(each) for each in told] == [LIKELY[:1], LIKELY[1:]]
    raw = json.dumps(answer).encode()
    found = json.loads(there.rewrite_answer(To(OPENAI_RESPONSES), b'"m"', raw).body)
    openai.types.chat.ChatCompletion.model_validate_json(json.dumps(found), strict=True)
    assert shown(found["choices"][0]["logprobs"]["content"]) == LIKELY


@pytest.mark.parametrize("odd", [[], 3, {"tokens": ["Hi"]}, {"content": 3}, {"content": [{"token": 1}]}])  # noqa: E501  # fmt: skip
def test_log_probabilities_of_another_form_cost_no_text(odd: Any) -> None:
    request = OPENAI_RESPONSES.read_request(body(OPENAI_RESPONSES, stream=True))
    there = translate(request, OPENAI_RESPONSES, To(OPENAI_CHAT), 1.0)
    pieces = [chunk({"content": each}, logprobs=odd) for each in ("Hi", "!")]
    stream = b"".join([*pieces, chunk({}, "stop"), b"data: [DONE]\n\n"])
    output = streamed(there, To(OPENAI_CHAT), stream, 1 << 20)
    answer: dict[str, Any] = last_response(output).to_dict()
    [item] = answer["output"]
    assert item["content"][0]["text"] == "Hi!"
