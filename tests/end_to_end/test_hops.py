"""Providers that lead back to the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
import trio

from ..ports import lasting_port
from .caller import calling, chat_body
from .harness import GATEWAY, Served, config, in_process, spawned
from .provider import serving
from .socket_peers import Refused, opened
from .wire import completion, whole

SMALL: Final = 12


def at(port: int, *to: int, models: str = "") -> str:
    """Return a gateway at `port` whose provider is at `to`, and has a model of the same name."""
    text = config(*to, models=models).replace('"127.0.0.1:0"', f'"127.0.0.1:{port}"')
    return text.replace('model = "real-model"', 'model = "m"')


@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_that_is_the_gateway_itself(stream: bool) -> None:
    port = lasting_port()
    async with in_process(at(port, port)) as gateway, calling(port) as caller:
        await caller.post(chat_body(stream=stream))
        with trio.fail_after(30):
            assert (await caller.reply()).status in (502, 503)
        await gateway.settled()
        assert 2 <= len(gateway.records) <= SMALL
        assert {each.error_code for each in gateway.records} >= {"loop_detected"}


async def test_other_operations() -> None:
    port = lasting_port()
    async with in_process(at(port, port)) as gateway, calling(port) as caller:
        for path in ("/v1/embeddings", "/v1/completions", "/v1/moderations"):
            await caller.post(b'{"model":"m","input":"x","prompt":"x"}', target=path)
            assert (await caller.reply()).status in (502, 503)
        await gateway.settled()
        assert len(gateway.records) <= 3 * SMALL


async def test_what_is_passed_on_as_it_comes() -> None:
    port = lasting_port()
    text = at(port, port).replace("[server]", '[server]\npassthrough = ["p0"]', 1)
    async with in_process(text) as gateway, calling(port) as caller:
        for path in ("/v1/images/generations", "/v1/rerank", "/v1/files", "/v1/batches"):
            await caller.post(
                b'{"model":"m","prompt":"x","query":"x","documents":["x"]}', target=path
            )
            assert (await caller.reply()).status >= 500, path
        with pytest.raises(Refused) as found:
            async with opened(port, "/v1/realtime?model=m"):
                pass
        assert found.value.status >= 500
        await gateway.settled()
        assert len(gateway.records) <= 5 * SMALL
    leading = text.replace(f"{port}/v1", f"{port}/passthrough/p0")
    async with in_process(leading) as gateway, calling(port) as caller:
        await caller.post(b"{}", target="/passthrough/p0/x")
        assert (await caller.reply()).status >= 500
        await gateway.settled()
        assert 2 <= len(gateway.records) <= SMALL


async def test_a_gateway_behind_another_is_none() -> None:
    async with (
        serving([(0.0, whole(200, completion()))]) as provider,
        in_process(config(provider.port)) as inner,
    ):
        async with calling(inner.port) as caller:
            headers = [("x-gateway-hop", "0123456789abcdef, fedcba9876543210")]
            await caller.post(chat_body(), headers=[*headers, ("x-gateway-hop", "a" * 16)])
            assert (await caller.reply()).status == 200
            chain = provider.asked[0].headers["x-gateway-hop"]
            await caller.post(
                chat_body(), headers=[("x-gateway-hop", ",".join(f"{n:016x}" for n in range(5)))]
            )
            reply = await caller.reply()
            assert (reply.status, reply.headers["x-should-retry"]) == (508, "false")
            assert reply.error["code"] == "loop_detected"
        assert "fedcba9876543210" in chain or len(provider.asked) == 1


def asked(served: Served) -> int:
    return served.lines.count(b'"request_id"')


@pytest.mark.slow
async def test_gateways_that_lead_to_each_other(tmp_path: Path) -> None:
    ports = [lasting_port(), lasting_port()]
    files = [tmp_path / "a.toml", tmp_path / "b.toml"]
    for file, port, to in zip(files, ports, reversed(ports), strict=True):
        file.write_text(at(port, to))
    async with (
        spawned((*GATEWAY, "--workers", "2"), files[0]) as first,
        spawned(GATEWAY, files[1]) as second,
        calling(first.port) as caller,
    ):
        await caller.post(chat_body())
        with trio.fail_after(60):
            assert (await caller.reply()).status in (502, 503)
        await trio.sleep(1)
        assert 2 <= asked(first) + asked(second) <= 40
