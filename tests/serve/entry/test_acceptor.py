"""How connections are taken from the kernel."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from gateway.lifecycle import EntryCounts
from gateway.serve.entry.acceptor import Acceptor
from gateway.serve.entry.arrival import Listening
from gateway.serve.entry.asker import asker
from gateway.serve.entry.dismissal import Dismissal
from gateway.serve.entry.entrance import LEAST_ROOM, Entrance, Entrant
from gateway.serve.policy import ServingPolicy

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


class Connections:
    dismissal = Dismissal(list)

    def __init__(self) -> None:
        self.number = 0
        self.paused = False
        self.room = self

    def has_room(self, host: str, most: int) -> bool:
        return self.number < most

    def accepting(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


class Begun:
    """Stands for a client's connection: says what it was begun with."""

    def __init__(self, stream: trio.SocketStream, found: list[tuple[bytes, float | None]]) -> None:
        self.stream = stream
        self.found = found

    def expect(self, data: bytes, waited: float | None) -> None:
        self.found.append((data, waited))

    async def run(self) -> None:
        await self.stream.receive_some()


def listening() -> socket.socket:
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


def connect(listener: socket.socket, data: bytes = b"") -> socket.socket:
    client = socket.create_connection(listener.getsockname())
    client.sendall(data)
    return client


async def test_what_was_sent_comes_with_the_connection() -> None:
    found: list[tuple[bytes, float | None]] = []
    accept = Acceptor(Entrance(ServingPolicy, EntryCounts()), Connections())
    listener = listening()
    clients = [connect(listener, GET), connect(listener), connect(listener, b"x")]
    clients[2].close()
    async with trio.open_nursery() as nursery:
        trio_listener = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
        serve = lambda stream: Begun(stream, found)  # noqa: E731
        await nursery.start(accept, serve, [trio_listener])
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    assert found[0][0] == GET
    assert found[0][1] is not None
    # Says nothing yet, so it has had no turn yet.
    assert found[1] == (b"", None)
    assert listener.fileno() < 0
    for client in clients:
        client.close()


async def test_what_is_new_is_left_to_others_while_that_is_wanted() -> None:
    found: list[tuple[bytes, float | None]] = []
    connections = Connections()
    accept = Acceptor(Entrance(ServingPolicy, EntryCounts()), connections)
    listener = listening()
    connections.paused = True
    with connect(listener, GET), listener.dup() as other:
        async with trio.open_nursery() as nursery:
            trio_listener = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
            serve = lambda stream: Begun(stream, found)  # noqa: E731
            await nursery.start(accept, serve, [trio_listener])
            await trio.sleep(0.2)
            assert found == []
            # Another process behind the same socket has it.
            other.accept()[0].close()
            with connect(other, GET):
                await trio.sleep(0.1)
                assert found == []
                connections.paused = False
                with trio.fail_after(20):
                    while not found:  # noqa: ASYNC110
                        await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    assert [data for data, _ in found] == [GET]


async def test_serves_unix_sockets(tmp_path: Path) -> None:
    found: list[tuple[bytes, float | None]] = []
    accept = Acceptor(Entrance(ServingPolicy, EntryCounts()), Connections())
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    listener.setblocking(False)
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(tmp_path / "s"))
    client.sendall(GET)
    async with trio.open_nursery() as nursery:
        trio_listener = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
        serve = lambda stream: Begun(stream, found)  # noqa: E731
        await nursery.start(accept, serve, [trio_listener])
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    client.close()
    assert [data for data, _ in found] == [GET]


async def test_those_whose_line_is_full_get_the_answer_and_the_end() -> None:
    """Whatever their sockets are, and with no more of a look at them than that."""
    entrance = Entrance(lambda: ServingPolicy(wait=1e-9, burst_wait=1e-9), EntryCounts())
    accept = Acceptor(entrance, Connections())
    listener = listening()
    for _ in range(LEAST_ROOM):
        entrance.line_up(Entrant(asker(GET, "127.0.0.1"), 0.0), probe=False, now=0.0)
    begun: list[bytes] = []
    clients = [connect(listener, GET) for _ in range(20)]
    with Listening(listener.detach()) as taking:
        while entrance.busy and entrance._counts.turned_away < len(clients):
            accept._accept(taking, lambda sock, data, waited: begun.append(data))
    assert entrance.is_full_for("127.0.0.1")
    ids = set()
    for client in clients:
        with client:
            got = b"".join(iter(partial(client.recv, 65536), b""))
        assert got.startswith(b"HTTP/1.1 503 ")
        assert got.count(b"HTTP/1.1") == 1
        ids.add(got.partition(b"x-request-id: ")[2][:36])
    assert len(ids) == len(clients)
    assert begun == []


async def test_too_many_open_connections_are_told_so_but_probes_get_in() -> None:
    found: list[tuple[bytes, float | None]] = []
    connections = Connections()
    accept = Acceptor(Entrance(ServingPolicy, EntryCounts()), connections)
    connections.number = accept._most
    listener = listening()
    probe = b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n"
    with connect(listener, GET) as refused, connect(listener, probe):
        async with trio.open_nursery() as nursery:
            trio_listener = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
            serve = lambda stream: Begun(stream, found)  # noqa: E731
            await nursery.start(accept, serve, [trio_listener])
            await trio.sleep(0.1)
            nursery.cancel_scope.cancel()
        assert refused.recv(65536).startswith(b"HTTP/1.1 503 ")
    assert [data for data, _ in found] == [probe]


@pytest.mark.parametrize(
    "shortage", [OSError(errno.EMFILE, "x"), OSError(errno.ENOSPC, "x"), MemoryError()], ids=repr
)
async def test_no_descriptors_is_said_once_and_survived(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, shortage: Exception
) -> None:
    found: list[tuple[bytes, float | None]] = []
    accept = Acceptor(Entrance(ServingPolicy, EntryCounts()), Connections())
    whole = accept._accept
    tries = 0

    def short(listener: Listening, begin: object) -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise shortage
        whole(listener, begin)  # type: ignore[arg-type]

    monkeypatch.setattr(accept, "_accept", short)
    listener = listening()
    with connect(listener, GET), caplog.at_level(logging.ERROR):
        async with trio.open_nursery() as nursery:
            trio_listener = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
            serve = lambda stream: Begun(stream, found)  # noqa: E731
            await nursery.start(accept, serve, [trio_listener])
            await trio.sleep(0.6)
            nursery.cancel_scope.cancel()
    assert [data for data, _ in found] == [GET]
    assert caplog.text.count("no connection can be accepted") == 1
