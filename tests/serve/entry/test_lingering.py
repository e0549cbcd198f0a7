"""Connections whose clients still send."""

from __future__ import annotations

import socket

import trio
import trio.testing

from gateway.serve.entry import lingering
from gateway.serve.entry.lingering import Lingering


def pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return ours, theirs


async def test_ends_when_the_client_does_and_else_after_a_second(
    autojump_clock: trio.testing.MockClock,
) -> None:
    held = Lingering()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(held.run)
        (leaving, client), (staying, silent) = pair(), pair()
        now = trio.current_time()
        held.add(leaving, now)
        held.add(staying, now)
        assert client.recv(1) == b""  # told at once that nothing more comes
        client.send(b"the rest of a body")
        await trio.sleep(0.2)
        client.close()
        await trio.sleep(0.2)
        assert leaving.fileno() < 0 <= staying.fileno()
        await trio.sleep(lingering.SECONDS)
        assert staying.fileno() < 0
        silent.close()
        nursery.cancel_scope.cancel()


async def test_is_bounded_and_closed_at_the_end() -> None:
    held = Lingering()
    ours, theirs = pair()
    with theirs:
        many = [ours.dup() for _ in range(lingering._MOST + 1)]
        for each in many:
            held.add(each, 0.0)
        assert many[0].fileno() < 0 <= many[1].fileno()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(held.run)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert all(each.fileno() < 0 for each in many)
    ours.close()
