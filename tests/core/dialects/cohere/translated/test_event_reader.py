"""Answers of Cohere's for callers of other dialects, and the other way round."""

from __future__ import annotations

import json
from typing import Any, Final

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.base import Dialect
from gateway.core.dialects.cohere.dialect import COHERE_CHAT
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES
from gateway.core.dialects.translators import translate

from ...canonical.recipient import To
from ..events import START, call, cited, end, said, text

HI: Final = {"role": "user", "content": "Hi"}
PAGE: Final = {
    "type": "document",
    "id": "p",
    "document": {"title": "T", "url": "https://h", "snippet": "rain"},
}
OWN: Final = {"type": "document", "id": "doc:1", "document": {"text": "rain"}}


def answered(
    caller: Dialect, provider: Dialect, stream: bytes, size: int = 1 << 20, **members: Any
) -> tuple[bytes, dict[str, Any]]:
    """Return the caller's stream and whole answer."""
    body = {"model": "m", "max_tokens": 99, "messages": [HI], **members}
    if caller is OPENAI_RESPONSES:
        body = {"model": "m", "input": "Hi"}
    to = To(provider)
    request = translate(caller.read_request(json.dumps(body).encode()), caller, to, 1.5)
    rewriter = request.start_stream(to, b'"mine"', 1 << 20)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    out = b"".join([rewriter.feed(each) for each in pieces]) + rewriter.end()
    assert rewriter.finished, (rewriter.error, rewriter.broken)
    whole = request.rewrite_answer(to, b'"mine"', stream).body
    return out + rewriter.finish(), json.loads(whole)


def test_plan_thoughts_and_calls() -> None:
    stream = (
        START
        + text("Hm.", kind="thinking")
        + said("tool-plan-delta", {"tool_plan": "I "})
        + said("tool-plan-delta", {"tool_plan": "look."})
        + call("c1", "f", '{"a":', "1.50}")
        + call("c2", "g", index=1)
        + end("TOOL_CALL")
    )
    for size in (1, 7, 1 << 20):
        shown, whole = answered(OPENAI_CHAT, COHERE_CHAT, stream, size)
        message = whole["choices"][0]["message"]
        assert message["reasoning_content"] == "Hm."
        assert message["content"] == "I look."
        calls = [(each["id"], each["function"]) for each in message["tool_calls"]]
        assert calls == [
            ("c1", {"name": "f", "arguments": '{"a":1.50}'}),
            ("c2", {"name": "g", "arguments": "{}"}),
        ]
        assert shown.endswith(b"data: [DONE]\n\n")


def test_citations_of_cohere() -> None:
    """Those of a page have a place in all APIs; whether they come before the end or behind it."""
    begun = said("content-start", {"content": {"type": "text", "text": ""}}, index=0)
    grown = [
        said("content-delta", {"content": {"text": each}}, index=0) for each in ("It ", "rains")
    ]
    place = cited(3, 8, PAGE, OWN, content_index=0, type="TEXT_CONTENT")
    plan = cited(0, 2, PAGE, type="PLAN")
    stop = b'event: content-end\ndata: {"type":"content-end","index":0}\n\n'
    for stream in (
        START + begun + b"".join(grown) + place + plan + stop + end(),
        START + begun + b"".join(grown) + stop + place + plan + end(),
        START + begun + grown[0] + place + plan + grown[1] + stop + end(),
    ):
        _, chat = answered(OPENAI_CHAT, COHERE_CHAT, stream)
        (note,) = chat["choices"][0]["message"]["annotations"]
        found = note["url_citation"]
        assert (found["url"], found["start_index"], found["end_index"]) == ("https://h", 3, 8)
        _, response = answered(OPENAI_RESPONSES, COHERE_CHAT, stream)
        (part,) = response["output"][0]["content"]
        assert [each.get("url") for each in part["annotations"] if "url" in each] == ["https://h"]
        _, message = answered(ANTHROPIC_MESSAGES, COHERE_CHAT, stream)
        (block,) = message["content"]
        assert [each["url"] for each in block["citations"]] == ["https://h"]
        assert block["citations"][0]["cited_text"] == "rain"


def test_citations_for_callers_of_cohere() -> None:
    place = {
        "type": "char_location",
        "cited_text": "rain",
        "document_index": 1,
        "document_title": "T",
        "start_char_index": 0,
        "end_char_index": 4,
    }
    page = {
        "type": "web_search_result_location",
        "url": "https://h",
        "title": "W",
        "cited_text": "wet",
        "encrypted_index": "x",
    }
    content = [
        {"type": "text", "text": "So: "},
        {"type": "text", "text": "It rains.", "citations": [place, page]},
    ]
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "x",
        "content": content,
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 9, "output_tokens": 3},
    }
    from gateway.core.dialects.anthropic_messages.unstreamed import as_stream

    stream = as_stream(json.dumps(message).encode())
    documents = ["first", {"id": "mine", "data": {"text": "rain"}}]
    shown, whole = answered(COHERE_CHAT, ANTHROPIC_MESSAGES, stream, documents=documents)
    first, second = whole["message"]["citations"]
    assert (first["start"], first["end"], first["text"], first["content_index"]) == (
        *(0, 9, "It rains."),
        1,
    )
    assert first["sources"] == [
        {"type": "document", "id": "mine", "document": {"id": "mine", "text": "rain"}}
    ]
    assert second["sources"][0]["document"]["url"] == "https://h"
    assert shown.count(b"event: citation-start") == 2
    assert whole["usage"]["billed_units"] == {"input_tokens": 9, "output_tokens": 3}


def test_a_refusal_says_why() -> None:
    stream = START + text("No") + end("ERROR_TOXIC", error="not that")
    _, message = answered(ANTHROPIC_MESSAGES, COHERE_CHAT, stream)
    assert message["stop_reason"] == "refusal"
    assert message["stop_details"]["explanation"] == "not that"
