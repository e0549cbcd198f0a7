"""More than can be served, over real sockets: new connections, kept ones, probes."""

from __future__ import annotations

import re
import socket
import time
from collections import Counter
from typing import Any

import pytest
import trio

from gateway.serve.policy import ServingPolicy

from ..harness import Running, answer, idle_lifespan, post, read_body, worker
from ..processes import eventually

# What waits longer than a tenth of a second is too much.
POLICY = ServingPolicy(wait=0.05, burst_wait=0.1)
COST = 0.004
MANY = 300


async def busy(scope: Any, receive: Any, send: Any) -> None:
    """Take the processor for a while, as work does."""
    if scope["type"] == "lifespan":
        await idle_lifespan(receive, send)
        return
    await read_body(receive)
    if not scope["path"].startswith("/health"):
        time.sleep(COST)  # noqa: ASYNC251  # that is what is meant
    waited = scope["extensions"].get("gateway.waited", {"seconds": 0.0})["seconds"]
    await answer(send, b"%.3f" % waited)


class Client:
    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setblocking(False)

    def send(self, data: bytes) -> None:
        self.sock.send(data)

    async def read(self) -> bytes:
        """Return an answer; less than a whole one if the connection ended."""
        got = b""
        with trio.fail_after(10):
            while True:
                await trio.lowlevel.wait_readable(self.sock)
                data = self.sock.recv(65536)
                got += data
                end = got.find(b"\r\n\r\n") + 4
                length = re.search(rb"\r\ncontent-length: (\d+)", got)
                if not data or (length and len(got) >= end + int(length[1])):
                    return got

    def close(self) -> None:
        self.sock.close()


def ask(key: str) -> bytes:
    return post(b"{}", f"authorization: Bearer {key}".encode())


async def answers(clients: list[Client]) -> list[bytes]:
    return [await client.read() for client in clients]


def statuses(found: list[bytes]) -> Counter[bytes]:
    return Counter(each[9:12] for each in found)


async def test_new_connections_are_served_or_turned_away_whole() -> None:
    async with worker(busy, policy=POLICY) as running:
        clients = [Client(running.port) for _ in range(MANY)]
        for client in clients:
            client.send(ask("flood"))
        found = await answers(clients)
        refused = [each for each in found if each.startswith(b"HTTP/1.1 503 ")]
        assert statuses(found) == {b"200": MANY - len(refused), b"503": len(refused)}
        assert 30 < MANY - len(refused) < MANY
        assert all(re.search(rb"\r\nretry-after: [1-5]\r\n", each) for each in refused)
        assert all(b"\r\nconnection: close\r\n" in each for each in refused)
        for client in clients:
            client.close()
        await running.wait_over()
        assert running.connections.lifecycle.entry.turned_away == len(refused)
        assert running.connections.lifecycle.entry.waiting == 0
        # And quiet again.
        await serves(running)


async def serves(running: Running) -> None:
    client = asking(running, ask("calm"))
    assert (await client.read()).startswith(b"HTTP/1.1 200 ")
    client.close()


def asking(running: Running, data: bytes) -> Client:
    client = Client(running.port)
    client.send(data)
    return client


async def test_kept_connections_stay_when_turned_away() -> None:
    async with worker(busy, policy=POLICY) as running:
        clients = [asking(running, ask("flood")) for _ in range(MANY)]
        kept = [
            client
            for client, found in zip(clients, await answers(clients), strict=True)
            if b"200" in found[:12]
        ]
        total: Counter[bytes] = Counter()
        for _ in range(3):
            for client in kept:
                client.send(ask("flood"))
            found = await answers(kept)
            assert not any(b"\r\nconnection: close\r\n" in each for each in found)
            total += statuses(found)
        assert set(total) <= {b"200", b"503"}
        for client in clients:
            client.close()
        await running.wait_over()


async def test_others_and_probes_do_not_wait_behind_one_that_floods() -> None:
    served: list[str] = []

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        served.append(scope.get("path", ""))
        await busy(scope, receive, send)

    async with worker(noting, policy=POLICY) as running:
        flood = [asking(running, ask("flood")) for _ in range(MANY)]
        await eventually(lambda: "/" in served, 10)
        others = [asking(running, ask(f"key {number}")) for number in range(5)]
        probe = asking(running, b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n")
        before = len(served)
        assert (await probe.read()).startswith(b"HTTP/1.1 200 ")
        # Those that had been let in were before it, and not all that came before it.
        assert served.index("/health/live") - before < MANY / 2
        found = await answers(others)
        assert statuses(found) == {b"200": 5}
        await answers(flood)
        for client in (*flood, *others, probe):
            client.close()
        await running.wait_over()


async def test_what_a_request_has_waited_is_told() -> None:
    async with worker(busy, policy=POLICY) as running:
        clients = [asking(running, ask("a")) for _ in range(60)]
        found = [each for each in await answers(clients) if b"200" in each[:12]]
        waits = [float(each.rpartition(b"\r\n")[2]) for each in found]
        assert 0.01 < max(waits) < 1
        for client in clients:
            client.close()
        await running.wait_over()


@pytest.mark.slow
async def test_large_bodies_still_on_their_way_do_not_lose_the_answer() -> None:
    body = bytes(3_000_000)
    async with worker(busy, policy=POLICY) as running:
        clients = [asking(running, ask("flood")) for _ in range(MANY)]
        large = await trio.open_tcp_stream("127.0.0.1", running.port)
        async with large, trio.open_nursery() as nursery:
            nursery.start_soon(large.send_all, post(body, b"authorization: Bearer flood"))
            got = b""
            with trio.fail_after(10):
                while b"\r\n\r\n" not in got:
                    data = await large.receive_some()
                    assert data, "reset without an answer"
                    got += data
            assert got[9:12] in (b"200", b"503")
            nursery.cancel_scope.cancel()
        await answers(clients)
        for client in clients:
            client.close()
        await running.wait_over(5)


async def test_silent_connections_keep_none_from_being_served() -> None:
    async with worker(busy, policy=POLICY) as running:
        silent = [Client(running.port) for _ in range(200)]
        await serves(running)
        silent[0].send(ask("b"))
        assert (await silent[0].read()).startswith(b"HTTP/1.1 200 ")
        for client in silent:
            client.close()
        await running.wait_over()
