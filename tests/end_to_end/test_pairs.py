"""Every pair of APIs with the demo provider: both SDKs, whole and streamed, tools and thinking."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.late import anthropic, openai

from ..http_client import sdk_client
from .harness import InProcess, in_process

pytestmark = pytest.mark.slow

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def config(api: str) -> str:
    return (
        '[server]\nbind = "127.0.0.1:0"\n[overload]\nlag = 0\n[store]\nurl = ""\n'
        f'[providers.demo]\nkind = "demo"\ntoken_interval = 0\nspeaks = "{api}"\n'
        '[[models]]\nname = "m"\nroutes = [{ provider = "demo", model = "demo", '
        "input_price = 1, output_price = 2 }]\n"
    )


def by_messages(gateway: InProcess, *, stream: bool) -> tuple[Any, Any]:
    """Have two turns with a tool; return both answers."""
    url = f"http://127.0.0.1:{gateway.port}"
    tools: Any = [{"name": "weather", "input_schema": SCHEMA}]
    thinking: Any = {"type": "adaptive"}
    asked: list[Any] = [{"role": "user", "content": "Weather?"}]
    found: list[Any] = []
    with anthropic.Anthropic(
        base_url=url, http_client=sdk_client(anthropic), api_key="sk-any", max_retries=0
    ) as client:
        for _ in range(2):
            given: Any = {
                "model": "m",
                "max_tokens": 4000,
                "messages": asked,
                "tools": tools,
                "thinking": thinking,
            }
            if stream:
                with client.messages.stream(**given) as opened:
                    answer: Any = opened.get_final_message()
            else:
                answer = client.messages.create(**given)
            found.append(answer)
            results = [
                {"type": "tool_result", "tool_use_id": block.id, "content": "22 degrees"}
                for block in answer.content
                if block.type == "tool_use"
            ]
            asked += [{"role": "assistant", "content": answer.content}]
            asked += [{"role": "user", "content": results}]
    first, last = found
    kinds = [block.type for block in first.content]
    assert kinds == ["thinking", "text", "tool_use"]
    assert first.content[0].thinking == "Let me think about that."
    assert first.content[2].input == {"city": "demo"}
    return (first.stop_reason, first.usage), (last.stop_reason, last.content[-1].text)


def by_chat(gateway: InProcess, *, stream: bool) -> tuple[Any, Any]:
    url = f"http://127.0.0.1:{gateway.port}/v1"
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
    asked: list[Any] = [{"role": "user", "content": "Weather?"}]
    found: list[Any] = []
    with openai.OpenAI(
        base_url=url, http_client=sdk_client(openai), api_key="sk-any", max_retries=0
    ) as client:
        for _ in range(2):
            given: Any = {
                "model": "m",
                "messages": asked,
                "tools": tools,
                "reasoning_effort": "low",
            }
            if stream:
                with client.chat.completions.stream(
                    **given, stream_options={"include_usage": True}
                ) as opened:
                    answer: Any = opened.get_final_completion()
            else:
                answer = client.chat.completions.create(**given)
            found.append(answer)
            message = answer.choices[0].message
            asked.append(message.to_dict())
            asked += [
                {"role": "tool", "tool_call_id": call.id, "content": "22 degrees"}
                for call in message.tool_calls or []
            ]
    first, last = found
    message = first.choices[0].message
    assert message.reasoning_content == "Let me think about that."
    assert message.content == "I will look."
    assert [call.function.name for call in message.tool_calls] == ["weather"]
    assert message.tool_calls[0].function.arguments == '{"city":"demo"}'
    end = last.choices[0]
    return (first.choices[0].finish_reason, first.usage), (end.finish_reason, end.message.content)


@pytest.mark.parametrize("api", ["chat", "messages"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_of_messages(api: str, stream: bool) -> None:
    async with in_process(config(api)) as gateway:
        first, last = await trio.to_thread.run_sync(lambda: by_messages(gateway, stream=stream))
        await gateway.settled()
        assert {record.end_reason.value for record in gateway.records} == {"complete"}
        assert all(record.cost_nano_usd for record in gateway.records)
        assert [record.dropped for record in gateway.records] == [[], []]
    reason, usage = first
    assert reason == "tool_use"
    assert (usage.input_tokens, usage.output_tokens) == (1, 7 if api == "messages" else 2)
    assert last[0] == "end_turn"
    assert "demo provider" in last[1]


@pytest.mark.parametrize("api", ["chat", "messages"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_of_chat(api: str, stream: bool) -> None:
    async with in_process(config(api)) as gateway:
        first, last = await trio.to_thread.run_sync(lambda: by_chat(gateway, stream=stream))
        await gateway.settled()
        assert {record.end_reason.value for record in gateway.records} == {"complete"}
    reason, usage = first
    assert reason == "tool_calls"
    assert usage.prompt_tokens == 1
    assert last[0] == "stop"
    assert "demo provider" in last[1]
