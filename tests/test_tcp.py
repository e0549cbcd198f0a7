from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from gateway.tcp import receive, send_now


@pytest.fixture
async def pair() -> AsyncIterator[tuple[trio.socket.SocketType, socket.socket]]:
    """Return our end, and the peer's, which blocks."""
    listener = socket.create_server(("127.0.0.1", 0))
    peer = socket.create_connection(listener.getsockname())
    ours, _ = listener.accept()
    listener.close()
    ours.setblocking(False)
    wrapped = trio.socket.from_stdlib_socket(ours)
    yield wrapped, peer
    wrapped.close()
    peer.close()


Pair = tuple[trio.socket.SocketType, socket.socket]


async def test_receive_waits_for_input_and_respects_the_limit(pair: Pair) -> None:
    ours, peer = pair
    received: list[bytes] = []

    async def read() -> None:
        received.append(await receive(ours, 4))
        received.append(await receive(ours, 4))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        assert received == []
        peer.sendall(b"abcdef")
    assert received == [b"abcd", b"ef"]


async def test_receive_returns_nothing_at_the_end(pair: Pair) -> None:
    ours, peer = pair
    peer.close()
    assert await receive(ours, 10) == b""


async def test_receive_raises_on_a_reset(pair: Pair) -> None:
    ours, peer = pair
    # Zero linger turns the close into a reset.
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    peer.close()
    with pytest.raises(ConnectionResetError):
        await receive(ours, 10)


async def test_a_cancelled_receive_has_taken_nothing(pair: Pair) -> None:
    ours, peer = pair
    with trio.move_on_after(0.01) as scope:
        await receive(ours, 10)
    assert scope.cancelled_caught
    peer.sendall(b"late")
    assert await receive(ours, 10) == b"late"


async def test_closing_ends_a_receive_and_refuses_the_next(pair: Pair) -> None:
    ours, _ = pair
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await receive(ours, 10)

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        ours.close()
    with pytest.raises(trio.ClosedResourceError):
        await receive(ours, 10)


async def test_send_now_takes_what_fits_and_never_waits(pair: Pair) -> None:
    ours, peer = pair
    assert send_now(ours, b"hello") == 5
    assert peer.recv(10) == b"hello"
    while send_now(ours, b"x" * 65536):
        pass
    assert send_now(ours, b"x") == 0


async def test_send_now_raises_when_the_connection_is_lost(pair: Pair) -> None:
    ours, peer = pair
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    peer.close()
    await trio.sleep(0.05)
    with pytest.raises(OSError, match=r"reset|Broken pipe"):
        send_now(ours, b"x")
    ours.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        send_now(ours, b"x")
