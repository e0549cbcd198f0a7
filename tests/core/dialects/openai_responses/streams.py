"""A small stream of each kind of event that matters, as OpenAI writes them."""

from __future__ import annotations

import json
from typing import Any, Final

from gateway.core.dialects.openai_chat.dialect import OPENAI_CHAT
from gateway.core.dialects.openai_responses.dialect import OPENAI_RESPONSES
from gateway.core.dialects.openai_responses.stream import ResponsesStreamRewriter
from gateway.core.records.counting import UsageRule
from gateway.core.wire.sse import SseDecoder

USAGE: Final = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 40},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 120,
}
RESPONSE: Final[dict[str, Any]] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1_700_000_000,
    "status": "in_progress",
    "error": None,
    "incomplete_details": None,
    "instructions": "Be \u00e9 \U0001f600",
    "metadata": {},
    "model": "real",
    "output": [],
    "parallel_tool_calls": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [{"type": "new_in_2027", "model": "not ours"}],
    "top_p": 1.0,
    "store": True,
    "usage": None,
}
ITEM: Final = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress"}
PART: Final = {"type": "output_text", "annotations": [], "logprobs": [], "text": "Hello"}
DONE_ITEM: Final = ITEM | {"status": "completed", "content": [PART]}
WHOLE: Final = RESPONSE | {"status": "completed", "output": [DONE_ITEM], "usage": USAGE}
PLACE: Final = {"item_id": "msg_1", "output_index": 0, "content_index": 0}


class Recipient:
    model_json = b'"real"'
    stream_usage = True
    usage_rule: UsageRule = "usual"
    dialect = OPENAI_CHAT


def event(kind: str, number: int, **members: Any) -> bytes:
    data = json.dumps({"type": kind, "sequence_number": number, **members}, separators=(",", ":"))
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data.encode())


CREATED: Final = event("response.created", 0, response=RESPONSE)
IN_PROGRESS: Final = event("response.in_progress", 1, response=RESPONSE)
ADDED: Final = event("response.output_item.added", 2, output_index=0, item=ITEM)
HEL: Final = event("response.output_text.delta", 3, **PLACE, delta="Hel", obfuscation="xx")
LO: Final = event("response.output_text.delta", 4, **PLACE, delta="lo")
UNKNOWN: Final = (
    b"event: response.new_in_2027.delta\n"
    b'data: {"type": "response.new_in_2027.delta","sequence_number":5,"x":[1e400,1.50]}\n\n'
)
ITEM_DONE: Final = event("response.output_item.done", 6, output_index=0, item=DONE_ITEM)
COMPLETED: Final = event("response.completed", 7, response=WHOLE)
STREAM: Final = (CREATED, IN_PROGRESS, ADDED, HEL, LO, UNKNOWN, ITEM_DONE, COMPLETED)


def started(limit: int = 1 << 20) -> ResponsesStreamRewriter:
    asked = OPENAI_RESPONSES.read_request(b'{"model":"m","input":"x","stream":true}')
    found = asked.start_stream(Recipient(), b'"mine"', limit)
    assert isinstance(found, ResponsesStreamRewriter)
    return found


def mine(data: bytes) -> bytes:
    """Return events as they are to come out."""
    return data.replace(b'"model":"real"', b'"model":"mine"')


def datas(output: bytes) -> list[dict[str, Any]]:
    return [json.loads(found.data) for found in SseDecoder().feed(output) if found.data]
