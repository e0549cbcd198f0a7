"""A name server that says nothing about one provider, and the other providers."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from typing import Any

import pytest
import trio

from .caller import ask
from .harness import config, in_process
from .provider import serving, speaking

pytestmark = pytest.mark.slow

SILENT = """
[providers.silent]
kind = "openai"
base_url = "http://silent.example/v1"
timeouts = { connect = 0.5 }
[[models]]
name = "silent"
routes = [{ provider = "silent", model = "x" }]
"""


async def test_one_silent_name_starves_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    real, over = socket.getaddrinfo, threading.Event()
    asked: Counter[object] = Counter()

    def look_up(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        flags = args[3] if len(args) > 3 else 0
        if flags & socket.AI_NUMERICHOST:  # which Trio asks first, and which never blocks
            return real(host, port, *args, **more)
        asked[host] += 1
        if host == b"silent.example":
            over.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "temporary failure")
        return real(host, port, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    statuses: Counter[tuple[str, int]] = Counter()
    try:
        async with serving(speaking) as provider:
            text = config(provider.port, models=SILENT, retry="max_attempts = 1")
            text = text.replace("http://127.0.0.1:", "http://localhost:")
            async with in_process(text) as gateway:

                async def call(model: str) -> None:
                    reply = await ask(gateway.port, model=model)
                    statuses[model, reply.status] += 1

                async with trio.open_nursery() as nursery:
                    for _ in range(60):
                        nursery.start_soon(call, "silent")
                    await trio.sleep(0.1)
                    for _ in range(100):
                        nursery.start_soon(call, "m")
    finally:
        over.set()
    assert statuses["m", 200] == 100
    assert statuses["silent", 200] == 0
    assert asked[b"silent.example"] == 1
    assert asked[b"localhost"] == 1
