"""Ollama's API on both sides: editors that speak it, and servers that do."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from gateway.core.records.record import EndReason

from .caller import Caller, Reply, calling
from .harness import in_process
from .streaming_provider import StreamingProvider, Visit, providing

pytestmark = pytest.mark.slow

DEMO: Final = """
[server]
bind = "127.0.0.1:0"
[overload]
lag = 0
[store]
url = ""
[providers.chat]
kind = "demo"
token_interval = 0.0
[providers.messages]
kind = "demo"
speaks = "messages"
token_interval = 0.0
[providers.responses]
kind = "demo"
speaks = "responses"
token_interval = 0.0
"""
SAID: Final = {"model": "real", "created_at": "2025-01-01T00:00:00Z"}
COUNTS: Final = {"done_reason": "stop", "prompt_eval_count": 11, "eval_count": 5}
CALL: Final = {"function": {"name": "weather", "arguments": {"city": "Paris", "n": 1.50}}}
TOOL: Final = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def demo(*names: str) -> str:
    models = "".join(
        f'[[models]]\nname = "{name}"\nroutes = [{{ provider = "{name}", model = "demo-1", '
        "input_price = 1, output_price = 2 }]\n"
        for name in names
    )
    return DEMO + models


async def post(caller: Caller, target: str, body: dict[str, Any]) -> Reply:
    await caller.post(json.dumps(body).encode(), target=target)
    return await caller.reply()


def lines(reply: Reply) -> list[dict[str, Any]]:
    return [json.loads(each) for each in reply.body.split(b"\n") if each]


async def test_callers_of_ollama_on_providers_of_every_other_api() -> None:
    names = ("chat", "messages", "responses")
    async with in_process(demo(*names)) as gateway, calling(gateway.port) as caller:
        for name in names:
            hello = [{"role": "user", "content": "Hello there"}]
            reply = await post(caller, "/api/chat", {"model": name, "messages": hello})
            assert reply.headers["content-type"] == "application/x-ndjson"
            *pieces, last = lines(reply)
            text = "".join(each["message"]["content"] for each in pieces)
            assert text.startswith("You asked about this")
            assert {each["model"] for each in (*pieces, last)} == {name}
            assert (last["done"], last["done_reason"]) == (True, "stop")
            assert last["eval_count"] > 10
            whole = await post(
                caller, "/api/chat", {"model": name, "messages": hello, "stream": False}
            )
            assert whole.json["message"]["content"] == text
            assert whole.json["done"] is True
            asked = {
                "model": name,
                "prompt": "Hello there",
                "stream": False,
                "options": {"num_predict": 5, "temperature": 0, "num_ctx": 4096},
                "keep_alive": "5m",
            }
            reply = await post(caller, "/api/generate", asked)
            assert reply.json["done_reason"] == "length"
            assert len(reply.json["response"].split()) <= 5
            assert "keep_alive" in reply.headers["x-gateway-dropped"]
            # A tool, and its result, which has no id.
            asked = {"model": name, "messages": hello, "tools": [TOOL], "stream": False}
            message = (await post(caller, "/api/chat", asked)).json["message"]
            (call,) = message["tool_calls"]
            assert call["function"]["name"] == "weather"
            assert isinstance(call["function"]["arguments"], dict)
            result = {"role": "tool", "tool_name": "weather", "content": "sunny"}
            asked["messages"] = [*hello, message, result]
            assert (await post(caller, "/api/chat", asked)).json["message"]["content"]
        tags = await caller.get("/api/tags")
        assert [each["name"] for each in tags.json["models"]] == [*names]
        assert (await post(caller, "/api/show", {"model": "chat"})).json["capabilities"]
        assert (await caller.get("/api/version")).json["version"]
        assert (await caller.get("/api/ps")).json == {"models": []}
        vectors = await post(caller, "/api/embed", {"model": "chat", "input": ["a", "b"]})
        assert len(vectors.json["embeddings"]) == 2
        assert vectors.json["model"] == "chat"
        for target, body, status in (
            ("/api/chat", {"model": "nope", "messages": hello}, 404),
            ("/api/show", {"model": "nope"}, 404),
            ("/api/chat", {"model": "chat", "messages": []}, 400),
            ("/api/chat", {"messages": hello}, 400),
            ("/api/chat", {"model": "chat", "messages": hello, "format": "xml"}, 400),
            ("/api/chat", {"model": "chat", "messages": hello, "options": {"mirostat": 2}}, 400),
            ("/api/generate", {"model": "chat", "prompt": "a", "suffix": "b"}, 400),
        ):
            reply = await post(caller, target, body)
            assert reply.status == status, body
            assert isinstance(reply.json["error"], str)
        for target in ("/api/show", "/api/chat", "/api/embed"):
            await caller.post(
                b'{"x":%b,"model":"chat"}' % (b"[" * 3000 + b"]" * 3000), target=target
            )
            reply = await caller.reply()
            assert reply.status == 400
            assert "deep" in reply.json["error"]


async def test_nobody_unknown_has_a_body_read() -> None:
    text = demo("chat") + '[[tokens]]\nname = "t"\nkey = "sk-good-key"\n'
    async with in_process(text) as gateway, calling(gateway.port) as caller:
        # None of the body is sent: with a key, whoever reads it waits for it.
        await caller.begin(60_000, target="/api/show", key="sk-bad-key")
        assert (await caller.reply()).status == 401


class Server:
    """An Ollama server: thinks, says hello, and calls the first tool that it is given."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.breaks = False

    async def __call__(self, visit: Visit) -> None:
        body = json.loads(await visit.read())
        self.asked.append((visit.target, body))
        if visit.target == "/api/embed":
            found = {"model": "real", "embeddings": [[0.5, 1.0]], "prompt_eval_count": 4}
            await visit.reply(200, json.dumps(found).encode())
        elif body.get("tools"):
            await self.say(visit, body, [{"content": "", "tool_calls": [CALL]}])
        else:
            await self.say(visit, body, [{"thinking": "hm"}, {"content": "Hel"}, {"content": "lo"}])

    async def say(self, visit: Visit, body: dict[str, Any], said: list[dict[str, Any]]) -> None:
        generate = visit.target == "/api/generate"
        pieces = [
            {"response": each.get("content", "")} if generate else {"message": each}
            for each in ({"role": "assistant", "content": ""} | each for each in said)
        ]
        if not body.get("stream", True):
            merged: dict[str, Any] = {}
            for each in said:
                for name, value in each.items():
                    merged[name] = merged.get(name, type(value)()) + value
            pieces = [{"response": "Hello"} if generate else {"message": merged}]
            found = SAID | pieces[0] | COUNTS | {"done": True}
            await visit.reply(200, json.dumps(found).encode())
            return
        await visit.begin(200, content_type="application/x-ndjson")
        for piece in pieces:
            await visit.send(json.dumps(SAID | piece | {"done": False}).encode() + b"\n")
        if self.breaks:
            await visit.send(b'{"error":"out of memory"}\n')
        else:
            end = {"message": {"role": "assistant", "content": ""}, "done": True}
            await visit.send(json.dumps(SAID | end | COUNTS).encode() + b"\n")
        await visit.end()


def native(server: StreamingProvider) -> str:
    return DEMO.partition("[providers.chat]")[0] + (
        f'[providers.o]\nkind = "ollama"\nbase_url = "http://127.0.0.1:{server.port}"\n'
        '[[models]]\nname = "m"\nroutes = [{ provider = "o", model = "real", reasoning = "effort",'
        " input_price = 1, output_price = 2 }]\n"
    )


async def test_callers_of_every_api_on_a_server_of_ollama() -> None:
    server = Server()
    user = [{"role": "user", "content": "Hi"}]
    async with (
        providing(server) as provider,
        in_process(native(provider)) as gateway,
        calling(gateway.port) as caller,
    ):
        # Its own, to the byte but for the name.
        reply = await post(
            caller, "/api/chat", {"model": "m", "messages": user, "keep_alive": 5, "x": 1.50}
        )
        assert next(each["message"].get("thinking") for each in lines(reply)) == "hm"
        assert lines(reply)[-1]["eval_count"] == 5
        assert {each["model"] for each in lines(reply)} == {"m"}
        assert server.asked[-1] == (
            "/api/chat",
            {"model": "real", "messages": user, "keep_alive": 5, "x": 1.5},
        )
    server = Server()
    async with (
        providing(server) as provider,
        in_process(native(provider)) as gateway,
        calling(gateway.port) as caller,
    ):
        chat: dict[str, Any] = {
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be nice."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is it?"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
                    ],
                },
            ],
            "reasoning_effort": "high",
            "max_tokens": 9,
            "stop": ["x"],
            "temperature": 0.25,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": {"type": "object"}},
            },
        }
        reply = await post(caller, "/v1/chat/completions", chat)
        message = reply.json["choices"][0]["message"]
        assert (message["content"], message["reasoning_content"]) == ("Hello", "hm")
        assert reply.json["usage"]["total_tokens"] == 16
        assert server.asked[-1] == (
            "/api/chat",
            {
                "model": "real",
                "messages": [
                    {"role": "system", "content": "Be nice."},
                    {"role": "user", "content": "What is it?", "images": ["iVBO"]},
                ],
                "stream": False,
                "format": {"type": "object"},
                "think": "high",
                "options": {"temperature": 0.25, "num_predict": 9, "stop": ["x"]},
            },
        )
        for stream in (True, False):
            asked = {"model": "m", "max_tokens": 50, "messages": user, "stream": stream}
            reply = await post(caller, "/v1/messages", asked)
            assert reply.status == 200
            assert b"Hello" in reply.body or b'"lo"' in reply.body
            reply = await post(
                caller, "/v1/responses", {"model": "m", "input": "Hi", "stream": stream}
            )
            assert reply.status == 200
            assert b"Hello" in reply.body
        tools: dict[str, Any] = {"model": "m", "messages": user, "tools": [TOOL]}
        reply = await post(caller, "/v1/chat/completions", tools)
        (call,) = reply.json["choices"][0]["message"]["tool_calls"]
        # To the digit.
        assert call["function"]["arguments"] == '{"city": "Paris", "n": 1.5}'
        assert reply.json["choices"][0]["finish_reason"] == "tool_calls"
        answered: list[dict[str, Any]] = [
            *user,
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": "sunny"},
        ]
        await post(caller, "/v1/chat/completions", {"model": "m", "messages": answered})
        sent = server.asked.copy().pop()[1]["messages"]
        assert sent[1:] == [
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "content": "sunny", "tool_name": "weather"},
        ]
        reply = await post(caller, "/api/generate", {"model": "m", "prompt": "Hi", "stream": False})
        assert reply.json["response"] == "Hello"
        reply = await post(caller, "/api/embed", {"model": "m", "input": "a"})
        assert reply.json["embeddings"] == [[0.5, 1.0]]
        by_url = {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}
        refused = {"model": "m", "messages": [{"role": "user", "content": [by_url]}]}
        reply = await post(caller, "/v1/chat/completions", refused)
        assert (reply.status, reply.error["code"]) == (400, "unsupported")
        server.breaks = True
        reply = await post(caller, "/api/chat", {"model": "m", "messages": user})
        assert lines(reply)[-1] == {"error": "out of memory"}
        await post(caller, "/v1/chat/completions", {"model": "m", "messages": user, "stream": True})
        await gateway.settled()
        records = gateway.records
    assert records[0].cost_nano_usd == 11_000 + 10_000
    assert [each.end_reason for each in records[-2:]] == [EndReason.UPSTREAM_BROKE] * 2
