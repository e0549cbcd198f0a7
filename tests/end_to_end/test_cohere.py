"""Cohere's API on both sides: callers that speak it, and a provider that does."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from gateway.core.records.record import EndReason

from .caller import Caller, Reply, calling
from .harness import in_process
from .provider import Asked, serving
from .wire import Script, streamed, whole

pytestmark = pytest.mark.slow

HELLO: Final = [{"role": "user", "content": "Hello there"}]
USAGE: Final = {
    "billed_units": {"input_tokens": 12, "output_tokens": 7},
    "tokens": {"input_tokens": 507, "output_tokens": 10},
}
ANSWER: Final[dict[str, Any]] = {
    "id": "a-1",
    "message": {"role": "assistant", "content": [{"type": "text", "text": "Paris."}]},
    "finish_reason": "COMPLETE",
    "usage": USAGE,
}
RANKS: Final = {
    "id": "r-1",
    "results": [{"index": 1, "relevance_score": 0.9}],
    "meta": {"billed_units": {"search_units": 1}},
}
TOO_LONG: Final = (
    "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292."
)
CONFIG: Final = """
[server]
bind = "127.0.0.1:0"
[overload]
lag = 0
[store]
url = ""
[providers.cohere]
kind = "cohere"
base_url = "http://127.0.0.1:{port}"
api_key = "sk-provider"
[providers.demo]
kind = "demo"
token_interval = 0.0
[[models]]
name = "north"
[[models.routes]]
provider = "cohere"
model = "command-a-reasoning-08-2025"
input_price = 1
output_price = 2
[[models]]
name = "demo"
routes = [{{ provider = "demo", model = "demo-1", input_price = 1, output_price = 2 }}]
"""


def event(kind: str, **members: Any) -> bytes:
    data = json.dumps({"type": kind, **members}).encode()
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


def events() -> list[bytes]:
    def said(kind: str, content: dict[str, Any]) -> bytes:
        return event(kind, index=0, delta={"message": {"content": content}})

    return [
        event("message-start", id="a-1", delta={"message": {"role": "assistant", "content": []}}),
        said("content-start", {"type": "text", "text": ""}),
        said("content-delta", {"text": "Par"}),
        said("content-delta", {"text": "is."}),
        event("content-end", index=0),
        event("message-end", delta={"finish_reason": "COMPLETE", "usage": USAGE}),
    ]


def answer(asked: Asked) -> Script:
    if asked.target == "/v2/rerank":
        return [(0.0, whole(200, RANKS))]
    assert asked.target == "/v2/chat"
    if "long" in json.dumps(asked.json["messages"]):
        return [(0.0, whole(400, {"id": "e-1", "message": TOO_LONG}))]
    return streamed(events()) if asked.json.get("stream") else [(0.0, whole(200, ANSWER))]


async def post(caller: Caller, target: str, body: dict[str, Any], **headers: str) -> Reply:
    more = [(name.replace("_", "-"), value) for name, value in headers.items()]
    await caller.post(json.dumps(body).encode(), target=target, headers=more)
    return await caller.reply()


async def test_cohere_on_both_sides() -> None:
    async with (
        serving(answer) as provider,
        in_process(CONFIG.format(port=provider.port)) as gateway,
        calling(gateway.port) as caller,
    ):
        asked = {"model": "north", "messages": HELLO, "safety_mode": "STRICT", "new": [1]}
        reply = await post(caller, "/v2/chat", asked, x_client_name="mine")
        assert reply.json == ANSWER
        sent = provider.asked[-1]
        assert sent.json == asked | {"model": "command-a-reasoning-08-2025"}
        assert sent.headers["x-client-name"] == "mine"
        assert sent.headers["authorization"] == "Bearer sk-provider"
        reply = await post(caller, "/v2/chat", asked | {"stream": True})
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert reply.body == b"".join(events())
        # From callers of OpenAI's API.
        chat = {"model": "north", "messages": HELLO, "reasoning_effort": "high"}
        reply = await post(caller, "/v1/chat/completions", chat)
        assert reply.json["choices"][0]["message"]["content"] == "Paris."
        assert provider.asked[-1].json["thinking"] == {"type": "enabled"}
        ranks = {"model": "north", "query": "q", "documents": ["a", "b"]}
        for target in ("/v2/rerank", "/v1/rerank"):
            reply = await post(caller, target, ranks)
            assert reply.json["results"] == RANKS["results"]
        # Errors in each other's shape.
        long = {"model": "north", "messages": [{"role": "user", "content": "long"}]}
        reply = await post(caller, "/v2/chat", long)
        assert (reply.status, reply.json["message"]) == (400, TOO_LONG)
        reply = await post(caller, "/v1/chat/completions", long)
        assert reply.json["error"]["code"] == "context_length_exceeded"
        await gateway.settled()
        records = list(gateway.records)
    chats = records[:3]
    assert {(each.input_tokens, each.output_tokens) for each in chats} == {(12, 7)}
    assert {each.cost_nano_usd for each in chats} == {12_000 + 14_000}
    assert [each.operation for each in records[3:5]] == ["rerank", "rerank"]
    assert {each.end_reason for each in records[5:]} == {EndReason.PROVIDER_REJECTED}


async def test_callers_of_cohere_on_another_api() -> None:
    async with in_process(CONFIG.format(port=1)) as gateway, calling(gateway.port) as caller:
        asked = {"model": "demo", "messages": HELLO}
        reply = await post(caller, "/v2/chat", asked)
        (block,) = reply.json["message"]["content"]
        assert block["text"].startswith("You asked about this")
        assert reply.json["finish_reason"] == "COMPLETE"
        assert reply.json["usage"]["billed_units"]["output_tokens"] > 10
        reply = await post(caller, "/v2/chat", asked | {"stream": True})
        kinds = [line[7:] for line in reply.body.decode().split("\n") if line.startswith("event: ")]
        assert (kinds[0], kinds[1], kinds[-1]) == ("message-start", "content-start", "message-end")
        fern = {"x_fern_sdk_name": "cohere"}
        listed = await caller.get("/v1/models", headers=[("x-fern-sdk-name", "cohere")])
        assert [each["name"] for each in listed.json["models"]] == ["north", "demo"]
        for target, body, status in (
            ("/v2/chat", {"model": "nope", "messages": HELLO}, 404),
            ("/v2/chat", {"model": "demo", "messages": []}, 400),
            ("/v2/chat", {"messages": HELLO}, 400),
            ("/v2/chat", {"model": "demo", "messages": HELLO, "logprobs": True}, 400),
            ("/v2/generate", {"model": "demo"}, 404),
        ):
            reply = await post(caller, target, body, **fern)
            assert reply.status == status, reply
            assert isinstance(reply.json["message"], str), reply
            assert "error" not in reply.json
