"""How a new connection ends that is turned away."""

from __future__ import annotations

import socket

import pytest
import trio

from gateway.serve.entry.dismissal import Dismissal
from gateway.serve.entry.farewell import Farewell

WHOLE = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}"


def tcp() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        return listener.accept()[0], theirs


@pytest.mark.parametrize("pair", [tcp, socket.socketpair], ids=["tcp", "unix"])
@pytest.mark.parametrize("data", [WHOLE, WHOLE[:-1], WHOLE[:20]], ids=["whole", "body", "head"])
async def test_the_client_gets_the_whole_answer_and_then_the_end(pair: object, data: bytes) -> None:
    ours, theirs = pair()  # type: ignore[operator]
    farewell = Farewell(Dismissal(list))
    theirs.sendall(data)
    assert ours.recv(65536) == data
    farewell.refuse(ours, data)
    # Whole, nothing can follow, so nothing is waited for.
    assert (ours.fileno() < 0) == (data == WHOLE)
    with theirs, ours:
        theirs.settimeout(30)
        got = b"".join(iter(lambda: theirs.recv(65536), b""))
        head, _, body = got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"content-length: %d\r\n" % len(body) in head
        assert body


async def test_who_still_sends_is_listened_to_until_it_has_read_why() -> None:
    ours, theirs = tcp()
    farewell = Farewell(Dismissal(list))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(farewell.lingering.run)
        theirs.sendall(WHOLE[:-2])
        assert ours.recv(65536)
        farewell.refuse(ours, WHOLE[:-2])
        theirs.sendall(b"{}")
        with theirs:
            theirs.settimeout(30)
            assert theirs.recv(65536).startswith(b"HTTP/1.1 503 ")
        with trio.fail_after(30):
            while ours.fileno() >= 0:  # noqa: ASYNC110
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


async def test_a_client_that_is_gone_is_no_fault() -> None:
    ours, theirs = tcp()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    theirs.close()
    Farewell(Dismissal(list)).refuse(ours, WHOLE)
    assert ours.fileno() < 0
