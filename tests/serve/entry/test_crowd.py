"""Connections that one task watches together."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import trio
import trio.testing

from gateway.serve.entry.crowd import READ, STAYS, Crowd


@pytest.fixture
async def crowd() -> AsyncIterator[Crowd]:
    crowd = Crowd()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crowd.run)
        await trio.testing.wait_all_tasks_blocked()
        yield crowd
        nursery.cancel_scope.cancel()


class Member:
    """Takes what begins with "no" and leaves the rest to the task that waits."""

    def __init__(self) -> None:
        self.sock, self.client = socket.socketpair()
        self.sock.setblocking(False)
        self.taken: list[bytes] = []
        self.results: list[bytes | OSError | None] = []

    def deal(self, data: bytes) -> bytes | None:
        if data.startswith(b"no"):
            self.taken.append(data)
            return None
        return data

    async def wait(self, crowd: Crowd) -> None:
        try:
            self.results.append(await crowd.receive(self.sock.fileno(), self.deal))
        except OSError as fault:
            self.results.append(fault)

    def close(self) -> None:
        self.sock.close()
        self.client.close()


@pytest.fixture
def member() -> Iterator[Member]:
    member = Member()
    yield member
    member.close()


async def settle() -> None:
    # Twice: what arrived, and whom it woke.
    for _ in range(2):
        await trio.testing.wait_all_tasks_blocked(0.01)


def begin(crowd: Crowd) -> None:
    crowd.gather(time.monotonic())
    assert crowd.gathers


async def test_what_is_dealt_with_wakes_no_task(crowd: Crowd, member: Member) -> None:
    begin(crowd)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(member.wait, crowd)
        for number in range(3):
            await settle()
            member.client.send(b"no %d" % number)
        await settle()
        assert member.taken == [b"no 0", b"no 1", b"no 2"]
        assert member.results == []
        member.client.send(b"yes")
    assert member.results == [b"yes"]
    assert repr(crowd) == "<Crowd of 0>"


async def test_large_input_arrives_in_pieces(crowd: Crowd, member: Member) -> None:
    begin(crowd)
    member.client.send(bytes(READ + 1))
    await member.wait(crowd)
    await member.wait(crowd)
    assert [len(each) for each in member.results if isinstance(each, bytes)] == [READ, 1]


async def test_the_end_and_a_reset_are_told(crowd: Crowd, member: Member) -> None:
    begin(crowd)
    member.client.close()
    await member.wait(crowd)
    assert member.results == [b""]

    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    with listener, server:
        server.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        with pytest.raises(ConnectionResetError):
            await crowd.receive(server.fileno(), member.deal)


async def test_who_is_closed_here_is_woken(crowd: Crowd, member: Member) -> None:
    begin(crowd)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(member.wait, crowd)
        await settle()
        crowd.forget(member.sock.fileno())
        crowd.forget(member.sock.fileno())
        member.sock.close()
    assert member.results == [None]


async def test_a_cancelled_wait_has_taken_nothing(crowd: Crowd, member: Member) -> None:
    begin(crowd)
    with trio.move_on_after(0.01):
        await member.wait(crowd)
    member.client.send(b"yes")
    await member.wait(crowd)
    assert member.results == [b"yes"]


async def test_all_go_back_when_none_was_turned_away_for_a_while(
    crowd: Crowd, member: Member
) -> None:
    begin(crowd)
    with trio.fail_after(STAYS + 5):
        await member.wait(crowd)
    assert member.results == [None]
    assert not crowd.gathers
    begin(crowd)  # and again
    member.client.send(b"yes")
    await member.wait(crowd)
    assert member.results == [None, b"yes"]


async def test_none_waits_where_none_looks(member: Member) -> None:
    crowd = Crowd()
    crowd.gather(time.monotonic())
    assert not crowd.gathers
    await member.wait(crowd)
    async with trio.open_nursery() as waiting, trio.open_nursery() as nursery:
        nursery.start_soon(crowd.run)
        await settle()
        begin(crowd)
        waiting.start_soon(member.wait, crowd)
        await settle()
        nursery.cancel_scope.cancel()
    assert member.results == [None, None]
    assert not crowd.gathers


async def test_with_no_room_for_it_it_waits_elsewhere(crowd: Crowd, member: Member) -> None:
    begin(crowd)
    member.sock.close()
    # Stands for epoll_ctl(2), ENOSPC: any error of it will do.
    assert await crowd.receive(10**6, member.deal) is None
    assert not crowd.gathers


async def test_many_at_once_are_all_looked_at(crowd: Crowd) -> None:
    begin(crowd)
    members = [Member() for _ in range(300)]
    async with trio.open_nursery() as nursery:
        for each in members:
            nursery.start_soon(each.wait, crowd)
        await settle()
        for each in members:
            each.client.send(b"yes")
    assert all(each.results == [b"yes"] for each in members)
    for each in members:
        each.close()
