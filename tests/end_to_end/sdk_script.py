"""Make calls with the official OpenAI SDK, whichever version is installed, and say what it saw.

    python sdk_script.py < ORDERS

An ORDER is a line of JSON: {"base_url", "api_key", "client": "sync" or "async", "calls":
[CALL...]}; each is carried out before the next is read, since importing the SDK takes longer than
most orders. A CALL
is {"do": "chat", "with": {arguments of create}, "raw": bool}, {"do": "models"} or
{"do": "model", "id"}; instead of "chat" it may name another of RESOURCES, "input_tokens" or, with
an "id", one of KEPT. Each may have "max_retries" and "api_key". The answer to an order is a line of
JSON on stdout: {"version", "seen": [what each call returned or raised...]}. Run by the tests' own
interpreter and by that of the SDK's older line.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from typing import Any

import openai

# Trusts nobody: to read all that httpx would trust takes longer than an order.
NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
RESOURCES = {
    "chat": lambda client: client.chat.completions,
    "completions": lambda client: client.completions,
    "embeddings": lambda client: client.embeddings,
    "moderations": lambda client: client.moderations,
    "responses": lambda client: client.responses,
}


# What is done with a response that is kept, by its id.
KEPT = {
    "retrieve": lambda client: client.responses.retrieve,
    "delete": lambda client: client.responses.delete,
    "cancel": lambda client: client.responses.cancel,
    "input_items": lambda client: client.responses.input_items.list,
}


def resource(client: Any, call: dict[str, Any]) -> Any:
    return RESOURCES[call["do"]](client)


def dumped(value: Any) -> Any:
    """Return all that the SDK knows of an object, unknown members included."""
    return value.model_dump(mode="json", exclude_unset=True)


def raised(error: openai.OpenAIError) -> dict[str, Any]:
    """Return what an application sees of an error."""
    response = getattr(error, "response", None)
    return {
        "class": type(error).__name__,
        "message": getattr(error, "message", str(error)),
        "status": getattr(error, "status_code", None),
        "body": getattr(error, "body", None),
        "code": getattr(error, "code", None),
        "type": getattr(error, "type", None),
        "param": getattr(error, "param", None),
        "request_id": getattr(error, "request_id", None),
        "retry_after": response.headers.get("retry-after") if response is not None else None,
    }


def made(client: Any, call: dict[str, Any]) -> Any:
    """Return the client with the options of `call`."""
    options = {name: call[name] for name in ("max_retries", "api_key") if name in call}
    return client.with_options(**options) if options else client


def sync_call(client: Any, call: dict[str, Any]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    chunks: list[Any] = []
    try:
        client = made(client, call)
        if call["do"] == "models":
            seen["models"] = [dumped(model) for model in client.models.list()]
        elif call["do"] == "model":
            seen["model"] = dumped(client.models.retrieve(call["id"]))
        elif call["do"] in KEPT:
            found = KEPT[call["do"]](client)(call["id"])
            seen["answer"] = None if found is None else dumped(found)
        elif call["do"] == "input_tokens":
            seen["answer"] = dumped(client.responses.input_tokens.count(**call["with"]))
        elif call.get("raw"):
            raw = resource(client, call).with_raw_response.create(**call["with"])
            seen["headers"] = dict(raw.headers)
            seen["request_id"] = raw.request_id
            answer = raw.parse()
            if call["with"].get("stream"):
                chunks.extend(dumped(chunk) for chunk in answer)
            else:
                seen["answer"] = dumped(answer)
        elif call["with"].get("stream"):
            with resource(client, call).create(**call["with"]) as stream:
                for chunk in stream:
                    chunks.append(dumped(chunk))  # noqa: PERF401  # kept when the next one raises
        else:
            seen["answer"] = dumped(resource(client, call).create(**call["with"]))
    except openai.OpenAIError as error:
        seen["error"] = raised(error)
    if call.get("with", {}).get("stream"):
        seen["chunks"] = chunks
    return seen


async def async_call(client: Any, call: dict[str, Any]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    chunks: list[Any] = []
    try:
        client = made(client, call)
        if call["do"] == "models":
            seen["models"] = [dumped(model) async for model in client.models.list()]
        elif call["do"] == "model":
            seen["model"] = dumped(await client.models.retrieve(call["id"]))
        elif call["do"] in KEPT:
            found = await KEPT[call["do"]](client)(call["id"])
            seen["answer"] = None if found is None else dumped(found)
        elif call["do"] == "input_tokens":
            seen["answer"] = dumped(await client.responses.input_tokens.count(**call["with"]))
        elif call.get("raw"):
            raw = await resource(client, call).with_raw_response.create(**call["with"])
            seen["headers"] = dict(raw.headers)
            seen["request_id"] = raw.request_id
            answer = raw.parse()
            if call["with"].get("stream"):
                async for chunk in answer:
                    chunks.append(dumped(chunk))  # noqa: PERF401  # kept when the next one raises
            else:
                seen["answer"] = dumped(answer)
        elif call["with"].get("stream"):
            async with await resource(client, call).create(**call["with"]) as stream:
                async for chunk in stream:
                    chunks.append(dumped(chunk))  # noqa: PERF401
        else:
            seen["answer"] = dumped(await resource(client, call).create(**call["with"]))
    except openai.OpenAIError as error:
        seen["error"] = raised(error)
    if call.get("with", {}).get("stream"):
        seen["chunks"] = chunks
    return seen


async def async_calls(options: dict[str, Any], calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    http = openai.DefaultAsyncHttpxClient(verify=NOBODY)
    async with openai.AsyncOpenAI(**options, http_client=http) as client:
        return [await async_call(client, call) for call in calls]


def carried_out(order: dict[str, Any]) -> list[dict[str, Any]]:
    options = {"base_url": order["base_url"], "api_key": order["api_key"], "timeout": 20}
    if order["client"] == "async":
        return asyncio.run(async_calls(options, order["calls"]))
    http = openai.DefaultHttpxClient(verify=NOBODY)
    with openai.OpenAI(**options, http_client=http) as client:
        return [sync_call(client, call) for call in order["calls"]]


def main() -> None:
    for line in sys.stdin:
        answer = {"version": openai.__version__, "seen": carried_out(json.loads(line))}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
