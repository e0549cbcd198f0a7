"""A web search from the caller's tool to the record's cost, whoever speaks what."""

# ruff: noqa: SIM117  # a gateway inside the life of its provider

from __future__ import annotations

import json
from typing import Any

import pytest

from ..golden.test_sources import chat_answer, message_answer, response_answer
from .harness import in_process
from .provider import serving
from .test_translation import post
from .wire import whole

ANSWERS: dict[str, Any] = {
    "chat": chat_answer,
    "messages": message_answer,
    "responses": response_answer,
}
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "web_search_options": {}}),  # noqa: E501
    "messages": ("/v1/messages", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 99, "tools": [{"type": "web_search_20250305", "name": "web_search"}]}),  # noqa: E501
    "responses": ("/v1/responses", {"input": "Hi", "tools": [{"type": "web_search"}]}),
}  # fmt: skip
# What the answers say: 9 tokens of a prompt and 3 of an answer; those of a response are its own.
TOKENS = {"chat": 9_000 + 6_000, "messages": 9_000 + 6_000}


def config(provider: str, port: int, price: str) -> str:
    kind = "anthropic" if provider == "messages" else "openai"
    api = "" if kind == "anthropic" else f'api = "{provider}"\n'
    base = f"http://127.0.0.1:{port}" + ("" if kind == "anthropic" else "/v1")
    return (
        f'[server]\nbind = "127.0.0.1:0"\n[overload]\nlag = 0\n[store]\nurl = ""\n'
        f'[providers.p]\nkind = "{kind}"\nbase_url = "{base}"\napi_key = "k"\n{api}'
        f"capabilities = {{ web_search = true }}\n"
        f'[[models]]\nname = "m"\nroutes = [{{ provider = "p", model = "real", '
        f"input_price = 1, output_price = 2{price} }}]\n"
    )


@pytest.mark.parametrize("provider", list(ANSWERS))
async def test_a_search_costs_what_it_costs_or_nobody_knows(provider: str) -> None:
    body = json.dumps(ANSWERS[provider]()).encode()
    for price, fee in ((", web_search_price = 10", 10_000_000), ("", None), (", web_search_price = 0", 0)):  # noqa: E501  # fmt: skip
        async with serving([(0.0, whole(200, body))]) as server:
            async with in_process(config(provider, server.port, price)) as gateway:
                costs = []
                for path, asked in ASKED.values():
                    reply = await post(gateway, path, {"model": "m"} | asked)
                    assert reply.status == 200
                    assert "x-gateway-dropped" not in reply.headers
                    costs.append((await gateway.record()).cost_nano_usd)
                for each in server.asked:
                    tools = json.dumps(each.json.get("tools", each.json.get("web_search_options")))
                    assert "search" in tools or provider == "chat"
        if provider == "chat" and fee:
            # How often it searched, this API does not say.
            assert costs == [None] * 3
        elif fee is None:
            assert costs == [None] * 3
        else:
            assert len({*costs}) == 1
            [cost] = {*costs}
            assert cost is not None
            assert cost - fee == TOKENS.get(provider, cost - fee)
            assert cost > fee
