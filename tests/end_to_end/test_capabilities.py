"""What a model is configured not to do, over real sockets: such a request goes elsewhere."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from gateway.config.load import parse
from gateway.errors import ConfigError

from .caller import Reply, calling
from .harness import InProcess, in_process
from .harness import config as made
from .provider import serving, speaking

IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
BLOCK = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}


def with_capabilities(text: str, *capabilities: str) -> str:
    """Return a configuration whose providers have these, in their order."""
    for number, each in enumerate(capabilities):
        head = f"[providers.p{number}]\n"
        assert head in text
        text = text.replace(head, f"{head}capabilities = {each}\n")
    return text


async def ask(gateway: InProcess, path: str, *content: Any, **more: Any) -> Reply:
    message = {"role": "user", "content": [*content] or "Hi"}
    body = {"model": "m", "max_tokens": 50, "messages": [message], **more}
    async with calling(gateway.port) as caller:
        await caller.post(json.dumps(body).encode(), target=path)
        return await caller.reply()


@pytest.mark.parametrize(
    ("path", "image"), [("/v1/chat/completions", IMAGE), ("/v1/messages", BLOCK)]
)
async def test_an_image_goes_to_the_model_that_sees(path: str, image: dict[str, Any]) -> None:
    async with serving(speaking) as blind, serving(speaking) as seeing:
        text = with_capabilities(made(blind.port, seeing.port), "{ images = false }")
        async with in_process(text) as gateway:
            reply = await ask(gateway, path, image)
            assert (reply.status, len(blind.asked), len(seeing.asked)) == (200, 0, 1)
            assert reply.headers["x-gateway-skipped"] == "no_images"
            reply = await ask(gateway, path)
            assert (reply.status, len(blind.asked)) == (200, 1)
            assert "x-gateway-skipped" not in reply.headers
            first, second = await gateway.record(1), await gateway.record(2)
            assert [(each.provider, each.reason) for each in first.skipped] == [("p0", "no_images")]
            assert second.skipped == []


async def test_where_no_model_can_the_caller_is_told_in_its_own_shape() -> None:
    async with serving(speaking) as provider:
        limits = "{ images = false, tools = false, context_tokens = 500 }"
        async with in_process(with_capabilities(made(provider.port), limits)) as gateway:
            reply = await ask(gateway, "/v1/chat/completions", IMAGE)
            assert (reply.status, reply.error["code"]) == (400, "unsupported")
            assert reply.error["param"] == "messages.0.content.0"
            assert "does not take images" in reply.error["message"]
            reply = await ask(gateway, "/v1/messages", tools=[{"name": "f", "input_schema": {}}])
            assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")
            assert "does not take tools" in reply.error["message"]
            long = {"type": "text", "text": "x" * 4000}
            reply = await ask(gateway, "/v1/chat/completions", long)
            assert (reply.status, reply.error["code"]) == (400, "context_length_exceeded")
            reply = await ask(gateway, "/v1/messages", long)
            assert reply.error["message"].startswith("prompt is too long")
            assert provider.asked == []


@pytest.mark.parametrize(
    ("capabilities", "says"),
    [
        ("{ image = false }", "did you mean 'images'"),
        ('{ images = "no" }', "[providers.p0] capabilities.images"),
        ("{ context_tokens = 0 }", "[providers.p0] capabilities.context_tokens"),
        ("true", "[providers.p0] capabilities"),
    ],
)
def test_what_is_wrong_in_a_table_is_named(capabilities: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(with_capabilities(made(1), capabilities), "test", os.environ)
    assert says in str(caught.value)
