"""What callers put into a body to be served by another model, route or place than was checked."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import trio

from gateway.core.dialects import translators
from gateway.proxy.attempts import provider_call

from .caller import Reply, calling
from .harness import InProcess, in_process
from .provider import Provider, serving
from .wire import completion, whole

KEY: Final = "sk-one-12345678"
FREE: Final = "sk-free-12345678"
CONFIG: Final = """
[server]
bind = "127.0.0.1:0"
{server}
[overload]
lag = 0
[store]
url = ""
[providers.p]
kind = "openai"
base_url = "http://127.0.0.1:{port}/v1"
api_key = "sk-provider"
[providers.r]
kind = "openai"
base_url = "http://127.0.0.1:{port}/v1"
api_key = "sk-provider"
api = "responses"
[providers.a]
kind = "anthropic"
base_url = "http://127.0.0.1:{port}"
api_key = "sk-provider"
[[models]]
name = "m"
routes = [{{ provider = "p", model = "real-model" }}]
[[models]]
name = "r"
routes = [{{ provider = "r", model = "real-model" }}]
[[models]]
name = "c"
routes = [{{ provider = "a", model = "real-claude" }}]
[[models]]
name = "other"
routes = [{{ provider = "p", model = "other" }}]
[[tokens]]
name = "one"
key = "{key}"
models = ["m", "r", "c"]
[[tokens]]
name = "free"
key = "{free}"
models = ["*"]
overrides = ["models", "api_base"]
"""
TALK: Final = [{"role": "user", "content": "Hi"}]
# By their paths, each with a whole body.
BODIES: Final[dict[str, dict[str, Any]]] = {
    "/v1/chat/completions": {"model": "m", "messages": TALK},
    "/v1/completions": {"model": "m", "prompt": "Hi"},
    "/v1/embeddings": {"model": "m", "input": "Hi"},
    "/v1/moderations": {"model": "m", "input": "Hi"},
    "/v1/responses": {"model": "r", "input": "Hi"},
    "/v1/responses/input_tokens": {"model": "r", "input": "Hi"},
    "/v1/messages": {"model": "c", "max_tokens": 9, "messages": TALK},
    "/v1/messages/count_tokens": {"model": "c", "messages": TALK},
}


def config(port: int, server: str = "") -> str:
    return CONFIG.format(port=port, key=KEY, free=FREE, server=server)


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with serving([(0.0, whole(200, completion()))]) as found:
        yield found


@pytest.fixture
async def gateway(provider: Provider) -> AsyncIterator[InProcess]:
    async with in_process(config(provider.port)) as found:
        yield found


async def post(
    gateway: InProcess, path: str, body: dict[str, Any] | bytes, key: str = KEY
) -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with calling(gateway.port) as caller:
        await caller.post(data, key=key, target=path)
        return await caller.reply()


OVERRIDES: Final[list[tuple[str, Any]]] = [
    ("models", ["other"]),
    ("fallbacks", ["other"]),
    ("route", "fallback"),
    ("provider", {"order": ["x"]}),
    ("api_base", "http://169.254.169.254/"),
    ("base_url", "http://169.254.169.254/"),
    ("custom_llm_provider", "x"),
    ("Models", ["other"]),
    ("models\0", ["other"]),
    ("apiBase", "http://169.254.169.254/"),
    ("\uff4dodels", ["other"]),
    ("extra_body", {"model": "other"}),
    ("user_config", {"model_list": []}),
    ("aws_bedrock_runtime_endpoint", "http://x/"),
    ("providerOptions", {"gateway": {"models": ["other"]}}),
    ("preset", "mine"),
    ("plugins", [{"id": "fusion", "analysis_models": ["other"]}]),
    ("tools", [{"type": "advisor_20260301", "name": "advisor", "model": "other"}]),
    ("tools", [{"type": "openrouter:fusion", "parameters": {"models": ["other"]}}]),
]


@pytest.mark.parametrize("path", BODIES)
async def test_a_token_for_one_model_gets_no_other(
    gateway: InProcess, provider: Provider, path: str
) -> None:
    for name, value in OVERRIDES:
        reply = await post(gateway, path, BODIES[path] | {name: value})
        assert reply.status == 403, (name, value, reply.body)
        assert "at the provider, which this key may not" in reply.error["message"], (name, value)
        assert provider.asked == [], (name, value)


async def test_what_is_allowed_reaches_the_provider_as_it_is(
    gateway: InProcess, provider: Provider
) -> None:
    body = BODIES["/v1/chat/completions"] | {"models": ["x", "y"]}
    assert (await post(gateway, "/v1/chat/completions", body, FREE)).status == 200
    assert provider.asked[0].json["models"] == ["x", "y"]
    refused = await post(gateway, "/v1/chat/completions", body | {"route": "x"}, FREE)
    assert (refused.status, refused.error["code"], refused.error["param"]) == (
        *(403, "override_not_allowed"),
        "route",
    )
    # A tool's model is one like any other, to be used by whom it is allowed.
    tools = {"tools": [{"type": "image_generation", "model": "m"}]}
    body = BODIES["/v1/responses"] | tools
    assert (await post(gateway, "/v1/responses", body)).status != 403
    assert (await post(gateway, "/v1/responses", body, FREE)).status != 403


async def test_members_that_are_everybody_s_to_use(provider: Provider) -> None:
    text = config(provider.port, server='overrides = ["provider"]')
    async with in_process(text) as gateway:
        body = BODIES["/v1/chat/completions"] | {"provider": {"sort": "price"}}
        assert (await post(gateway, "/v1/chat/completions", body)).status == 200
        body |= {"models": ["other"]}
        assert (await post(gateway, "/v1/chat/completions", body)).status == 403


@pytest.mark.parametrize("query", ["api_base=x", "model=other", "Models=x", "stream=false&route="])
async def test_a_query_chooses_nothing_either(
    gateway: InProcess, provider: Provider, query: str
) -> None:
    async with calling(gateway.port) as caller:
        await caller.begin(0, key=KEY, method="GET", target=f"/v1/responses/resp_1?{query}")
        reply = await caller.reply()
    assert reply.status == 403
    assert provider.asked == []


DISGUISES: Final = (
    '"Model":"other"',
    '"\uff4dodel":"other"',
    '"model\\u0000":"other"',
    '"model\\u0000x":"other"',
    '"model ":"other"',
    '" model":"other"',
    '"model\\n":"other"',
    '"mo\\u200bdel":"other"',
    '"\\ufeffmodel":"other"',
    '"model\\ud800":"other"',
    '"m\\u006fdel":"other"',
)


@pytest.mark.parametrize("path", BODIES)
async def test_members_in_disguise(gateway: InProcess, provider: Provider, path: str) -> None:
    plain = json.dumps(BODIES[path])
    for disguise in DISGUISES:
        reply = await post(gateway, path, f"{plain[:-1]},{disguise}}}".encode())
        assert reply.status == 400, disguise
        assert provider.asked == [], disguise


READ_DISGUISES: Final = (
    ("/v1/chat/completions", '"Stream":true'),
    ("/v1/chat/completions", '"\\u017ftream":true'),
    ("/v1/chat/completions", '"maxTokens":9'),
    ("/v1/chat/completions", '"MAX_TOKENS":9'),
    ("/v1/chat/completions", '"stream-options":{}'),
    ("/v1/chat/completions", '"stream_options":{"include_usage":true,"include_usage":false}'),
    ("/v1/chat/completions", '"stream_options":{"include_usage ":false}'),
    ("/v1/chat/completions", '"\uff4e":9'),
    ("/v1/completions", '"bestOf":9'),
    ("/v1/completions", '"Echo":true'),
    ("/v1/messages", '"metadata":{"user_id":"a","user_id":"b"}'),
    ("/v1/messages", '"metadata":{"user_id":"a","USER_ID":"b"}'),
    ("/v1/messages", '"metadata":{"userId":"b"}'),
    ("/v1/messages", '"Max_Tokens":99'),
    ("/v1/responses", '"conversation":{"id":"a","id":"b"}'),
    ("/v1/responses", '"conversation":{"Id":"b"}'),
    ("/v1/responses", '"previousResponseId":"b"'),
    ("/v1/responses", '"Background":true'),
    ("/v1/embeddings", '"User":"b"'),
)


async def test_members_in_disguise_that_a_dialect_reads(
    gateway: InProcess, provider: Provider
) -> None:
    for path, disguise in READ_DISGUISES:
        plain = json.dumps(BODIES[path])
        reply = await post(gateway, path, f"{plain[:-1]},{disguise}}}".encode())
        assert reply.status == 400, (path, disguise)
        assert provider.asked == [], (path, disguise)


async def test_other_members_reach_the_provider_whatever_they_are_called(
    gateway: InProcess, provider: Provider
) -> None:
    odd = {"Temperature": 1, "top_k": 3, "n\u5024": 1, "x-y": {"a": 1}, "": 1, "\u540d": [1]}
    body = BODIES["/v1/chat/completions"] | odd
    assert (await post(gateway, "/v1/chat/completions", body)).status == 200
    assert odd.items() <= provider.asked[0].json.items()


async def test_many_members_cost_little(gateway: InProcess, provider: Provider) -> None:
    """A body of distinct members, and such `stream_options`, are refused at once."""
    many = ",".join(f'"k{n}":1' for n in range(300_000))
    plain = json.dumps(BODIES["/v1/chat/completions"])[:-1]
    for more in (many, f'"stream_options":{{{many}}}'):
        with trio.fail_after(20):
            reply = await post(gateway, "/v1/chat/completions", f"{plain},{more}}}".encode())
        assert (reply.status, "more than 512 members" in reply.error["message"]) == (400, True)
    assert provider.asked == []


@pytest.mark.parametrize("stream", [False, True])
async def test_many_messages_are_translated_beside_the_loop(
    gateway: InProcess, provider: Provider, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    where = []

    def translate(*arguments: Any) -> Any:
        where.append(threading.current_thread())
        return translators.translate_any(*arguments)

    monkeypatch.setattr(provider_call, "translate_any", translate)
    for number in (10, 3000):
        body = {"model": "c", "stream": stream, "messages": TALK * number}
        await post(gateway, "/v1/chat/completions", body)
    assert [each is threading.current_thread() for each in where] == [True, False]
    asked = len(provider.asked)
    reply = await post(gateway, "/v1/chat/completions", {"model": "c", "messages": TALK * 20_001})
    assert (reply.status, reply.error["code"]) == (400, "too_many_items")
    assert len(provider.asked) == asked
    # What its provider takes as it is nobody looks at one by one.
    reply = await post(gateway, "/v1/chat/completions", {"model": "m", "messages": TALK * 20_001})
    assert reply.status == 200
