"""What a request on an open connection has to pass."""

from __future__ import annotations

import socket
import time

import trio
import trio.testing

from gateway.lifecycle import EntryCounts
from gateway.serve.byte_stream import ByteStream
from gateway.serve.entry.dismissal import Dismissal
from gateway.serve.entry.entrance import LEAST_ROOM, Entrance
from gateway.serve.entry.threshold import Threshold
from gateway.serve.policy import ServingPolicy
from gateway.serve.progress import ProgressWatch

from ..harness import GET, post
from .test_entrance import POLICY, Noted


def threshold(entrance: Entrance) -> tuple[Threshold, ByteStream, socket.socket]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    data = ByteStream(stream, stream, 30.0, ProgressWatch(lambda: 30.0))
    return Threshold(entrance, Dismissal(list), data, ServingPolicy()), data, theirs


def full() -> Entrance:
    entrance = Entrance(lambda: POLICY, EntryCounts())
    for _ in range(LEAST_ROOM):
        assert entrance.line_up(Noted("", []), probe=False, now=time.monotonic())
    return entrance


async def test_what_is_whole_is_turned_away_at_once() -> None:
    held, stream, client = threshold(full())
    with client:
        for request in (GET, post(b"{}")):
            stream.inbox += request
            assert held.brush_off()
            assert client.recv(65536).startswith(b"HTTP/1.1 503 ")
            assert stream.inbox == b""
        await stream.lose()


async def test_the_rest_is_left_to_those_who_parse() -> None:
    held, stream, client = threshold(full())
    with client:
        for request in (
            GET[:-1],
            post(b"{}")[:-1],
            GET + GET,
            b"GET / HTTP/1.0\r\n\r\n",
            b"GET / HTTP/1.1\nhost: a\r\n\r\n",
            b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n",
        ):
            stream.inbox[:] = request
            assert not held.brush_off(), request
            assert stream.inbox == request
        await stream.lose()


async def test_with_room_none_is_turned_away() -> None:
    held, stream, client = threshold(Entrance(lambda: POLICY, EntryCounts()))
    with client:
        stream.inbox += GET
        assert not held.brush_off()
        assert await held.turn(GET)
        await stream.lose()


async def test_turned_away_the_connection_goes_on_behind_the_body() -> None:
    held, stream, client = threshold(full())
    with client:
        head = post(b"{}")[:-2]
        stream.inbox += b"{}" + GET
        assert not await held.turn(head)
        assert await held.turn_away(head)
        assert stream.inbox == GET
        # The body is not all here: only closing makes sure that it is not taken for a request.
        assert not await held.turn_away(post(bytes(1000))[:-1000])
        await stream.lose()


async def test_a_client_that_reads_nothing_loses_its_connection() -> None:
    held, stream, client = threshold(full())
    ended = trio.Event()

    async def read() -> None:
        await stream.read(lambda: None, dealt_with=held.brush_off)
        ended.set()

    with client, trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            nursery.start_soon(stream.wait_arrival)
            await trio.testing.wait_all_tasks_blocked()
            while not ended.is_set():
                try:
                    client.send(GET)
                except BlockingIOError:
                    pass
                except ConnectionError:
                    break
                await trio.lowlevel.checkpoint()
                if len(stream.inbox) > 10_000:
                    break  # nothing was torn: the kernel took none of an answer
            nursery.cancel_scope.cancel()
        await stream.lose()
