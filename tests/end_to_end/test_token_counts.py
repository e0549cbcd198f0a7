"""Counts of tokens: a provider's, else a tokenizer's, else by the length. The record says whose."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import trio

from gateway.providers.facts.encodings import tokenizer_installed
from gateway.tokenizer.counter import ProcessCounter

from .caller import calling
from .harness import InProcess, in_process
from .provider import Asked, serving
from .wire import Script, whole

TEXT = "hello world"
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}}
MESSAGES: dict[str, Any] = {
    "system": "be brief",
    "messages": [{"role": "user", "content": [{"type": "text", "text": TEXT}]}],
    "tools": [{"name": "look", "description": "looks", "input_schema": TOOL}],
}
RESPONSES: dict[str, Any] = {
    "instructions": "be brief",
    "input": [{"role": "user", "content": TEXT}],
    "tools": [{"type": "function", "name": "look", "description": "looks", "parameters": TOOL}],
}
CONTENTS: dict[str, Any] = {
    "systemInstruction": {"parts": [{"text": "be brief"}]},
    "contents": [{"role": "user", "parts": [{"text": TEXT}]}],
    "tools": [
        {
            "functionDeclarations": [
                {"name": "look", "description": "looks", "parametersJsonSchema": TOOL}
            ]
        }
    ],
}
# By path: the body, and the member of the answer.
ASKED: dict[str, tuple[dict[str, Any], str]] = {
    "/v1/messages/count_tokens": ({"model": "m"} | MESSAGES, "input_tokens"),
    "/v1/responses/input_tokens": ({"model": "m"} | RESPONSES, "input_tokens"),
    "/v1beta/models/m:countTokens": (CONTENTS, "totalTokens"),
    "/v1/models/m:countTokens": ({"generateContentRequest": CONTENTS}, "totalTokens"),
}
CONFIG = """
[server]
bind = "127.0.0.1:0"
[overload]
lag = 0
[store]
url = ""
[providers.p]
kind = "{kind}"
base_url = "http://127.0.0.1:{port}{path}"
api_key = "sk-provider"
[[models]]
name = "m"
routes = [{{ provider = "p", model = "{model}" }}]
"""


class Letters:
    """Counts letters."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str]]] = []

    async def count(self, encoding: str, texts: Sequence[str]) -> int | None:
        self.asked.append((encoding, list(texts)))
        await trio.lowlevel.checkpoint()
        return None if "uncountable" in texts else sum(map(len, texts))


def config(port: int = 1, kind: str = "openai", path: str = "/v1", model: str = "gpt-4o") -> str:
    return CONFIG.format(port=port, kind=kind, path=path, model=model)


async def counted(gateway: InProcess, path: str, **more: Any) -> tuple[int, str | None]:
    """Return the count and the header that says what it is."""
    body, member = ASKED[path]
    async with calling(gateway.port) as caller:
        sent = json.dumps(body | more).encode()
        await caller.post(sent, target=path)
        reply = await caller.reply()
    assert reply.status == 200, reply.body
    return reply.json[member], reply.headers.get("x-gateway-estimate")


async def test_a_tokenizer_counts_what_each_api_asks_about() -> None:
    letters = Letters()
    async with in_process(config(), tokenizer=letters) as gateway:
        for path in ASKED:
            await counted(gateway, path)
        records = [await gateway.record(number + 1) for number in range(len(ASKED))]
    (first, *others) = letters.asked
    assert first[0] == "o200k_base"
    encoding, texts = first
    assert texts == ["be brief", TEXT, "look", "looks", json.dumps(TOOL)]
    assert [(encoding, [*map(_squeezed, texts)])] * 3 == [
        (name, [*map(_squeezed, each)]) for name, each in others
    ]
    assert {each.counted_by for each in records} == {"tokenizer"}
    assert {(each.operation, each.cost_nano_usd) for each in records} == {("count_tokens", 0)}
    # They are no tokens that anybody used.
    assert {each.input_tokens for each in records} == {None}


def _squeezed(text: str) -> str:
    return text.replace(" ", "")


async def test_a_count_is_raised_for_models_with_another_tokenizer() -> None:
    path = "/v1/responses/input_tokens"
    found = {}
    for model in ("gpt-4o", "gpt-4", "llama-3.3-70b"):
        letters = Letters()
        async with in_process(config(model=model), tokenizer=letters) as gateway:
            found[model] = (await counted(gateway, path, input="x" * 89, tools=[]), letters.asked)
    # 8 + 89 letters, two messages of 4, 3 before the answer.
    assert found["gpt-4o"] == ((108, "true"), [("o200k_base", ["be brief", "x" * 89])])
    assert found["gpt-4"] == ((108, "true"), [("cl100k_base", ["be brief", "x" * 89])])
    assert found["llama-3.3-70b"][0] == (130, "true")


async def test_files_are_guessed_and_not_counted() -> None:
    letters = Letters()
    image = {"type": "base64", "media_type": "image/png", "data": "A" * 4000}
    content = [{"type": "image", "source": image}, {"type": "text", "text": "what?"}]
    messages = [{"role": "user", "content": content}]
    async with in_process(config(), tokenizer=letters) as gateway:
        tokens, _ = await counted(
            gateway, "/v1/messages/count_tokens", messages=messages, system="", tools=[]
        )
    assert letters.asked == [("o200k_base", ["what?"])]
    assert 1000 < tokens < 1030


async def test_where_it_cannot_count_the_length_says_it() -> None:
    async with in_process(config(), tokenizer=Letters()) as gateway:
        path = "/v1/messages/count_tokens"
        first = await counted(gateway, path, system="uncountable")
        # What cannot be read as a request has a length all the same.
        second = await counted(gateway, path, messages=[{"role": "user", "content": 5}])
        records = [await gateway.record(number) for number in (1, 2)]
    assert first[1] == second[1] == "true"
    assert [each.counted_by for each in records] == ["estimated"] * 2
    async with in_process(config()) as gateway:
        await counted(gateway, path)
        assert (await gateway.record()).counted_by == "estimated"


@pytest.mark.parametrize(
    ("kind", "asked", "answer"),
    [
        ("anthropic", "/v1/messages/count_tokens", {"input_tokens": 8}),
        ("gemini", "/v1beta/models/m:countTokens", {"totalTokens": 8}),
    ],
)
async def test_a_provider_that_counts_is_asked_first(
    kind: str, asked: str, answer: dict[str, int]
) -> None:
    def count(asked: Asked) -> Script:
        return [(0.0, whole(200, answer))]

    letters = Letters()
    async with serving(count) as provider:
        text = config(provider.port, kind, "", "claude-3")
        async with in_process(text, tokenizer=letters) as gateway:
            assert await counted(gateway, asked) == (8, None)
            record = await gateway.record()
    assert (record.counted_by, letters.asked) == ("provider", [])


@pytest.mark.parametrize(
    ("kind", "path", "asked"),
    [
        ("openai", "/v1", "/v1/responses/input_tokens"),
        ("gemini", "", "/v1beta/models/m:countTokens"),
        ("anthropic", "", "/v1/messages/count_tokens"),
    ],
)
@pytest.mark.parametrize("status", [404, 405, 501, 500])
async def test_where_the_providers_counter_is_missing_it_is_counted_here(
    kind: str, path: str, asked: str, status: int
) -> None:
    refusal: Script = [(0.0, whole(status, {"error": {"message": "no such path"}}))]
    letters = Letters()
    async with serving(refusal) as provider:
        text = config(provider.port, kind, path, "gpt-4o") + "[retry]\nmax_attempts = 1\n"
        if kind == "openai":
            text = text.replace('api_key = "sk-provider"', 'api_key = "sk-provider"\napi = "both"')
        async with in_process(text, tokenizer=letters) as gateway:
            tokens, estimated = await counted(gateway, asked)
            record = await gateway.record()
    assert (tokens > 100, estimated) == (True, "true")
    assert (record.counted_by, record.status, record.cost_nano_usd) == ("tokenizer", 200, 0)
    assert (record.end_reason.value, record.error, record.error_code) == ("complete", None, None)


async def test_a_prompt_that_a_provider_refuses_to_count_is_the_callers() -> None:
    refusal: Script = [(0.0, whole(400, {"error": {"message": "contents are wrong"}}))]
    async with serving(refusal) as provider:
        text = config(provider.port, "gemini", "")
        async with (
            in_process(text, tokenizer=Letters()) as gateway,
            calling(gateway.port) as caller,
        ):
            await caller.post(json.dumps(CONTENTS).encode(), target="/v1beta/models/m:countTokens")
            reply = await caller.reply()
    assert (reply.status, b"contents are wrong" in reply.body) == (400, True)


@pytest.mark.slow
@pytest.mark.skipif(not tokenizer_installed(), reason="the extra tokens is not installed")
async def test_the_real_tokenizer_beside_the_gateway() -> None:
    async with trio.open_nursery() as nursery:
        counter = ProcessCounter(nursery)
        # A busy machine may take longer to load the library than a caller waits.
        with trio.fail_after(120):
            while await counter.count("o200k_base", ["a"]) is None:  # noqa: ASYNC110
                await trio.sleep(0.5)
        async with in_process(config(), tokenizer=counter) as gateway:
            found = await counted(
                gateway, "/v1/responses/input_tokens", input=TEXT, instructions=None, tools=[]
            )
            assert (await gateway.record()).counted_by == "tokenizer"
        nursery.cancel_scope.cancel()
    # Two words, the marks of one message and of the answer, as tiktoken has it for gpt-4o.
    assert found == (2 + 4 + 3, "true")
