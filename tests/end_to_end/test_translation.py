"""Callers of one API on providers of another, over real connections and with both SDKs."""

# ruff: noqa: SIM117  # a gateway inside the life of its provider

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from gateway.core.records.record import EndReason
from tests.late import anthropic, openai

from ..core.dialects.anthropic_messages.events import PING, STOP, end, event, start, text
from ..http_client import sdk_client
from .caller import Reply, calling
from .harness import InProcess, in_process
from .provider import Asked, serving
from .wire import (
    DONE,
    RESET,
    STALL,
    Script,
    broken,
    completion,
    failure,
    framed,
    stream_head,
    streamed,
    usage_event,
    whole,
)
from .wire import event as chunk

MESSAGES: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
CHAT: dict[str, Any] = {"model": "m", "messages": MESSAGES}
MESSAGE: dict[str, Any] = {"model": "m", "messages": MESSAGES, "max_tokens": 64}
SCHEMA = {"type": "object", "properties": {"n": {"type": "number"}}}


def config(kind: str, *ports: int, more: str = "", route: str = "", server: str = "") -> str:
    base = "" if kind == "anthropic" else "/v1"
    providers = "\n".join(
        f'[providers.p{n}]\nkind = "{kind}"\nbase_url = "http://127.0.0.1:{port}{base}"\n'
        f'api_key = "sk-provider"\n'
        for n, port in enumerate(ports)
    )
    routes = ", ".join(
        f'{{ provider = "p{n}", model = "real", input_price = 1, output_price = 2 {route} }}'
        for n in range(len(ports))
    )
    return (
        f'[server]\nbind = "127.0.0.1:0"\n{server}\n[retry]\nbase = 0.01\ncap = 0.02\n'
        f'[overload]\nlag = 0\n[store]\nurl = ""\n{providers}\n{more}\n'
        f'[[models]]\nname = "m"\nroutes = [{routes}]\n'
    )


async def post(gateway: InProcess, path: str, body: dict[str, Any]) -> Reply:
    async with calling(gateway.port) as caller:
        await caller.post(json.dumps(body).encode(), target=path)
        return await caller.reply()


# A caller of Messages on a provider of chat completions...


def weather(asked: Asked) -> Script:
    """Ask for the weather, or tell it once it is known."""
    if asked.json["messages"][-1]["role"] == "tool":
        events = [chunk({"role": "assistant", "content": ""}), chunk({"content": "Sunny."})]
        return streamed([*events, chunk({}, "stop"), usage_event(20, 3), DONE])
    calls = [
        {"index": n, "id": f"functions.weather:{n}", "type": "function",
         "function": {"name": "weather", "arguments": ""}}
        for n in range(2)
    ]  # fmt: skip
    events = [
        chunk({"role": "assistant", "content": None, "reasoning_content": "Let me see"}),
        chunk({"content": "I will look."}),
        *(chunk({"tool_calls": [call]}) for call in calls),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"city":"Z\\'}}]}),
        chunk({"tool_calls": [{"index": 1, "function": {"arguments": '{"city":"Rome"}'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": 'u00fcrich","n":1.50}'}}]}),
        chunk({}, "tool_calls"),
        usage_event(19, 10),
        DONE,
    ]
    return streamed(events)


@pytest.mark.slow
async def test_anthropic_s_sdk_calls_tools_of_a_chat_model() -> None:
    tools: Any = [{"name": "weather", "description": "w", "input_schema": SCHEMA}]

    def talk(client: anthropic.Anthropic) -> tuple[Any, Any]:
        with client:
            asked: list[Any] = [{"role": "user", "content": "Weather?"}]
            with client.messages.stream(
                model="m", max_tokens=64, system="Be brief", messages=asked, tools=tools
            ) as opened:
                first = opened.get_final_message()
            calls = [block for block in first.content if block.type == "tool_use"]
            results = [
                {"type": "tool_result", "tool_use_id": call.id, "content": "22 degrees"}
                for call in calls
            ]
            asked += [{"role": "assistant", "content": first.content}]
            asked += [{"role": "user", "content": results}]
            with client.messages.stream(
                model="m", max_tokens=64, messages=asked, tools=tools
            ) as opened:
                return first, opened.get_final_message()

    async with serving(weather) as provider:
        async with in_process(config("openai", provider.port)) as gateway:
            url = f"http://127.0.0.1:{gateway.port}"
            client = anthropic.Anthropic(
                base_url=url, http_client=sdk_client(anthropic), api_key="sk-any", max_retries=0
            )
            first, last = await trio.to_thread.run_sync(lambda: talk(client))
            await gateway.settled()
        asked = [each.json for each in provider.asked]
    assert [block.type for block in first.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert first.stop_reason == "tool_use"
    assert [block.input for block in first.content[2:]] == [
        {"city": "Z\u00fcrich", "n": 1.5},
        {"city": "Rome"},
    ]
    assert (first.usage.input_tokens, first.usage.output_tokens) == (19, 10)
    assert (last.content[0].text, last.stop_reason) == ("Sunny.", "end_turn")
    # The provider gets its own ids, its own reasoning and the model's own words back.
    assert asked[0]["messages"][0] == {"role": "system", "content": "Be brief"}
    assert asked[0]["tools"][0]["function"]["parameters"] == SCHEMA
    said, *results = asked[1]["messages"][1:]
    assert said["reasoning_content"] == "Let me see"
    assert [call["id"] for call in said["tool_calls"]] == [f"functions.weather:{n}" for n in (0, 1)]
    assert [each["tool_call_id"] for each in results] == [f"functions.weather:{n}" for n in (0, 1)]


async def test_a_message_of_a_chat_model_whole_and_its_record() -> None:
    script = [(0.0, whole(200, completion("Hello.")))]
    async with serving(script) as provider:
        async with in_process(config("openai", provider.port)) as gateway:
            body = MESSAGE | {"cache_control": {"type": "ephemeral"}, "safeguards": []}
            reply = await post(gateway, "/v1/messages?beta=true", body)
            record = await gateway.record()
    assert reply.status == 200
    assert reply.json["content"] == [{"type": "text", "text": "Hello."}]
    assert reply.json["model"] == "m"
    assert reply.json["usage"]["input_tokens"] == 19
    assert set(reply.headers["x-gateway-dropped"].split(", ")) == {"cache_control", "safeguards"}
    assert set(record.dropped) == {"cache_control", "safeguards"}
    assert record.cost_nano_usd == 19 * 1000 + 10 * 2000
    assert provider.asked[0].target == "/v1/chat/completions"
    assert provider.asked[0].json == {"model": "real", "messages": MESSAGES, "max_tokens": 64}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "kind", "starts"),
    [
        (failure(400, "bad tool"), "invalid_request_error", "bad tool"),
        (
            failure(400, "This model's maximum context length is 10 tokens", code="context_length_exceeded"),  # noqa: E501
            "invalid_request_error",
            "prompt is too long: ",
        ),
        (failure(429, "slow down"), "rate_limit_error", "all providers failed"),
        (failure(500, "oops"), "api_error", "all providers failed"),
    ],
)  # fmt: skip
async def test_refusals_of_a_chat_model_in_anthropic_s_words(
    given: bytes, kind: str, starts: str
) -> None:
    async with serving([(0.0, given)]) as provider:
        async with in_process(config("openai", provider.port)) as gateway:
            reply = await post(gateway, "/v1/messages", MESSAGE)
    assert reply.json["type"] == "error"
    assert reply.json["error"]["type"] == kind
    assert reply.json["error"]["message"].startswith(starts)
    assert "request-id" in reply.headers


@pytest.mark.parametrize("accident", ["reset", "error"])
async def test_a_chat_stream_that_breaks_ends_in_anthropic_s_error_event(accident: str) -> None:
    said = [chunk({"role": "assistant", "content": "Hel"})]
    script = broken(said, RESET)
    if accident == "error":
        error = b'data: {"error":{"message":"overloaded","type":"server_error","code":503}}\n\n'
        script = streamed([*said, error])
    async with serving(script) as provider:
        async with in_process(config("openai", provider.port)) as gateway:
            reply = await post(gateway, "/v1/messages", MESSAGE | {"stream": True})
            record = await gateway.record()
    assert not reply.complete
    assert b"Hel" in reply.body
    assert reply.events[-1].startswith(b"event: error\n")
    assert (b"overloaded_error" in reply.events[-1]) is (accident == "error")
    assert b"message_stop" not in reply.body
    assert record.end_reason is EndReason.UPSTREAM_BROKE


# A caller of chat completions on a provider of Messages...


def thinks_and_calls(asked: Asked) -> Script:
    if len(asked.json["messages"]) > 1:
        return streamed([start("real"), text("Sunny."), end(), STOP])
    thinking = {"type": "thinking", "thinking": "", "signature": ""}
    tool = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
    server = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    deltas: list[tuple[int, dict[str, Any]]] = [
        (0, {"type": "thinking_delta", "thinking": "Hm"}),
        (0, {"type": "signature_delta", "signature": "c2lnbmVk"}),
    ]
    events = [start("real", cache_read_input_tokens=90), PING]
    events.append(event("content_block_start", index=0, content_block=thinking))
    events += [event("content_block_delta", index=n, delta=delta) for n, delta in deltas]
    events.append(event("content_block_stop", index=0))
    events.append(event("content_block_start", index=1, content_block=server))
    events.append(event("content_block_stop", index=1))
    events.append(text("I will look.", index=2))
    for index, name in enumerate(("weather", "weather"), 3):
        block = tool | {"id": f"toolu_{index}", "name": name}
        delta = {"type": "input_json_delta", "partial_json": '{"n": 1.50}'}
        events.append(event("content_block_start", index=index, content_block=block))
        if index == 3:
            events.append(event("content_block_delta", index=index, delta=delta))
        events.append(event("content_block_stop", index=index))
    return streamed([*events, end("tool_use"), STOP])


@pytest.mark.slow
async def test_openai_s_sdk_calls_tools_of_a_message_model() -> None:
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]

    def talk(client: openai.OpenAI) -> tuple[Any, Any]:
        with client:
            asked: list[Any] = [{"role": "user", "content": "Weather?"}]
            with client.chat.completions.stream(
                model="m", messages=asked, tools=tools, stream_options={"include_usage": True}
            ) as opened:
                first = opened.get_final_completion()
            message = first.choices[0].message
            asked.append(message.to_dict())
            asked += [
                {"role": "tool", "tool_call_id": call.id, "content": "22"}
                for call in message.tool_calls or []
            ]
            with client.chat.completions.stream(model="m", messages=asked, tools=tools) as opened:
                return first, opened.get_final_completion()

    async with serving(thinks_and_calls) as provider:
        async with in_process(config("anthropic", provider.port)) as gateway:
            url = f"http://127.0.0.1:{gateway.port}/v1"
            client = openai.OpenAI(
                base_url=url, http_client=sdk_client(openai), api_key="sk-any", max_retries=0
            )
            first, last = await trio.to_thread.run_sync(lambda: talk(client))
            await gateway.settled()
        asked = [each.json for each in provider.asked]
    choice = first.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("I will look.", "tool_calls")
    assert choice.message.reasoning_content == "Hm"
    assert [call.function.arguments for call in choice.message.tool_calls] == ['{"n": 1.50}', "{}"]
    assert first.usage.prompt_tokens == 100
    assert first.usage.prompt_tokens_details.cached_tokens == 90
    assert last.choices[0].message.content == "Sunny."
    assert asked[0]["tools"][0]["input_schema"] == SCHEMA
    # Thinking is replayed with its signature, and the results of both calls in one message.
    said, results = asked[1]["messages"][1:]
    assert said["content"][0] == {"type": "thinking", "thinking": "Hm", "signature": "c2lnbmVk"}
    assert [block["type"] for block in said["content"][1:]] == ["text", "tool_use", "tool_use"]
    assert [block["tool_use_id"] for block in results["content"]] == ["toolu_3", "toolu_4"]


@pytest.mark.parametrize("wants_usage", [True, False])
async def test_a_chat_stream_of_a_message_model(wants_usage: bool) -> None:
    events = [start("real"), PING, text("Hel", "lo"), end(), STOP]
    body: dict[str, Any] = CHAT | {"stream": True}
    if wants_usage:
        body["stream_options"] = {"include_usage": True}
    async with serving(streamed(events)) as provider:
        async with in_process(config("anthropic", provider.port)) as gateway:
            reply = await post(gateway, "/v1/chat/completions", body)
            record = await gateway.record()
    assert reply.complete
    assert reply.events[-1] == b"data: [DONE]"
    chunks = [json.loads(each.removeprefix(b"data: ")) for each in reply.events[:-1]]
    assert len({(each["id"], each["created"], each["model"]) for each in chunks}) == 1
    assert any(each.get("usage") for each in chunks) is wants_usage
    assert all(each["choices"] for each in chunks) is not wants_usage
    assert record.cost_nano_usd == 10 * 1000 + 5 * 2000
    sent = provider.asked[0].json
    assert sent["max_tokens"] == 8192
    assert sent["messages"] == [{"role": "user", "content": "Hi"}]


async def test_what_a_message_model_cannot_be_asked_is_refused_or_dropped() -> None:
    body = CHAT | {"n": 2, "seed": 7}
    script = [(0.0, whole(200, {"type": "message", "id": "m", "role": "assistant", "content": [], "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}}))]  # fmt: skip  # noqa: E501
    async with serving(script) as provider:
        async with in_process(config("anthropic", provider.port)) as gateway:
            refused = await post(gateway, "/v1/chat/completions", body)
            record = await gateway.record()
        assert provider.asked == []
        drop = '[translation]\nunsupported = "drop"\n'
        async with in_process(config("anthropic", provider.port, more=drop)) as gateway:
            served = await post(gateway, "/v1/chat/completions", body)
    assert (refused.status, refused.error["param"]) == (400, "n")
    assert "n: " in refused.error["message"]
    assert record.end_reason is EndReason.REJECTED
    assert [skip.reason for skip in record.skipped] == ["cannot_serve"]
    assert served.status == 200
    assert served.headers["x-gateway-dropped"] == "seed, n"


async def test_refusals_of_a_message_model_in_openai_s_words() -> None:
    body = {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "prompt is too long: 2 > 1"},
    }
    async with serving([(0.0, whole(400, body, "request-id: req_x"))]) as provider:
        async with in_process(config("anthropic", provider.port)) as gateway:
            reply = await post(gateway, "/v1/chat/completions", CHAT)
    assert reply.status == 400
    assert reply.error["code"] == "context_length_exceeded"
    assert reply.error["message"] == "prompt is too long: 2 > 1"
    assert reply.headers["x-provider-request-id"] == "req_x"


async def test_a_caller_that_leaves_leaves_nothing() -> None:
    said = framed(start("real") + text("Hel"))
    script: Script = [(0.0, stream_head()), (0.0, said), (0.0, STALL)]
    async with serving(script) as provider:
        async with in_process(config("anthropic", provider.port)) as gateway:
            async with calling(gateway.port) as caller:
                await caller.post(json.dumps(CHAT | {"stream": True}).encode())
                await caller.head()
                await caller.until(b"Hel")
            record = await gateway.record()
            await gateway.settled()
            await provider.wait_open(0)
    assert record.end_reason is EndReason.CLIENT_GONE


async def test_a_fallback_of_another_api() -> None:
    """A model over both kinds: each provider is asked in its own words."""

    def config_of(chat: int, messages: int) -> str:
        return (
            config("openai", chat).partition("[[models]]")[0]
            + f'[providers.a]\nkind = "anthropic"\nbase_url = "http://127.0.0.1:{messages}"\n'
            '[[models]]\nname = "m"\nroutes = [{ provider = "p0", model = "real" }, '
            '{ provider = "a", model = "claude" }]\n'
        )

    answer = streamed([start("real"), text("Hello"), end(), STOP])
    broke: Script = [(0.0, failure(503, "no"))]
    async with serving(broke) as chat, serving(answer) as messages:
        async with in_process(config_of(chat.port, messages.port)) as gateway:
            reply = await post(gateway, "/v1/chat/completions", CHAT | {"stream": True})
            same = await post(gateway, "/v1/messages", MESSAGE | {"stream": True})
    assert b'"content":"Hello"' in reply.body
    assert reply.headers["x-gateway-provider"] == "a"
    assert same.body.startswith(b"event: message_start")
