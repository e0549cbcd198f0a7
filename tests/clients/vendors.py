"""The SDKs of Cohere, Ollama and Amazon for Python against a gateway.

Run by an interpreter that has them: `python vendors.py BASE MODELS` prints what each has seen.
"""

# ruff: noqa: T201
from __future__ import annotations

import asyncio
import base64
import gc
import json
import ssl
import sys
import traceback
from typing import Any

# What they import is for good, and takes a quarter longer if it is looked through again and again.
gc.disable()
# No client here asks by TLS, and each would read all whom it could trust: that takes longer than
# what it asks.
ssl.SSLContext.load_verify_locations = lambda *_, **__: None  # type: ignore[method-assign]
KEY = "sk-any"
QUESTION = "Weather in Oslo?"
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
FUNCTION = {"name": "weather", "description": "The weather.", "parameters": PARAMETERS}
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def weather(city: str) -> str:
    """Tell the weather in a city.

    Args:
        city: Its name.
    """
    return f"22 degrees in {city}"


# Cohere...


def cohere_client(base: str) -> Any:
    import cohere

    return cohere.ClientV2(api_key=KEY, base_url=base, client_name="mine")


def cohere_stream(base: str, name: str, calls: list[Any]) -> str:
    client = cohere_client(base)
    tools = [{"type": "function", "function": FUNCTION}]
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    text = ""
    for _ in range(2):
        text, made = "", []
        for event in client.chat_stream(model=name, messages=messages, tools=tools):
            if event.type == "content-delta":
                text += event.delta.message.content.text or ""
            elif event.type == "tool-call-start":
                made.append(event.delta.message.tool_calls)
            elif event.type == "tool-call-delta":
                made[-1].function.arguments += event.delta.message.tool_calls.function.arguments
        if made:
            messages.append({"role": "assistant", "tool_plan": text, "tool_calls": made})
            for call in made:
                given = json.loads(call.function.arguments)
                calls.append([call.function.name, given])
                # As its guide to tools has it.
                data = {"data": json.dumps({"weather": weather(**given)})}
                content = [{"type": "document", "document": data}]
                result = {"role": "tool", "tool_call_id": call.id, "content": content}
                messages.append(result)
    return text


def cohere_async(base: str, name: str, calls: list[Any]) -> str:
    import cohere

    async def run() -> str:
        client = cohere.AsyncClientV2(api_key=KEY, base_url=base)
        tools = [{"type": "function", "function": FUNCTION}]
        messages: list[Any] = [{"role": "user", "content": QUESTION}]
        answer: Any = None
        for _ in range(2):
            answer = await client.chat(model=name, messages=messages, tools=tools)
            messages.append(answer.message)
            for call in answer.message.tool_calls or ():
                given = json.loads(call.function.arguments)
                calls.append([call.function.name, given])
                text = weather(**given)
                result = {"role": "tool", "tool_call_id": call.id, "content": text}
                messages.append(result)
        return "".join(part.text for part in answer.message.content)

    return asyncio.run(run())


def cohere_more(base: str, name: str, calls: list[Any]) -> str:
    """Everything else that it has of what the gateway serves."""
    import cohere

    client = cohere_client(base)
    image = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    answer = client.chat(
        model=name,
        messages=[
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "See"},
                    {"type": "image_url", "image_url": {"url": image}},
                ],
            },
        ],
        response_format={"type": "json_object", "json_schema": PARAMETERS},
        safety_mode="CONTEXTUAL",
        stop_sequences=["x"],
        k=3,
        p=0.5,
        seed=7,
        max_tokens=100,
    )
    usage = answer.usage.billed_units
    assert (usage.input_tokens, usage.output_tokens) == (19, 10), usage
    assert answer.finish_reason == "COMPLETE"
    documents: list[Any] = ["plain", {"id": "d", "data": {"title": "T", "text": "said"}}]
    client.chat(model=name, messages=[{"role": "user", "content": "Hi"}], documents=documents)
    listed = client._client_wrapper.httpx_client.request("v1/models", method="GET").json()
    assert name in [each["name"] for each in listed["models"]], listed
    try:
        client.chat(model="nope", messages=[{"role": "user", "content": "Hi"}])
        refused = ""
    except cohere.NotFoundError as exc:
        refused = exc.body["message"]
    assert "nope" in refused
    return "".join(part.text for part in answer.message.content)


def cohere_vectors(base: str, name: str, calls: list[Any]) -> str:
    import cohere

    asked: dict[str, Any] = {
        "model": name,
        "texts": ["one", "two"],
        "input_type": "search_document",
        "embedding_types": ["float"],
    }
    first = cohere_client(base).embed(**asked)
    calls.append(first.embeddings.float_)
    assert first.meta.billed_units.input_tokens == 5, first.meta

    async def run() -> Any:
        return await cohere.AsyncClientV2(api_key=KEY, base_url=base).embed(**asked)

    calls.append(asyncio.run(run()).embeddings.float_)
    return "vectors"


def cohere_rerank(base: str, name: str, calls: list[Any]) -> str:
    import cohere

    asked: dict[str, Any] = {"model": name, "query": "q", "documents": ["a", "b"], "top_n": 2}
    first = cohere_client(base).rerank(**asked)

    async def run() -> Any:
        return await cohere.AsyncClientV2(api_key=KEY, base_url=base).rerank(**asked)

    answers = (first, asyncio.run(run()))
    calls += [[[each.index, each.relevance_score] for each in one.results] for one in answers]
    assert first.meta.billed_units.search_units == 1, first.meta
    return "ranks"


# Ollama...


def ollama_vectors(base: str, name: str, calls: list[Any]) -> str:
    import ollama

    asked: dict[str, Any] = {"model": name, "input": ["one", "two"]}
    client = ollama.Client(**ollama_options(base))
    first = client.embed(**asked)
    calls.append([list(each) for each in first.embeddings])
    assert first.prompt_eval_count == 5, first

    async def run() -> Any:
        return await ollama.AsyncClient(**ollama_options(base)).embed(**asked)

    calls.append([list(each) for each in asyncio.run(run()).embeddings])
    single = client.embed(model=name, input="one")
    assert len(single.embeddings) == 1, single
    return "vectors"


def ollama_options(base: str) -> dict[str, Any]:
    return {"host": base, "headers": {"Authorization": f"Bearer {KEY}"}}


def ollama_stream(base: str, name: str, calls: list[Any]) -> str:
    import ollama

    client = ollama.Client(**ollama_options(base))
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    text = ""
    for _ in range(2):
        text = ""
        made: list[Any] = []
        asked = {"model": name, "messages": messages, "tools": [weather], "think": True}
        for part in client.chat(**asked, stream=True):
            text += part.message.content or ""
            made += part.message.tool_calls or ()
        messages.append({"role": "assistant", "content": text, "tool_calls": made})
        for call in made:
            given = dict(call.function.arguments)
            calls.append([call.function.name, given])
            result = {"role": "tool", "tool_name": call.function.name, "content": weather(**given)}
            messages.append(result)
    return text


def ollama_async(base: str, name: str, calls: list[Any]) -> str:
    import ollama

    async def run() -> str:
        client = ollama.AsyncClient(**ollama_options(base))
        messages: list[Any] = [{"role": "user", "content": QUESTION}]
        answer: Any = None
        for _ in range(2):
            answer = await client.chat(model=name, messages=messages, tools=[weather])
            messages.append(answer.message)
            for call in answer.message.tool_calls or ():
                given = dict(call.function.arguments)
                calls.append([call.function.name, given])
                said = {"tool_name": call.function.name, "content": weather(**given)}
                messages.append({"role": "tool", **said})
        return str(answer.message.content)

    return asyncio.run(run())


def ollama_more(base: str, name: str, calls: list[Any]) -> str:
    import ollama

    client = ollama.Client(**ollama_options(base))
    parts = client.generate(model=name, prompt="Hi", system="Be brief.", stream=True)
    text = "".join(part.response for part in parts)
    whole = client.generate(model=name, prompt="Hi", images=[PNG], options={"num_predict": 50})
    assert whole.response == text, (whole, text)
    assert (whole.prompt_eval_count, whole.eval_count) == (19, 10), whole
    seen = client.chat(
        model=name,
        messages=[{"role": "user", "content": "See", "images": [PNG]}],
        format=PARAMETERS,
        options={"temperature": 0, "stop": ["x"]},
        keep_alive="5m",
    )
    assert seen.done_reason == "stop", seen
    assert name in [each.model for each in client.list().models]
    assert "completion" in (client.show(name).capabilities or ())
    assert client.ps().models == []
    try:
        client.chat(model="nope", messages=[{"role": "user", "content": "Hi"}])
        refused = (0, "")
    except ollama.ResponseError as exc:
        refused = (exc.status_code, exc.error)
    assert refused[0] == 404, refused
    assert "nope" in refused[1]
    return text


# Bedrock...


def boto3_client(base: str) -> Any:
    import boto3
    import botocore
    from botocore.config import Config

    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=base,
        region_name="us-east-1",
        config=Config(signature_version=botocore.UNSIGNED, retries={"max_attempts": 1}),
    )

    def show_key(request: Any, **_: Any) -> None:
        request.headers["Authorization"] = f"Bearer {KEY}"

    client.meta.events.register("before-send.bedrock-runtime.*", show_key)
    return client


def bedrock(base: str, name: str, calls: list[Any], *, stream: bool) -> str:
    client = boto3_client(base)
    spec = {"name": "weather", "inputSchema": {"json": PARAMETERS}}
    asked = {"modelId": name, "toolConfig": {"tools": [{"toolSpec": spec}]}}
    messages: list[Any] = [{"role": "user", "content": [{"text": QUESTION}]}]
    content: list[Any] = []
    for _ in range(2):
        if stream:
            answer = client.converse_stream(**asked, messages=messages)
            content = assembled(answer["stream"])
        else:
            content = client.converse(**asked, messages=messages)["output"]["message"]["content"]
        messages.append({"role": "assistant", "content": content})
        results = []
        for block in content:
            if call := block.get("toolUse"):
                calls.append([call["name"], call["input"]])
                said = [{"text": weather(**call["input"])}]
                result = {"toolUseId": call["toolUseId"], "content": said}
                results.append({"toolResult": result})
        messages.append({"role": "user", "content": results})
    return "".join(block.get("text", "") for block in content)


def assembled(events: Any) -> list[Any]:
    blocks: dict[int, Any] = {}
    ended = False
    for event in events:
        [(kind, found)] = event.items()
        number = found.get("contentBlockIndex")
        if kind == "contentBlockStart":
            blocks[number] = {"toolUse": {**found["start"]["toolUse"], "input": ""}}
        elif kind == "contentBlockDelta" and "text" in found["delta"]:
            block = blocks.setdefault(number, {"text": ""})
            block["text"] += found["delta"]["text"]
        elif kind == "contentBlockDelta" and "toolUse" in found["delta"]:
            blocks[number]["toolUse"]["input"] += found["delta"]["toolUse"]["input"]
        ended = ended or kind == "metadata"
    assert ended
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    return [blocks[number] for number in sorted(blocks)]


CLIENTS: dict[str, Any] = {
    "cohere python": cohere_stream,
    "cohere async": cohere_async,
    "ollama python": ollama_stream,
    "ollama async": ollama_async,
    "boto3": lambda *args: bedrock(*args, stream=False),
    "boto3 stream": lambda *args: bedrock(*args, stream=True),
    "cohere, vectors": cohere_vectors,
    "cohere, ranks": cohere_rerank,
    "ollama, vectors": ollama_vectors,
    "cohere, more": cohere_more,
    "ollama, more": ollama_more,
}


def tried(client: str, base: str, name: str) -> dict[str, Any]:
    calls: list[Any] = []
    try:
        text = CLIENTS[client](base, name, calls)
    except Exception:  # noqa: BLE001  # whatever went wrong with it is what is to be told
        return {"error": traceback.format_exc()[-2000:]}
    return {"call": calls[0] if calls else None, "calls": calls, "text": text}


if __name__ == "__main__":
    address, asked = sys.argv[1:]
    print(json.dumps([tried(client, address, name) for client, name in json.loads(asked)]))
