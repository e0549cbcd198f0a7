"""Python clients against a gateway; run by an interpreter that has them.

Called with the gateway's address and a JSON list of clients and models; prints a JSON list.
"""

# ruff: noqa: T201
from __future__ import annotations

import asyncio
import gc
import json
import ssl
import sys
import traceback
from typing import Any

# No client here asks by TLS, and each would read all whom it could trust: that takes longer than
# what it asks.
ssl.SSLContext.load_verify_locations = lambda *_, **__: None  # type: ignore[method-assign]
KEY = "sk-any"
CALLS: list[dict[str, Any]] = []
# What they import is for good, and takes a quarter longer if it is looked through again and again.
gc.disable()
LOOP = asyncio.new_event_loop()
asyncio.set_event_loop(LOOP)


def weather(city: str) -> str:
    """Tell the weather in a city."""
    CALLS.append({"city": city})
    return f"22 degrees in {city}"


def openai_agents(base: str, name: str) -> str:
    """Let it ask as it does by default, which is for Responses."""
    from agents import Agent, RunConfig, Runner, function_tool, set_tracing_disabled
    from agents.models.openai_provider import OpenAIProvider

    set_tracing_disabled(True)
    provider = OpenAIProvider(api_key=KEY, base_url=f"{base}/v1")
    agent = Agent(name="a", instructions="Be brief.", tools=[function_tool(weather)], model=name)

    async def run() -> str:
        config = RunConfig(model_provider=provider)
        result = Runner.run_streamed(agent, "Weather in Oslo?", run_config=config)
        async for _ in result.stream_events():
            pass
        return str(result.final_output)

    # One loop for all: its connections stay open from one run to the next.
    return LOOP.run_until_complete(run())


def pydantic_ai(base: str, name: str, kind: str) -> str:
    from pydantic_ai import Agent

    model: Any
    if kind == "openai":
        # What "openai:NAME" means to it since its version 2.
        from pydantic_ai.models.openai import OpenAIResponsesModel
        from pydantic_ai.providers.openai import OpenAIProvider

        provider = OpenAIProvider(api_key=KEY, base_url=f"{base}/v1")
        model = OpenAIResponsesModel(name, provider=provider)
    elif kind == "chat":
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        provider = OpenAIProvider(api_key=KEY, base_url=f"{base}/v1")
        model = OpenAIChatModel(name, provider=provider)
    else:
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        model = AnthropicModel(name, provider=AnthropicProvider(api_key=KEY, base_url=base))
    agent = Agent(model, tools=[weather])
    return str(agent.run_sync("Weather in Oslo?").output)


def langchain(base: str, name: str, kind: str) -> str:
    from langchain_core.messages import HumanMessage, ToolMessage

    llm: Any
    if kind == "openai":
        from langchain_openai import ChatOpenAI

        llm = ChatOpenAI(model=name, api_key=KEY, base_url=f"{base}/v1", max_retries=0)
    else:
        from langchain_anthropic import ChatAnthropic

        llm = ChatAnthropic(model=name, api_key=KEY, base_url=base, max_retries=0)
    bound = llm.bind_tools([weather])
    said: list[Any] = [HumanMessage("Weather in Oslo?")]
    answer: Any = None
    for _ in range(2):
        answer = None
        for chunk in bound.stream(said):
            answer = chunk if answer is None else answer + chunk
        said.append(answer)
        said += [
            ToolMessage(weather(**call["args"]), tool_call_id=call["id"])
            for call in answer.tool_calls
        ]
    return str(answer.text)


def google(base: str, name: str, kind: str) -> str:
    from google import genai
    from google.genai import types

    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=base))
    config = types.GenerateContentConfig(
        tools=[weather], thinking_config=types.ThinkingConfig(include_thoughts=True)
    )
    if kind == "sync":
        # It calls the function by itself.
        chat = client.chats.create(model=name, config=config)
        return "".join(each.text or "" for each in chat.send_message_stream("Weather in Oslo?"))

    async def run() -> str:
        chat = client.aio.chats.create(model=name, config=config)
        answer = await chat.send_message("Weather in Oslo?")
        await client.aio.aclose()
        return str(answer.text)

    return LOOP.run_until_complete(run())


CLIENTS: dict[str, Any] = {
    "openai-agents": openai_agents,
    "pydantic-ai openai": lambda base, name: pydantic_ai(base, name, "openai"),
    "pydantic-ai chat": lambda base, name: pydantic_ai(base, name, "chat"),
    "pydantic-ai anthropic": lambda base, name: pydantic_ai(base, name, "anthropic"),
    "langchain openai": lambda base, name: langchain(base, name, "openai"),
    "langchain anthropic": lambda base, name: langchain(base, name, "anthropic"),
    "google-genai": lambda base, name: google(base, name, "sync"),
    "google-genai async": lambda base, name: google(base, name, "async"),
}


def tried(client: str, base: str, name: str) -> dict[str, Any]:
    CALLS.clear()
    try:
        text = CLIENTS[client](base, name)
    except Exception:  # noqa: BLE001  # whatever went wrong with it is what is to be told
        return {"error": traceback.format_exc()[-2000:]}
    return {"call": ["weather", CALLS[0]] if CALLS else None, "text": text}


if __name__ == "__main__":
    address, asked = sys.argv[1:]
    print(json.dumps([tried(client, address, name) for client, name in json.loads(asked)]))
