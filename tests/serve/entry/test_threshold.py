"""What a request on an open connection has to pass."""

from __future__ import annotations

import socket
import time

import pytest
import trio
import trio.testing

from gateway.lifecycle import EntryCounts
from gateway.serve import byte_stream
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
            assert held.deal_with(request)
            assert client.recv(65536).startswith(b"HTTP/1.1 503 ")
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
            assert not held.deal_with(request), request
        await stream.lose()


async def test_with_room_none_is_turned_away() -> None:
    held, stream, client = threshold(Entrance(lambda: POLICY, EntryCounts()))
    with client:
        assert not held.deal_with(GET)
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


async def lined_up() -> tuple[Entrance, Threshold, ByteStream, socket.socket]:
    entrance = Entrance(lambda: POLICY, EntryCounts())
    # That one waits already is why the next has to.
    assert entrance.line_up(Noted("first", []), probe=False, now=time.monotonic())
    held, stream, client = threshold(entrance)
    assert held.deal_with(post(b"{}"))
    assert held.holds
    assert stream.inbox == post(b"{}")
    return entrance, held, stream, client


async def test_what_is_whole_waits_without_its_task() -> None:
    entrance, held, stream, client = await lined_up()
    with client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.wait_arrival)
            await trio.testing.wait_all_tasks_blocked()
            entrance._serve(time.monotonic(), 0.0)
        assert not held.holds
        assert await held.turn(post(b"{}")[:-2])
        assert held.begin() > 0
        assert held.begin() == 0
        await stream.lose()


async def test_woken_before_its_turn_it_waits_as_others_do() -> None:
    entrance, held, stream, client = await lined_up()
    with client:
        assert len(entrance._queue) == 2
        async with trio.open_nursery() as nursery:
            nursery.start_soon(held.turn, post(b"{}")[:-2])
            await trio.testing.wait_all_tasks_blocked()
            assert not held.holds
            assert len(entrance._queue) == 2
            entrance._serve(time.monotonic(), 0.0)
        await stream.lose()


async def test_who_leaves_waits_no_more() -> None:
    entrance, held, stream, client = await lined_up()
    with client:
        held.leave()
        held.leave()
        assert len(entrance._queue) == 1
        await stream.lose()


async def test_displaced_it_is_answered_and_the_connection_stays() -> None:
    entrance, held, stream, client = await lined_up()
    with client:
        stream.inbox += GET  # sent behind it, and not for this answer
        displaced = entrance._queue.clear()[-1]
        displaced.turn_away()
        assert client.recv(65536).startswith(b"HTTP/1.1 503 ")
        assert stream.inbox == GET
        assert not held.holds
        await stream.lose()


async def test_where_no_answer_can_be_written_at_once_its_task_does_it() -> None:
    entrance, held, stream, client = await lined_up()
    with client:
        while stream.write_brief(bytes(65536)):
            pass
        entrance._queue.clear()[-1].turn_away()
        head = post(b"{}")[:-2]
        assert not await held.turn(head)
        stream.take(len(head))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(held.turn_away, head)
            got = b""
            while b"in a moment." not in got:
                await trio.lowlevel.wait_readable(client)
                got += client.recv(1 << 20)
        assert b"HTTP/1.1 503 " in got
        # And the next is one like any other.
        entrance._left = 1
        assert await held.turn(head)
        await stream.lose()


async def test_half_an_answer_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    entrance, _, stream, client = await lined_up()
    # A kernel that has room for a single byte.
    monkeypatch.setattr(byte_stream, "send_now", lambda *_: 1)
    with client, trio.fail_after(30):
        entrance._queue.clear()[-1].turn_away()
        await stream.read(lambda: None)
        assert stream.gone


async def test_a_client_that_reads_nothing_loses_its_connection() -> None:
    held, stream, client = threshold(full())
    ended = trio.Event()

    async def read() -> None:
        await stream.read(lambda: None, dealt_with=held.deal_with)
        ended.set()

    with client, trio.fail_after(30):
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
