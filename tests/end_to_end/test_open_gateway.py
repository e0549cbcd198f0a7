"""Gateways without tokens: who may call them, and where they may listen."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .caller import Headers, Reply, calling, chat_body
from .harness import GATEWAY, InProcess, config, in_process, spawned, starting
from .provider import serving
from .wire import completion, whole

EVIL = ("origin", "https://evil.example")
ANSWER = [(0.0, whole(200, completion()))]
TOKEN = '[[tokens]]\nname = "t"\nkey = "sk-long-enough"\n'


async def post(
    gateway: InProcess, headers: Headers, path: str = "/v1/chat/completions", key: str | None = None
) -> Reply:
    async with calling(gateway.port) as caller:
        await caller.post(chat_body(), target=path, headers=headers, key=key)
        return await caller.reply()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([EVIL, ("content-type", "text/plain")], 403),
        ([EVIL, ("content-type", "application/json")], 403),
        ([EVIL], 403),
        ([("origin", "null"), ("content-type", "text/plain;charset=UTF-8")], 403),
        ([("sec-fetch-site", "cross-site")], 403),
        ([("content-type", "text/plain")], 415),
        ([("content-type", "application/x-www-form-urlencoded")], 415),
        ([("content-type", "application/json")], 200),
        ([], 200),
    ],
)
async def test_no_page_makes_a_provider_be_called(headers: Headers, status: int) -> None:
    async with serving(ANSWER) as provider, in_process(config(provider.port)) as gateway:
        for path in ("/v1/chat/completions", "/chat/completions/", "/v1/v1/chat/completions"):
            assert (await post(gateway, headers, path)).status == status
        assert len(provider.asked) == (3 if status == 200 else 0)


async def test_with_tokens_it_is_the_key_that_counts() -> None:
    async with serving(ANSWER) as provider, in_process(config(provider.port, tokens=TOKEN)) as it:
        headers = [EVIL, ("content-type", "text/plain")]
        assert (await post(it, headers)).status == 401
        assert (await post(it, headers, key="sk-long-enough")).status == 200


async def test_names_that_are_not_this_machine_s() -> None:
    async with serving(ANSWER) as provider, in_process(config(provider.port)) as gateway:
        for path, status in (("/v1/models", 403), ("/metrics", 403), ("/health/live", 200)):
            async with calling(gateway.port) as caller:
                head = f"GET {path} HTTP/1.1\r\nhost: evil.example\r\n\r\n"
                await caller.stream.send_all(head.encode())
                answer = bytes(await caller.stream.receive_some())
            assert answer.startswith(b"HTTP/1.1 %d " % status)


def everywhere(text: str) -> str:
    return text.replace('"127.0.0.1:0"', '"0.0.0.0:0"')


@pytest.mark.slow
async def test_it_does_not_start_where_others_reach_it(write: Callable[[str], Path]) -> None:
    async with starting(GATEWAY, write(everywhere(config(1)))) as served:
        assert await served.exit_status() == 1
    said = served.said.decode()
    assert "[server] bind: 0.0.0.0:0 is not loopback and there are no tokens" in said
    assert "open = true" in said


@pytest.mark.slow
@pytest.mark.parametrize("meant", ["server", "tokens"])
async def test_it_does_if_that_is_meant(write: Callable[[str], Path], meant: str) -> None:
    more = {"server": "open = true"} if meant == "server" else {"tokens": TOKEN}
    async with spawned(GATEWAY, write(everywhere(config(1, **more)))) as served:
        with socket.create_connection(("127.0.0.1", served.port)) as sock:
            sock.sendall(b"GET /health/ready HTTP/1.1\r\nhost: gateway.example\r\n\r\n")
            began = time.monotonic()
            assert b" 200 " in sock.recv(1024)
            assert time.monotonic() - began < 20
