"""Callers of OpenAI's Responses on providers of other APIs, and the other way round."""

# ruff: noqa: SIM117  # a gateway inside the life of its provider

from __future__ import annotations

import json
from typing import Any

import pydantic
import pytest
import trio

from gateway.core.records.record import EndReason
from tests.late import anthropic, openai

from ..core.dialects.anthropic_messages.events import STOP, end, start, text
from ..core.dialects.openai_responses.streams import STREAM, USAGE
from ..core.dialects.openai_responses.streams import event as response_event
from ..http_client import sdk_client
from .harness import InProcess, in_process
from .provider import Asked, serving
from .test_translation import CHAT, MESSAGE, SCHEMA, config, post, weather
from .wire import DONE, RESET, Script, broken, completion, failure, streamed, usage_event, whole
from .wire import event as chunk

ASK: dict[str, Any] = {"model": "m", "input": "Hi"}
FUNCTION = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}


def client_of(gateway: InProcess) -> openai.OpenAI:
    url = f"http://127.0.0.1:{gateway.port}/v1"
    return openai.OpenAI(
        base_url=url, http_client=sdk_client(openai), api_key="sk-any", max_retries=0
    )


def datas(reply: Any) -> list[dict[str, Any]]:
    return [json.loads(each.partition(b"data: ")[2]) for each in reply.events]


# A caller of Responses on a provider of chat completions...


@pytest.mark.slow
async def test_openai_s_sdk_calls_tools_of_a_chat_model_by_responses() -> None:
    tools: Any = [FUNCTION]

    def talk(client: openai.OpenAI) -> tuple[Any, Any]:
        with client:
            asked: list[Any] = [{"role": "user", "content": "Weather?"}]
            with client.responses.stream(
                model="m", instructions="Be brief", input=asked, tools=tools, store=False
            ) as opened:
                first = opened.get_final_response()
            asked += [item.to_dict() for item in first.output]
            asked += [
                {"type": "function_call_output", "call_id": item.call_id, "output": "22"}
                for item in first.output
                if item.type == "function_call"
            ]
            with client.responses.stream(model="m", input=asked, tools=tools) as opened:
                return first, opened.get_final_response()

    async with serving(weather) as provider:
        async with in_process(config("openai", provider.port)) as gateway:
            first, last = await trio.to_thread.run_sync(lambda: talk(client_of(gateway)))
            await gateway.settled()
        asked = [each.json for each in provider.asked]
    assert [item.type for item in first.output] == [
        *("reasoning", "message", "function_call", "function_call")
    ]
    assert (first.status, first.output_text) == ("completed", "I will look.")
    assert [json.loads(item.arguments) for item in first.output[2:]] == [
        {"city": "Z\u00fcrich", "n": 1.5},
        {"city": "Rome"},
    ]
    assert (first.usage.input_tokens, first.usage.output_tokens) == (19, 10)
    assert last.output_text == "Sunny."
    assert asked[0]["messages"][0] == {"role": "system", "content": "Be brief"}
    assert asked[0]["tools"][0]["function"]["parameters"] == SCHEMA
    # The provider gets its own ids and its own reasoning back, and both calls in one message.
    said, *results = asked[1]["messages"][1:]
    assert said["reasoning_content"] == "Let me see"
    assert [call["id"] for call in said["tool_calls"]] == [f"functions.weather:{n}" for n in (0, 1)]
    assert [each["tool_call_id"] for each in results] == [f"functions.weather:{n}" for n in (0, 1)]


class City(pydantic.BaseModel):
    name: str


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_a_response_is_parsed_by_a_schema(kind: str) -> None:
    said = '{"name":"Rome"}'
    message = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "content": [{"type": "text", "text": said}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 19, "output_tokens": 10, "cache_read_input_tokens": 5},
    }
    body = completion(said) if kind == "openai" else message

    def talk(client: openai.OpenAI) -> Any:
        with client:
            return client.responses.parse(model="m", input="Which city?", text_format=City)

    async with serving([(0.0, whole(200, body))]) as provider:
        async with in_process(config(kind, provider.port)) as gateway:
            found = await trio.to_thread.run_sync(lambda: talk(client_of(gateway)))
            record = await gateway.record()
        sent = provider.asked[0].json
    assert found.output_parsed == City(name="Rome")
    assert found.model == "m"
    schema = City.model_json_schema() | {"additionalProperties": False}
    if kind == "openai":
        assert sent["response_format"]["json_schema"]["schema"] == schema
        assert found.usage.input_tokens == 19
        assert record.cost_nano_usd == 19 * 1000 + 10 * 2000
    else:
        assert sent["output_config"]["format"]["schema"] == schema
        assert found.usage.input_tokens == 24
        assert found.usage.input_tokens_details.cached_tokens == 5


@pytest.mark.parametrize("accident", ["reset", "error"])
async def test_a_chat_stream_that_breaks_ends_in_response_failed(accident: str) -> None:
    said = [chunk({"role": "assistant", "content": "Hel"})]
    script = broken(said, RESET)
    if accident == "error":
        error = b'data: {"error":{"message":"slow down","type":"rate_limit","code":429}}\n\n'
        script = streamed([*said, error])
    async with serving(script) as provider:
        async with in_process(config("openai", provider.port)) as gateway:
            reply = await post(gateway, "/v1/responses", ASK | {"stream": True})
            record = await gateway.record()
    found = datas(reply)
    assert [each["sequence_number"] for each in found] == [*range(len(found))]
    assert [each["type"] for each in found[:2]] == ["response.created", "response.in_progress"]
    last = found[-1]
    assert last["type"] == "response.failed"
    assert last["response"]["status"] == "failed"
    assert last["response"]["id"] == found[0]["response"]["id"]
    code = "rate_limit_exceeded" if accident == "error" else "server_error"
    assert last["response"]["error"]["code"] == code
    assert record.end_reason is EndReason.UPSTREAM_BROKE


async def test_what_a_provider_refuses_is_said_in_openai_s_words() -> None:
    too_long = failure(400, "prompt is too long: 9 tokens > 5 maximum")
    async with serving([(0.0, too_long)]) as provider:
        async with in_process(config("anthropic", provider.port)) as gateway:
            reply = await post(gateway, "/v1/responses", ASK)
    assert (reply.status, reply.error["code"]) == (400, "context_length_exceeded")


@pytest.mark.parametrize(
    ("more", "param"),
    [
        (
            {"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}},
            "tools.0 (web_search)",
        ),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input.0"),
    ],
)
async def test_what_a_chat_model_cannot_be_asked(more: dict[str, Any], param: str) -> None:
    async with serving([(0.0, failure(500))]) as provider:
        async with in_process(config("openai", provider.port)) as gateway:
            reply = await post(gateway, "/v1/responses", ASK | more)
        assert provider.asked == []
    assert (reply.status, reply.error["param"]) == (400, param)
    if "_" in param and "tools" not in param:
        assert "[responses] store = true" in reply.error["message"]


async def test_a_tool_that_is_merely_offered_is_left_out() -> None:
    events = [chunk({"role": "assistant", "content": "Hi"}), chunk({}, "stop"), DONE]
    async with serving(streamed(events)) as provider:
        async with in_process(config("openai", provider.port)) as gateway:
            tools = [{"type": "web_search"}, {"type": "function", "name": "f"}]
            reply = await post(gateway, "/v1/responses", ASK | {"tools": tools})
        [asked] = provider.asked
    assert reply.status == 200
    assert [tool["function"]["name"] for tool in asked.json["tools"]] == ["f"]
    assert reply.headers["x-gateway-dropped"] == "tools.0 (web_search)"


async def test_the_tokens_of_an_input_are_estimated_where_no_provider_counts_them() -> None:
    async with serving([(0.0, failure(500))]) as provider:
        async with in_process(config("openai", provider.port)) as gateway:
            reply = await post(gateway, "/v1/responses/input_tokens", ASK)
            record = await gateway.record()
        assert provider.asked == []
    assert reply.json["object"] == "response.input_tokens"
    assert reply.json["input_tokens"] > 0
    assert reply.headers["x-gateway-estimate"] == "true"
    assert (record.operation, record.cost_nano_usd) == ("count_tokens", 0)


def codex(asked: Asked) -> Script:
    """Call the custom tool that Codex has in a namespace, then say what came of it."""
    if asked.json["messages"][-1]["role"] == "tool":
        events = [chunk({"role": "assistant", "content": "done"})]
        return streamed([*events, chunk({}, "stop"), usage_event(20, 3), DONE])
    [name] = [
        each["function"]["name"]
        for each in asked.json["tools"]
        if each["function"]["name"].endswith("exec")
    ]
    call = {"index": 0, "id": "call_1", "type": "function"}
    pieces = ['{"inp', 'ut":"ls \\', 'u00e9"}']
    events = [chunk({"tool_calls": [call | {"function": {"name": name, "arguments": ""}}]})]
    events += [
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in pieces
    ]
    return streamed([*events, chunk({}, "tool_calls"), usage_event(19, 10), DONE])


async def test_tools_of_namespaces_and_custom_ones_come_back_as_they_were() -> None:
    inner = [
        {"type": "custom", "name": "exec", "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}},  # noqa: E501
        FUNCTION | {"name": "wait"},
    ]  # fmt: skip
    space = {"type": "namespace", "name": "functions", "description": "", "tools": inner}
    items: list[Any] = [
        {"type": "additional_tools", "role": "developer", "tools": [space]},
        {"role": "user", "content": [{"type": "input_text", "text": "go"}]},
    ]
    ask = ASK | {"stream": True, "tool_choice": "auto"}
    async with serving(codex) as provider:
        async with in_process(config("openai", provider.port)) as gateway:
            reply = await post(gateway, "/v1/responses", ask | {"input": items})
            [call] = datas(reply)[-1]["response"]["output"]
            items += [
                call,
                {"type": "custom_tool_call_output", "call_id": "call_1", "output": "x"},
            ]
            last = await post(gateway, "/v1/responses", ask | {"input": items})
        again = provider.asked[1].json["messages"]
    assert call["type"] == "custom_tool_call"
    assert (call["namespace"], call["name"], call["input"]) == ("functions", "exec", "ls \u00e9")
    deltas = [each for each in datas(reply) if each["type"].endswith("input.delta")]
    assert "".join(each["delta"] for each in deltas) == "ls \u00e9"
    assert again[1]["tool_calls"][0]["function"] == {
        "name": "functions__exec",
        "arguments": '{"input":"ls \u00e9"}',
    }
    assert again[2] == {"role": "tool", "tool_call_id": "call_1", "content": "x"}
    assert datas(last)[-1]["response"]["output"][0]["content"][0]["text"] == "done"


# Callers of other APIs on a provider of Responses...


def thinks_and_calls(asked: Asked) -> Script:
    """Think, call two functions at once, and say something once their results are there."""
    if any(each.get("type") == "function_call_output" for each in asked.json["input"]):
        return streamed(list(STREAM))
    response = {"id": "resp_1", "object": "response", "model": "real", "output": []}
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c2VjcmV0"}
    calls = [
        {"type": "function_call", "id": f"fc_{n}", "call_id": f"call_{n}", "name": "weather", "arguments": ""}  # noqa: E501
        for n in range(2)
    ]  # fmt: skip
    full = [call | {"arguments": f'{{"n": {n}.50}}'} for n, call in enumerate(calls)]
    events: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": response}),
        ("response.output_item.added", {"output_index": 0, "item": reasoning}),
        ("response.reasoning_summary_text.delta", {"output_index": 0, "summary_index": 0, "delta": "Hm"}),  # noqa: E501
        ("response.output_item.done", {"output_index": 0, "item": reasoning | {"summary": [{"type": "summary_text", "text": "Hm"}]}}),  # noqa: E501
        *(("response.output_item.added", {"output_index": n + 1, "item": call}) for n, call in enumerate(calls)),  # noqa: E501
        # One in deltas, the other with its end alone.
        ("response.function_call_arguments.delta", {"output_index": 1, "delta": '{"n": '}),
        ("response.function_call_arguments.delta", {"output_index": 1, "delta": "0.50}"}),
        *(("response.output_item.done", {"output_index": n + 1, "item": call}) for n, call in enumerate(full)),  # noqa: E501
        ("response.completed", {"response": response | {"status": "completed", "output": [], "usage": USAGE}}),  # noqa: E501
    ]  # fmt: skip
    return streamed([response_event(kind, n, **more) for n, (kind, more) in enumerate(events)])


@pytest.mark.slow
async def test_anthropic_s_sdk_calls_tools_of_a_response_model() -> None:
    tools: Any = [{"name": "weather", "description": "w", "input_schema": SCHEMA}]

    def talk(client: anthropic.Anthropic) -> tuple[Any, Any]:
        with client:
            asked: list[Any] = [{"role": "user", "content": "Weather?"}]
            with client.messages.stream(
                model="m",
                max_tokens=4096,
                messages=asked,
                tools=tools,
                thinking={"type": "enabled", "budget_tokens": 2048},
            ) as opened:
                first = opened.get_final_message()
            results = [
                {"type": "tool_result", "tool_use_id": block.id, "content": "22"}
                for block in first.content
                if block.type == "tool_use"
            ]
            asked += [{"role": "assistant", "content": first.content}]
            asked += [{"role": "user", "content": results}]
            with client.messages.stream(
                model="m", max_tokens=64, messages=asked, tools=tools
            ) as opened:
                return first, opened.get_final_message()

    route = ', reasoning = "effort", api = "responses"'
    async with serving(thinks_and_calls) as provider:
        async with in_process(config("openai", provider.port, route=route)) as gateway:
            url = f"http://127.0.0.1:{gateway.port}"
            client = anthropic.Anthropic(
                base_url=url, http_client=sdk_client(anthropic), api_key="sk-any", max_retries=0
            )
            first, last = await trio.to_thread.run_sync(lambda: talk(client))
            await gateway.settled()
        asked = [each.json for each in provider.asked]
        assert provider.asked[0].target == "/v1/responses"
    assert [block.type for block in first.content] == ["thinking", "tool_use", "tool_use"]
    assert [block.input for block in first.content[1:]] == [{"n": 0.5}, {"n": 1.5}]
    assert first.stop_reason == "tool_use"
    assert (first.usage.input_tokens, first.usage.cache_read_input_tokens) == (60, 40)
    assert last.content[0].text == "Hello"
    assert asked[0]["store"] is False
    assert asked[0]["include"] == ["reasoning.encrypted_content"]
    assert asked[0]["reasoning"] == {"effort": "low", "summary": "auto"}
    # Its reasoning comes back to it as the item that it was.
    assert asked[1]["input"][1:] == [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}], "encrypted_content": "c2VjcmV0"},  # noqa: E501
        *({"type": "function_call", "call_id": f"call_{n}", "name": "weather", "arguments": f'{{"n":{n}.5}}'} for n in range(2)),  # noqa: E501
        *({"type": "function_call_output", "call_id": f"call_{n}", "output": "22"} for n in range(2)),  # noqa: E501
    ]  # fmt: skip


@pytest.mark.parametrize("api", ["responses", "both"])
async def test_a_chat_on_a_provider_of_responses(api: str) -> None:
    script: Any = list(STREAM)
    if api == "both":
        script = [chunk({"role": "assistant", "content": "Hello"}), chunk({}, "stop"), DONE]
    route = f', api = "{api}"'
    body = CHAT | {"stream": True, "stream_options": {"include_usage": True}, "max_tokens": 9}
    async with serving(streamed(script)) as provider:
        async with in_process(config("openai", provider.port, route=route)) as gateway:
            reply = await post(gateway, "/v1/chat/completions", body)
            record = await gateway.record()
        asked = provider.asked[0]
    assert reply.events[-1] == b"data: [DONE]"
    chunks = [json.loads(each.removeprefix(b"data: ")) for each in reply.events[:-1]]
    said = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    assert said == "Hello"
    if api == "both":
        assert asked.target == "/v1/chat/completions"
        return
    assert asked.target == "/v1/responses"
    assert asked.json == {
        "model": "real",
        "input": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "store": False,
        "max_output_tokens": 9,
    }
    assert chunks[-1]["usage"]["prompt_tokens"] == 100
    assert chunks[-1]["usage"]["completion_tokens_details"]["reasoning_tokens"] == 5
    assert record.cost_nano_usd == 100 * 1000 + 20 * 2000


async def test_a_response_model_s_refusal_and_failure_for_other_callers() -> None:
    error = {"code": "server_error", "message": "oh"}
    failed = response_event("response.failed", 1, response={"id": "r", "error": error})
    script = streamed([*STREAM[:4], failed])
    route = ', api = "responses"'
    async with serving(script) as provider:
        async with in_process(config("openai", provider.port, route=route)) as gateway:
            chat = await post(gateway, "/v1/chat/completions", CHAT | {"stream": True})
            message = await post(gateway, "/v1/messages", MESSAGE | {"stream": True})
    assert b"[DONE]" not in chat.body
    assert "oh" in json.loads(chat.events[-1].removeprefix(b"data: "))["error"]["message"]
    assert message.events[-1].startswith(b"event: error\n")
    assert b"oh" in message.events[-1]


async def test_messages_of_another_provider_keep_their_thinking_for_it() -> None:
    """What a caller of Responses has of Anthropic's thinking is restored there to the byte."""
    events = [start("real"), text("Hello"), end(), STOP]
    shown = "~GATEWAY~STATE~1~:anthropic_messages:c2ln"
    items = [
        {"role": "user", "content": "x"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}], "encrypted_content": shown},  # noqa: E501
        {"role": "assistant", "content": "y"},
        {"role": "user", "content": "z"},
    ]  # fmt: skip
    async with serving(streamed(events)) as provider:
        async with in_process(config("anthropic", provider.port)) as gateway:
            await post(gateway, "/v1/responses", ASK | {"input": items, "stream": True})
        sent = provider.asked[0].json["messages"]
    thinking = {"type": "thinking", "thinking": "Hm", "signature": "c2ln"}
    assert sent[1]["content"] == [thinking, {"type": "text", "text": "y"}]
    async with serving(streamed(list(STREAM))) as provider:
        route = ', api = "responses"'
        async with in_process(config("openai", provider.port, route=route)) as gateway:
            await post(gateway, "/v1/responses", ASK | {"input": items, "stream": True})
        assert [each.get("type") for each in provider.asked[0].json["input"]] == [None] * 3
