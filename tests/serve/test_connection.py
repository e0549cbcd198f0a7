"""One connection in memory: keep-alive, coalescing, timeouts, cancellation, endings."""

from __future__ import annotations

import gc
import logging
import ssl
import weakref
from typing import Any

import pytest
import trio
import trio.testing
import trustme
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext

from gateway.errors import SendStalled
from gateway.lifecycle import Lifecycle
from gateway.serve.byte_stream import LINGER_SECONDS, PIECE, READ_AHEAD
from gateway.serve.connection import ClientConnection
from gateway.serve.open_connections import OpenConnections
from gateway.serve.policy import ServingPolicy

from .harness import GET, Wire, answer, echo, post, read_body, visit

START = {"type": "http.response.start", "status": 200, "headers": []}


def body(data: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


# Keep-alive and order...


async def test_requests_follow_each_other_on_one_connection() -> None:
    async with visit(echo) as guest:
        for data in (b"one", b"two", b"three"):
            await guest.client.send_all(post(data))
            assert (await guest.read_until(data)).startswith(b"HTTP/1.1 200 ")


async def test_any_split_of_pipelined_requests_gives_the_same_answers() -> None:
    chunked = (
        b"POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n3;x=y\r\ndef\r\n0\r\ntrailer: t\r\n\r\n"
    )
    requests = post(b"one") + b"\r\n" + chunked + GET
    for cut in range(1, len(requests)):
        async with visit(echo) as guest:
            await guest.client.send_all(requests[:cut])
            await trio.testing.wait_all_tasks_blocked()
            await guest.client.send_all(requests[cut:])
            got = await guest.read_until(b"\r\n\r\n/")
            assert got.count(b"HTTP/1.1 200 ") == 3
            assert got.index(b"\r\n\r\none") < got.index(b"\r\n\r\nabcdef")


async def test_pipelined_requests_never_overlap() -> None:
    running: list[str] = []
    order: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        running.append(scope["path"])
        assert len(running) == 1
        await trio.testing.wait_all_tasks_blocked()
        await read_body(receive)
        await answer(send, b"done")
        order.append(running.pop())

    async with visit(app) as guest:
        requests = b"".join(GET.replace(b"/ ", b"/%d " % n) for n in range(20))
        await guest.client.send_all(requests)
        await guest.read_answers(20)
        await trio.testing.wait_all_tasks_blocked()
        assert order == [f"/{n}" for n in range(20)]


async def test_reads_ahead_within_bounds_and_serves_all_of_it_later() -> None:
    go = trio.Event()
    served = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal served
        await read_body(receive)

        async def watch() -> None:
            await receive()

        async with trio.open_nursery() as nursery:
            # Waiting for a disconnect must not count as wanting more input.
            nursery.start_soon(watch)
            await go.wait()
            await answer(send, b"done")
            nursery.cancel_scope.cancel()
        served += 1

    requests = post(b"x" * 1000) * 300
    assert len(requests) > 4 * READ_AHEAD
    async with visit(app) as guest:
        await guest.client.send_all(requests)
        await trio.testing.wait_all_tasks_blocked()
        (connection,) = guest.connections.members
        assert isinstance(connection, ClientConnection)
        assert 0 < len(connection._byte_stream.inbox) <= READ_AHEAD
        go.set()
        await guest.read_answers(300)
        await trio.testing.wait_all_tasks_blocked()
        assert served == 300


async def test_an_app_that_is_still_busy_does_not_hold_up_the_next_request() -> None:
    settle = trio.Event()
    settled: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive)
        await answer(send, scope["path"].encode())
        await settle.wait()
        settled.append(scope["path"])

    async with visit(app) as guest:
        await guest.client.send_all(GET.replace(b"/ ", b"/first "))
        await guest.read_until(b"/first")
        await guest.client.send_all(GET.replace(b"/ ", b"/second "))
        await guest.read_until(b"/second")
        assert settled == []
        settle.set()
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(settled) == ["/first", "/second"]
        await guest.client.send_all(GET.replace(b"/ ", b"/third "))
        await guest.read_until(b"/third")


async def test_connection_close_is_said_and_done_when_the_process_leaves() -> None:
    lifecycle = Lifecycle()
    lifecycle.start_drain()
    async with visit(echo, lifecycle=lifecycle) as guest:
        await guest.client.send_all(GET)
        assert b"connection: close\r\n" in (await guest.read_all()).lower()


async def test_connection_close_is_said_once() -> None:
    async def closing(scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive)
        await send({**START, "headers": [(b"connection", b"close")]})
        await send(body(b"bye", more=False))

    lifecycle = Lifecycle()
    lifecycle.start_drain()
    async with visit(closing, lifecycle=lifecycle) as guest:
        await guest.client.send_all(GET)
        assert (await guest.read_all()).lower().count(b"connection: close\r\n") == 1


@pytest.mark.parametrize("limit", [1, 3])
async def test_a_connection_is_for_so_many_requests(limit: int) -> None:
    policy = ServingPolicy(max_requests_per_connection=limit)
    async with visit(echo, policy=policy) as guest:
        for number in range(1, limit + 1):
            await guest.client.send_all(post(b"%d done" % number))
            got = await guest.read_until(b"%d done" % number)
            assert (b"\r\nconnection: close\r\n" in got.lower()) == (number == limit)
        assert await guest.read_all() == b""


async def test_more_than_so_many_pipelined_requests_are_not_answered() -> None:
    async with visit(echo, policy=ServingPolicy(max_requests_per_connection=2)) as guest:
        await guest.client.send_all(GET * 3)
        got = await guest.read_all()
        assert got.count(b"HTTP/1.1 200 ") == 2
        assert got.lower().count(b"connection: close") == 1


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "closes"), [(None, True), (0, False)])
async def test_a_connection_is_for_a_thousand_requests_or_for_ever(
    limit: int | None, closes: bool
) -> None:
    policy = None if limit is None else ServingPolicy(max_requests_per_connection=limit)
    async with visit(echo, policy=policy) as guest:
        for number in range(1, 1002):
            await guest.client.send_all(GET)
            got = await guest.read_until(b"\r\n\r\n/")
            last = closes and number == 1000
            assert (b"connection: close" in got.lower()) == last
            if last:
                break
        if closes:
            assert await guest.read_all() == b""


async def test_http_1_0_is_answered_and_closed() -> None:
    async with visit(echo) as guest:
        await guest.client.send_all(b"GET /old HTTP/1.0\r\n\r\n")
        assert (await guest.read_all()).endswith(b"\r\n\r\n/old")


# Writing...


async def test_a_small_answer_is_one_write() -> None:
    async with visit(echo) as guest:
        await guest.client.send_all(post(b"hello"))
        await guest.read_until(b"hello")
        (sent,) = guest.wire.sent
        assert sent.startswith(b"HTTP/1.1 200 ")
        assert sent.endswith(b"\r\n\r\nhello")


async def test_the_head_goes_with_the_first_piece_and_the_end_with_the_last() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        for data in (b"one", b"two"):
            await send(body(data))
        await send(body(b"three", more=False))

    async with visit(app) as guest:
        await guest.client.send_all(GET)
        await guest.read_until(b"0\r\n\r\n")
        first, second, third = guest.wire.sent
        assert first.endswith(b"\r\n\r\n3\r\none\r\n")
        assert second == b"3\r\ntwo\r\n"
        assert third == b"5\r\nthree\r\n0\r\n\r\n"


async def test_an_empty_piece_sends_the_head_alone() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(body(b""))
        await trio.sleep_forever()

    async with visit(app) as guest:
        await guest.client.send_all(GET)
        await guest.read_until(b"\r\n\r\n")
        (connection,) = guest.connections.members
        connection.abort()


async def test_head_and_204_have_no_body() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        status = 204 if scope["method"] == "GET" else 200
        headers = [] if status == 204 else [(b"content-length", b"7")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send(body(b"ignored", more=False))

    async with visit(app) as guest:
        await guest.client.send_all(GET.replace(b"GET", b"HEAD") + GET)
        got = b""
        while got.count(b"\r\n\r\n") < 2:
            got += await guest.client.receive_some()
        assert b"ignored" not in got
        assert b"content-length: 7\r\n" in got


async def test_large_answers_are_written_in_pieces() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"x" * 100_000)

    async with visit(app) as guest:
        await guest.client.send_all(GET)
        got = b""
        while got.count(b"x") < 100_000:
            got += await guest.client.receive_some()
        assert max(map(len, guest.wire.sent)) == PIECE


# Clients that stop reading (F1)...


async def test_a_client_that_stops_reading_is_dropped_in_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    told: list[object] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive)
        await send(START)
        try:
            while True:
                await send(body(b"x" * 1000))
        except SendStalled:
            told.append(trio.current_time())
        told.append((await receive())["type"])

    policy = ServingPolicy(send_timeout=7)
    async with visit(app, policy=policy, lockstep=True) as guest:
        await guest.client.send_all(GET)
        began = trio.current_time()
        await guest.done.wait()
        assert told == [began + 7, "http.disconnect"]


async def test_a_slow_client_is_not_dropped_while_it_takes_pieces(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"x" * (4 * PIECE))

    async with visit(app, policy=ServingPolicy(send_timeout=7), lockstep=True) as guest:
        await guest.client.send_all(GET)
        got = b""
        while got.count(b"x") < 4 * PIECE:
            await trio.sleep(6)
            got += await guest.client.receive_some(PIECE)
        assert trio.current_time() >= 24


async def test_a_stalled_send_can_be_cancelled_and_ends_the_connection(
    autojump_clock: trio.testing.MockClock,
) -> None:
    left: list[float] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        with trio.move_on_after(1.5):
            while True:
                await send(body(b"x" * 1000))
        left.append(trio.current_time())
        await send(body(b"unframed", more=False))

    async with visit(app, lockstep=True) as guest:
        await guest.client.send_all(GET)
        began = trio.current_time()
        await guest.done.wait()
        assert left == [began + 1.5]
        assert guest.wire.closed_at == began + 1.5


async def test_an_answer_cancelled_between_writes_can_still_be_ended() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(body(b"data"))
        with trio.CancelScope() as scope_:
            scope_.cancel()
            await send(body(b"lost"))
        await send(body(b"error event", more=False))

    async with visit(app) as guest:
        await guest.client.send_all(GET)
        got = await guest.read_until(b"0\r\n\r\n")
        assert b"lost" not in got
        assert b"error event" in got


async def test_a_client_that_leaves_frees_a_blocked_send_at_once() -> None:
    ended: list[object] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive)
        await send(START)
        await send(body(b"x" * 1000))
        ended.append((await receive())["type"])
        # As with Hypercorn, writing to nobody is no error.
        await send(body(b"y", more=False))
        ended.append("returned")

    async with visit(app, lockstep=True) as guest:
        await guest.client.send_all(GET)
        await trio.testing.wait_all_tasks_blocked()
        assert ended == []
    assert ended == ["http.disconnect", "returned"]


# Clients that leave (F3, F4, pitfall 9)...


@pytest.mark.parametrize("behind", [b"", b"\r\n", GET], ids=["nothing", "crlf", "request"])
async def test_a_client_that_leaves_is_seen_whatever_it_sent_behind(behind: bytes) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive)
        seen.append((await receive())["type"])

    async with visit(app) as guest:
        await guest.client.send_all(post(b"body") + behind)
        await trio.testing.wait_all_tasks_blocked()
        assert seen == []
    assert seen == ["http.disconnect"]


async def test_a_half_closed_client_counts_as_gone() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive)
        seen.append((await receive())["type"])

    async with visit(app) as guest:
        await guest.client.send_all(GET)
        await guest.client.send_eof()
        await guest.done.wait()
    assert seen == ["http.disconnect"]


async def test_a_watcher_that_cancels_late_does_no_harm(
    autojump_clock: trio.testing.MockClock,
) -> None:
    # Pitfall 8: Hypercorn says `http.disconnect` during the last send, and an app that cancels
    # itself on that cancelled the restart of Hypercorn's idle timer.
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            await answer(send, b"done")
            await trio.sleep_forever()

    async with visit(app, policy=ServingPolicy(keep_alive_timeout=20)) as guest:
        for _ in range(2):
            await guest.client.send_all(GET)
            await guest.read_until(b"done")
        began = trio.current_time()
        assert await guest.read_all() == b""
        assert trio.current_time() - began == pytest.approx(20)


# Timeouts of the head...


async def test_an_idle_connection_is_closed_on_time(autojump_clock: trio.testing.MockClock) -> None:
    async with visit(echo, policy=ServingPolicy(keep_alive_timeout=20)) as guest:
        assert await guest.read_all() == b""
        assert trio.current_time() == 20


async def test_blank_lines_do_not_keep_a_connection(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with visit(echo, policy=ServingPolicy(keep_alive_timeout=20)) as guest:
        for _ in range(3):
            await trio.sleep(6)
            await guest.client.send_all(b"\r\n")
        assert await guest.read_all() == b""
        assert trio.current_time() == 20


async def test_a_dribbled_head_is_answered_408_on_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with visit(echo, policy=ServingPolicy(header_timeout=10)) as guest:
        await trio.sleep(5)
        for byte in GET[:9]:
            await guest.client.send_all(bytes([byte]))
            await trio.sleep(1)
        assert trio.current_time() == 14
        got = await guest.read_until(b"}}")
        assert got.startswith(b"HTTP/1.1 408 ")
        assert trio.current_time() == 15


async def test_a_request_under_way_has_no_deadline_of_ours(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await trio.sleep(10_000)
        await answer(send, b"late")

    async with visit(app) as guest:
        await guest.client.send_all(GET)
        await guest.read_until(b"late")


async def test_termination_closes_an_idle_connection_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with visit(echo) as guest, trio.open_nursery() as nursery:
        nursery.start_soon(guest.connections.watch)
        await guest.client.send_all(GET)
        await guest.read_until(b"/")
        await guest.context.terminated.set()
        assert await guest.read_all() == b""
        assert trio.current_time() == 0
        assert guest.connections.lifecycle.leaving
        nursery.cancel_scope.cancel()


async def test_termination_lets_a_request_finish_and_then_closes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(body(b"begun"))
        await trio.sleep(30)
        await send(body(b"done", more=False))

    async with visit(app) as guest, trio.open_nursery() as nursery:
        nursery.start_soon(guest.connections.watch)
        await guest.client.send_all(GET)
        await guest.read_until(b"begun\r\n")
        await guest.context.terminated.set()
        assert await guest.read_all() == b"4\r\ndone\r\n0\r\n\r\n"
        assert trio.current_time() == 30
        nursery.cancel_scope.cancel()


async def test_a_drain_ends_requests_and_then_aborts_connections(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ended: list[float] = []
    lifecycle = Lifecycle()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with lifecycle.exchange(lambda: ended.append(trio.current_time())):
            await trio.sleep_forever()

    policy = ServingPolicy(drain_timeout=60)
    async with (
        visit(app, policy=policy, lifecycle=lifecycle) as guest,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(guest.connections.watch)
        await guest.client.send_all(GET)
        await trio.testing.wait_all_tasks_blocked()
        await guest.context.terminated.set()
        await guest.done.wait()
        assert ended == [60]
        assert trio.current_time() == 65
        nursery.cancel_scope.cancel()


# Apps at fault...


async def test_an_app_that_fails_first_is_a_500_in_plain_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("a fault of ours")

    config = Config()
    config.errorlog = logging.getLogger("tests.serve")
    async with visit(app, config=config) as guest:
        await guest.client.send_all(GET)
        got = await guest.read_until(b"}}")
        assert got.startswith(b"HTTP/1.1 500 ")
        assert b"a fault of ours" not in got
    assert "ValueError: a fault of ours" in caplog.text


@pytest.mark.parametrize("error", [MemoryError(), ExceptionGroup("", [MemoryError()])])
async def test_an_app_without_memory_is_a_503(error: Exception) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    async with visit(app) as guest:
        await guest.client.send_all(GET)
        assert (await guest.read_until(b"}}")).startswith(b"HTTP/1.1 503 ")


async def test_a_fault_of_our_own_ends_one_connection_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.serve.gate.check_head", lambda head, policy: 1 / 0)
    config = Config()
    config.errorlog = logging.getLogger("tests.serve")
    async with visit(echo, config=config) as guest:
        await guest.client.send_all(GET)
        assert await guest.read_all() == b""
    assert "ZeroDivisionError" in caplog.text


async def test_an_app_that_says_nothing_is_a_500() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive)

    async with visit(app) as guest:
        await guest.client.send_all(GET)
        assert (await guest.read_until(b"}}")).startswith(b"HTTP/1.1 500 ")


@pytest.mark.parametrize("pieces", [[], [b"begun"]], ids=["head only", "a piece"])
async def test_an_unfinished_answer_ends_without_a_last_chunk(pieces: list[bytes]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        for piece in pieces:
            await send(body(piece))

    async with visit(app) as guest:
        await guest.client.send_all(GET)
        got = await guest.read_all()
        assert got.startswith(b"HTTP/1.1 200 ")
        assert got.endswith(b"5\r\nbegun\r\n" if pieces else b"\r\n\r\n")


async def test_messages_out_of_order_are_refused() -> None:
    faults: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in (body(b"early"), {"type": "http.response.push"}):
            with pytest.raises(RuntimeError) as fault:
                await send(message)
            faults.append(str(fault.value))
        await send(START)
        with pytest.raises(RuntimeError):
            await send(START)
        await send(body(b"done", more=False))
        with pytest.raises(RuntimeError):
            await send(body(b"late"))
        faults.append("all refused")

    async with visit(app) as guest:
        await guest.client.send_all(GET)
        await guest.read_until(b"0\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked()
        assert faults[-1] == "all refused"


# Bodies...


async def test_continue_is_said_when_the_app_wants_the_body_and_not_before() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/refuse":
            await answer(send, b"no")
        else:
            await answer(send, await read_body(receive))

    request = post(b"body", b"expect: 100-continue")
    head = request.removesuffix(b"body")
    async with visit(app) as guest:
        await guest.client.send_all(head)
        assert await guest.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 \r\n\r\n"
        await guest.client.send_all(b"body")
        await guest.read_until(b"\r\n\r\nbody")
        await guest.client.send_all(head.replace(b"/ ", b"/refuse ", 1))
        got = await guest.read_until(b"no")
        assert got.startswith(b"HTTP/1.1 200 ")


async def test_a_malformed_chunk_is_a_400_unless_the_app_has_answered() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async with visit(app) as guest:
        await guest.client.send_all(
            b"POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n"
        )
        assert (await guest.read_until(b"}}")).startswith(b"HTTP/1.1 400 ")


async def test_a_body_of_tiny_chunks_holds_up_nobody() -> None:
    chunks = 10_000
    passes = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal passes
        async with trio.open_nursery() as nursery:

            async def count() -> None:
                nonlocal passes
                while True:
                    passes += 1
                    await trio.lowlevel.checkpoint()

            nursery.start_soon(count)
            data = await read_body(receive)
            nursery.cancel_scope.cancel("read")
        await answer(send, b"%d" % len(data))

    head = b"POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n"
    async with visit(app) as guest:
        await guest.client.send_all(head + b"1\r\nx\r\n" * chunks + b"0\r\n\r\n")
        await guest.read_until(b"%d" % chunks)
    assert passes > chunks / 400


async def test_an_answer_to_an_unread_body_is_read_before_the_connection_closes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"too large")

    async with visit(app) as guest:
        await guest.client.send_all(post(b"x" * 3_000_000)[:-1])
        assert (await guest.read_until(b"too large")).startswith(b"HTTP/1.1 200 ")
        await guest.done.wait()
        assert trio.current_time() <= LINGER_SECONDS


async def test_the_server_name_is_checked_if_hypercorn_was_given_one() -> None:
    config = Config()
    config.server_names = ["served"]
    async with visit(echo, config=config) as guest:
        await guest.client.send_all(GET.replace(b"test", b"served"))
        await guest.read_until(b"/")
        await guest.client.send_all(GET)
        assert (await guest.read_until(b"}}")).startswith(b"HTTP/1.1 404 ")


async def test_tls_is_served_and_closed_cleanly() -> None:
    authority = trustme.CA()
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("test").configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)
    client_end, server_end = trio.testing.memory_stream_pair()
    wire: Any = Wire(server_end)
    server: Any = trio.SSLStream(wire, server_side, server_side=True, https_compatible=True)
    client = trio.SSLStream(client_end, client_side, server_hostname="test", https_compatible=True)
    connections = OpenConnections(ServingPolicy, Lifecycle())
    wrapped: Any = ASGIWrapper(echo)
    state: Any = {}
    connection = ClientConnection(
        connections, wrapped, Config(), WorkerContext(None), state, server
    )
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.run)
            await client.send_all(post(b"secret"))
            got = b""
            while not got.endswith(b"secret"):
                got += await client.receive_some()
            await client.send_all(GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
            while data := await client.receive_some():
                got += data
            assert got.endswith(b"\r\n\r\n/")
    assert not connections.members


# What the server tells of a request besides ASGI...


async def test_a_body_that_has_arrived_is_handed_over() -> None:
    taken: list[bytes | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        served = scope["extensions"]["gateway.request"]["served"]
        await trio.testing.wait_all_tasks_blocked()
        taken.append(served.take_arrived())
        if taken[-1] is None:
            taken.append(await read_body(receive))
        assert served.take_arrived() is None
        await answer(send, b"done")

    async with visit(app) as guest:
        await guest.client.send_all(post(b"first") + post(b"second") + post(b"third")[:-2])
        await guest.read_answers(2)
        await trio.testing.wait_all_tasks_blocked()
        await guest.client.send_all(b"rd")
        await guest.read_answers(1)
        assert taken == [b"first", b"second", None, b"third"]


@pytest.mark.parametrize("leaves", ["before", "while waiting", "never"])
async def test_a_caller_that_leaves_is_told_by_a_call(leaves: str) -> None:
    told: list[Any] = []
    ready, go, left = trio.Event(), trio.Event(), trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        served = scope["extensions"]["gateway.request"]["served"]
        if leaves == "before":
            ready.set()
            await left.wait()
        with trio.CancelScope() as scope_of_work:

            def note(message: Any) -> None:
                told.append(message)
                scope_of_work.cancel()

            served.when_gone(note)
            ready.set()
            await go.wait()
        served.when_gone(None)
        await answer(send, b"done")

    async with visit(app) as guest:
        await guest.client.send_all(post(b"x"))
        await ready.wait()
        if leaves == "never":
            go.set()
            await guest.read_answers(1)
        await guest.client.aclose()
        await trio.testing.wait_all_tasks_blocked()
        left.set()
        await trio.testing.wait_all_tasks_blocked()
        assert told == ([] if leaves == "never" else [{"type": "http.disconnect"}])


async def test_what_is_told_does_not_keep_a_request_alive() -> None:
    kept: list[Any] = []

    class Body:
        pass

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["extensions"]["gateway.request"]["served"].take_arrived() == b"x"
        scope["body"] = Body()
        kept.append(weakref.ref(scope["body"]))
        await answer(send, b"done")

    gc.disable()
    try:
        async with visit(app) as guest:
            for _ in range(2):
                await guest.client.send_all(post(b"x"))
                await guest.read_answers(1)
                await trio.testing.wait_all_tasks_blocked()
            assert kept[0]() is None
    finally:
        gc.enable()
