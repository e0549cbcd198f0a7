"""A name server that says nothing about one provider, and the other providers."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from gateway.upstream.resolver import MOST_THREADS, SLOW_SECONDS

from .caller import ask
from .harness import config, in_process
from .provider import serving, speaking, until

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


class Lookups:
    """Stands for `getaddrinfo`: names that begin with "silent" are answered when it is `over`."""

    def __init__(self) -> None:
        self.asked: Counter[object] = Counter()
        self.over = threading.Event()
        self._real = socket.getaddrinfo

    def __call__(self, host: Any, port: Any, *args: Any, **more: Any) -> Any:
        flags = args[3] if len(args) > 3 else 0
        if flags & socket.AI_NUMERICHOST:  # which Trio asks first, and which never blocks
            return self._real(host, port, *args, **more)
        self.asked[host] += 1
        if isinstance(host, bytes) and host.startswith(b"silent"):
            self.over.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "temporary failure")
        return self._real(host, port, *args, **more)


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lookups]:
    found = Lookups()
    monkeypatch.setattr(socket, "getaddrinfo", found)
    yield found
    found.over.set()


def over_names(port: int, models: str) -> str:
    text = config(port, models=models, retry="max_attempts = 1")
    return text.replace("http://127.0.0.1:", "http://localhost:")


async def test_one_silent_name_starves_no_other(lookups: Lookups) -> None:
    statuses: Counter[tuple[str, int]] = Counter()
    async with (
        serving(speaking) as provider,
        in_process(over_names(provider.port, SILENT)) as gateway,
    ):

        async def call(model: str) -> None:
            reply = await ask(gateway.port, model=model)
            statuses[model, reply.status] += 1

        async with trio.open_nursery() as nursery:
            for _ in range(60):
                nursery.start_soon(call, "silent")
            await until(lambda: bool(lookups.asked[b"silent.example"]), "a look-up")
            for _ in range(100):
                nursery.start_soon(call, "m")
        lookups.over.set()
    assert statuses["m", 200] == 100
    assert statuses["silent", 200] == 0
    assert lookups.asked[b"silent.example"] == 1
    assert lookups.asked[b"localhost"] == 1


@pytest.mark.measured
async def test_many_silent_names_starve_no_other(lookups: Lookups) -> None:
    """More than there are threads for, and each was asked before the one that is well."""
    many = 2 * MOST_THREADS
    silent = "".join(
        f'[providers.s{number}]\nkind = "openai"\n'
        f'base_url = "http://silent{number}.example/v1"\ntimeouts = {{ connect = 0.5 }}\n'
        f'[[models]]\nname = "s{number}"\nroutes = [{{ provider = "s{number}", model = "x" }}]\n'
        for number in range(many)
    )
    took = []
    async with (
        serving(speaking) as provider,
        in_process(over_names(provider.port, silent)) as gateway,
    ):

        async def fail(number: int) -> None:
            assert (await ask(gateway.port, model=f"s{number}")).status == 504

        async with trio.open_nursery() as nursery:
            for number in range(many):
                nursery.start_soon(fail, number)
            # Their threads are taken, and they stay so when no request waits any more.
            await trio.sleep(0.3)
            began = trio.current_time()
            for _ in range(3):
                assert (await ask(gateway.port)).status == 200
                took.append(trio.current_time() - began)
        lookups.over.set()
    assert took[0] < 4 * SLOW_SECONDS
    assert took[2] - took[0] < SLOW_SECONDS
