"""Counts of tokens by the provider's own counter: callers of each API on providers of each."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import pytest

from .caller import calling
from .harness import InProcess, in_process
from .provider import Asked, serving
from .test_bedrock import KEY, signed_rightly
from .test_token_counts import ASKED, MESSAGES
from .wire import Script, whole

CLAUDE: Final = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
CONVERSE: Final[dict[str, Any]] = {
    "system": [{"text": "be brief"}],
    "messages": [{"role": "user", "content": [{"text": "hello world"}]}],
}
INVOKED: Final = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 1, **MESSAGES}
PACKED: Final = base64.b64encode(json.dumps(INVOKED).encode()).decode()
# By the model's name in place of m.
CALLERS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    **ASKED,
    "/model/m/count-tokens": ({"input": {"converse": CONVERSE}}, "inputTokens"),
    "/model/m/count-tokens?": ({"input": {"invokeModel": {"body": PACKED}}}, "inputTokens"),
}
PROVIDERS: Final[dict[str, tuple[str, str, dict[str, Any]]]] = {
    # What is asked there, and its answer.
    "claude": ("claude-sonnet-4-5", "/v1/messages/count_tokens", {"input_tokens": 8}),
    "google": (
        "gemini-2.5-pro",
        "/v1beta/models/gemini-2.5-pro:countTokens",
        {"totalTokens": 8, "promptTokensDetails": []},
    ),
    "oai": (
        "gpt-5",
        "/v1/responses/input_tokens",
        {"object": "response.input_tokens", "input_tokens": 8},
    ),
    "aws": (
        CLAUDE,
        "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/count-tokens",
        {"inputTokens": 8},
    ),
    "vertex-claude": (
        "claude-sonnet-4-5@20250929",
        "/v1/projects/p/locations/us-east5/publishers/anthropic/models/count-tokens:rawPredict",
        {"input_tokens": 8},
    ),
    "vertex-gemini": (
        "gemini-2.5-pro",
        "/v1/projects/p/locations/us-east5/publishers/google/models/gemini-2.5-pro:countTokens",
        {"totalTokens": 8},
    ),
}


def config(port: int) -> str:
    url = f'base_url = "http://127.0.0.1:{port}'
    vertex = (
        f'kind = "vertex"\n{url}"\nproject = "p"\nlocation = "us-east5"\napi_key = "token-1234"\n'
    )
    return (
        '[server]\nbind = "127.0.0.1:0"\n[store]\nurl = ""\n[overload]\nlag = 0\n'
        f'[providers.claude]\nkind = "anthropic"\n{url}"\napi_key = "sk-1"\n'
        f'[providers.google]\nkind = "gemini"\n{url}"\napi_key = "sk-1"\n'
        f'[providers.oai]\nkind = "openai"\n{url}/v1"\napi_key = "sk-1"\napi = "both"\n'
        f'[providers.aws]\nkind = "bedrock"\nregion = "eu-west-1"\n{url}"\n{KEY}'
        f"[providers.vertex-claude]\n{vertex}[providers.vertex-gemini]\n{vertex}"
        + "".join(
            f'[[models]]\nname = "{name}"\n'
            f'routes = [{{ provider = "{name}", model = "{model}" }}]\n'
            for name, (model, _, _) in PROVIDERS.items()
        )
    )


def check(name: str, asked: Asked, port: int) -> None:
    """Assert that the provider is asked what it knows, about the same prompt."""
    body = asked.json
    text = asked.body.decode()
    assert "hello world" in text
    assert "be brief" in text
    for member in ("max_tokens", "maxTokens", "max_output_tokens", "stream"):
        assert f'"{member}"' not in text, text
    if name == "claude":
        assert body["model"] == "claude-sonnet-4-5"
        assert asked.headers["anthropic-version"] == "2023-06-01"
    elif name == "google":
        assert "contents" in body or body["generateContentRequest"]["contents"]
    elif name == "oai":
        assert body["model"] == "gpt-5"
        assert body["input"]
    elif name == "aws":
        assert body["input"]["converse"]["messages"][-1]["content"][0] == {"text": "hello world"}
        assert signed_rightly(asked, port)
    elif name == "vertex-claude":
        assert body["model"] == "claude-sonnet-4-5@20250929"
        assert body["anthropic_version"] == "vertex-2023-10-16"
    else:
        assert body.keys() <= {"contents", "systemInstruction", "tools", "generationConfig"}


async def count(
    gateway: InProcess, path: str, model: str, body: dict[str, Any]
) -> tuple[int, Any, str | None]:
    sent = body | ({"model": model} if "model" in body else {})
    async with calling(gateway.port) as caller:
        await caller.post(json.dumps(sent).encode(), target=path.rstrip("?"))
        reply = await caller.reply()
    return reply.status, reply.json, reply.headers.get("x-gateway-estimate")


def answer(asked: Asked) -> Script:
    for _, target, found in PROVIDERS.values():
        if asked.target == target:
            return [(0.0, whole(200, found))]
    return [(0.0, whole(404, {"error": {"message": "no"}}))]


@pytest.mark.parametrize("name", [*PROVIDERS])
async def test_each_caller_is_told_what_the_provider_counts(name: str) -> None:
    async with serving(answer) as provider, in_process(config(provider.port)) as gateway:
        for number, (path, (body, member)) in enumerate(CALLERS.items(), 1):
            path = path.replace("/models/m:", f"/models/{name}:")  # noqa: PLW2901
            path = path.replace("/model/m/", f"/model/{name}/")  # noqa: PLW2901
            status, found, estimate = await count(gateway, path, name, body)
            assert status == 200, found
            assert (found, estimate) == ({**found, member: 8}, None), path
            asked = await provider.wait_asked(number)
            assert asked.target == PROVIDERS[name][1]
            check(name, asked, provider.port)
            record = await gateway.record(number)
            assert (record.operation, record.counted_by) == ("count_tokens", "provider")
            assert record.cost_nano_usd == 0
            # They are no tokens that anybody used.
            assert record.input_tokens is None


async def test_a_counter_that_fails_leaves_an_estimate() -> None:
    def no(asked: Asked) -> Script:
        if asked.target.endswith(":rawPredict"):
            return [(0.0, whole(200, b'{"input_tokens": "many"}'))]
        return [(0.0, whole(400, {"message": "The provided model doesn't support counting"}))]

    async with serving(no) as provider, in_process(config(provider.port)) as gateway:
        for number, name in enumerate(("aws", "vertex-claude", "oai"), 1):
            body = {"model": name} | MESSAGES
            status, found, estimate = await count(gateway, "/v1/messages/count_tokens", name, body)
            assert (status, estimate) == (200, "true")
            assert found["input_tokens"] > 0
            assert (await gateway.record(number)).counted_by == "estimated"
        assert len(provider.asked) == 3


async def test_what_cannot_be_counted() -> None:
    """By Amazon's errors, which say what is right."""
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "input"),
        ({"input": {}}, "converse"),
        ({"input": {"invokeModel": {"body": "%"}}}, "base64"),
        ({"input": {"invokeModel": {"body": base64.b64encode(b"{}").decode()}}}, "Messages"),
        ({"model": "x", "input": {"converse": CONVERSE}}, "the model stands in the path"),
    ]
    async with serving(answer) as provider, in_process(config(provider.port)) as gateway:
        for body, said in cases:
            async with calling(gateway.port) as caller:
                await caller.post(json.dumps(body).encode(), target="/model/aws/count-tokens")
                reply = await caller.reply()
            assert reply.status == 400, body
            assert reply.headers["x-amzn-errortype"] == "ValidationException"
            assert said in reply.json["message"], reply.body
        assert not provider.asked
