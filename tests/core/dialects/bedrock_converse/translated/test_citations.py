"""Citations of Bedrock's for callers of other APIs, and the other way round."""

from __future__ import annotations

import json
from typing import Any, Final

from gateway.core.dialects.anthropic_messages.dialect import ANTHROPIC_MESSAGES
from gateway.core.dialects.anthropic_messages.unstreamed import as_stream
from gateway.core.dialects.base import Dialect
from gateway.core.dialects.bedrock_converse.dialect import BEDROCK_CONVERSE, dialect_of_path
from gateway.core.dialects.cohere.dialect import COHERE_CHAT
from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.translators import translate

from ...canonical.recipient import To
from ..frames import STARTED, decoded, ended, read_by_botocore, stopped, stream_of, text

HI: Final = {"role": "user", "content": "Hi"}
WEB: Final = {
    "title": "T",
    "sourceContent": [{"text": "ra"}, {"text": "in"}],
    "location": {"web": {"url": "https://h", "domain": "h"}},
}
OWN: Final = {"title": "D", "location": {"documentChar": {"documentIndex": 0, "start": 1}}}


def cited(citation: dict[str, Any]) -> dict[str, Any]:
    return {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"citation": citation}}}


STREAM: Final = stream_of(
    *(STARTED, text("It "), cited(WEB), cited(OWN), cited({"location": 3}), text("rains")),
    *(stopped(), *ended()),
)


def answered(caller: Dialect, provider: Dialect, stream: bytes, **members: Any) -> dict[str, Any]:
    body = {"model": "m", "max_tokens": 9, "messages": [HI], **members}
    if caller is not COHERE_CHAT and caller is not OPENAI_CHAT and members == {"converse": True}:
        body = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
    to = To(provider)
    request = translate(caller.read_request(json.dumps(body).encode()), caller, to, 1.5)
    rewriter = request.start_stream(to, b'"mine"', 1 << 20)
    out = rewriter.feed(stream) + rewriter.end() + rewriter.finish()
    assert rewriter.finished, (rewriter.error, rewriter.broken)
    if members == {"converse": True}:
        return {"events": decoded(read_by_botocore(out))}
    found: dict[str, Any] = json.loads(request.writer.assemble(out, b'"mine"').body)
    return found


def test_citations_of_bedrock() -> None:
    chat = answered(OPENAI_CHAT, BEDROCK_CONVERSE, STREAM)
    message = chat["choices"][0]["message"]
    assert message["content"] == "It rains"
    (note,) = message["annotations"]
    assert (note["url_citation"]["url"], note["url_citation"]["title"]) == ("https://h", "T")
    found = answered(ANTHROPIC_MESSAGES, BEDROCK_CONVERSE, STREAM)
    (block,) = found["content"]
    assert [each["cited_text"] for each in block["citations"]] == ["rain"]
    documents = [{"id": "mine", "data": {"text": "rain"}}]
    found = answered(COHERE_CHAT, BEDROCK_CONVERSE, STREAM, documents=documents)
    sources = [each["sources"][0]["id"] for each in found["message"]["citations"]]
    assert sources == ["https://h", "mine"]


def test_citations_for_callers_of_converse() -> None:
    page = {
        "type": "web_search_result_location",
        "url": "https://h",
        "title": "W",
        "cited_text": "wet",
        "encrypted_index": "x",
    }
    place = {"type": "char_location", "document_index": 2, "cited_text": "rain"}
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "x",
        "content": [{"type": "text", "text": "It rains.", "citations": [page, place]}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 9, "output_tokens": 3},
    }
    caller = dialect_of_path("/model/m/converse-stream")
    assert caller is not None
    stream = as_stream(json.dumps(message).encode())
    events = answered(caller, ANTHROPIC_MESSAGES, stream, converse=True)["events"]
    deltas = [each["contentBlockDelta"]["delta"] for each in events if "contentBlockDelta" in each]
    assert [each["citation"] for each in deltas if "citation" in each] == [
        {
            "title": "W",
            "sourceContent": [{"text": "wet"}],
            "location": {"web": {"url": "https://h"}},
        },
        {
            "sourceContent": [{"text": "rain"}],
            "location": {"documentChar": {"documentIndex": 2}},
        },
    ]


def test_citations_of_an_earlier_answer_are_its_text() -> None:
    content = [{"citationsContent": {"content": [{"text": "It rains"}], "citations": [WEB]}}]
    body = {
        "messages": [
            {"role": "user", "content": [{"text": "Hi"}]},
            {"role": "assistant", "content": content},
            {"role": "user", "content": [{"text": "So?"}]},
        ]
    }
    caller = dialect_of_path("/model/m/converse")
    assert caller is not None
    request = translate(
        caller.read_request(json.dumps(body).encode()), caller, To(OPENAI_CHAT), 1.5
    )
    assert json.loads(request.inner.body)["messages"][1]["content"] == "It rains"
    assert request.dropped == ("messages.1 (citations)",)
