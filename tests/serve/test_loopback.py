"""Real sockets: what Hypercorn's own connections leak or hang on (F1, F2, F7, pitfalls 8, 9)."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
from typing import Any

import pytest
import trio

from gateway.errors import SendStalled
from gateway.serve.policy import ServingPolicy

from .harness import GET, answer, echo, idle_lifespan, post, read_body, worker
from .processes import eventually

pytestmark = pytest.mark.slow

HEAD = {"type": "http.response.start", "status": 200, "headers": []}


async def read_all(stream: trio.SocketStream) -> bytes:
    got = b""
    with contextlib.suppress(trio.BrokenResourceError):
        while data := await stream.receive_some():
            got += data
    return got


@pytest.mark.measured
async def test_a_client_that_stops_reading_is_dropped() -> None:
    stalled: list[float] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await idle_lifespan(receive, send)
            return
        await send(HEAD)
        began = trio.current_time()
        try:
            while True:
                began = trio.current_time()
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        except SendStalled:
            stalled.append(trio.current_time() - began)

    async with worker(app, policy=ServingPolicy(send_timeout=0.4)) as running:
        stream = await running.connect()
        await stream.send_all(GET)
        await running.wait_busy(1)
        await running.wait_over()
        assert 0.35 < stalled[0] < 2
        await stream.aclose()


@pytest.mark.measured
async def test_a_deadline_in_the_app_holds_while_the_client_does_not_read() -> None:
    held: list[float] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await idle_lifespan(receive, send)
            return
        began = trio.current_time()
        await send(HEAD)
        with trio.move_on_after(0.3):
            while True:
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        held.append(trio.current_time() - began)

    async with worker(app) as running:
        stream = await running.connect()
        await stream.send_all(GET)
        await running.wait_busy(1)
        await running.wait_over()
        assert held[0] < 1
        await stream.aclose()


@pytest.mark.parametrize("pumping", [False, True], ids=["unread", "read concurrently"])
async def test_an_early_answer_to_a_large_body_leaks_nothing(pumping: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await idle_lifespan(receive, send)
            return

        async def pump() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        async with trio.open_nursery() as nursery:
            if pumping:
                nursery.start_soon(pump)
            await trio.sleep(0.05)
            await answer(send, b"too large")
            nursery.cancel_scope.cancel()

    async def client(port: int, answers: list[bytes]) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:

            async def upload() -> None:
                with contextlib.suppress(trio.BrokenResourceError):
                    await stream.send_all(post(b"x" * 4_000_000))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(upload)
                got = b""
                while not got.endswith(b"too large"):
                    got += await stream.receive_some()
                answers.append(got)
                nursery.cancel_scope.cancel()

    async with worker(app) as running:
        answers: list[bytes] = []
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(client, running.port, answers)
        assert len(answers) == 3
        await running.wait_over()


async def test_clients_that_leave_behind_pipelined_bytes_leak_nothing() -> None:
    begun = gone = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal begun, gone
        if scope["type"] == "lifespan":
            await idle_lifespan(receive, send)
            return
        begun += 1
        while (await receive())["type"] != "http.disconnect":
            pass
        gone += 1

    async with worker(app) as running:
        streams = [await running.connect() for _ in range(30)]
        for n, stream in enumerate(streams):
            await stream.send_all(GET + (b"\r\n" if n % 2 else GET))
        await eventually(lambda: begun == 30, 30)
        for n, stream in enumerate(streams):
            if n % 3 == 0:
                # A reset in place of a FIN.
                linger = struct.pack("ii", 1, 0)
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            stream.socket.close()
        await running.wait_over()
        assert gone == 30


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "reset"])
async def test_a_client_that_leaves_behind_more_than_is_read_ahead_is_seen(reset: bool) -> None:
    gone = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await idle_lifespan(receive, send)
            return
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    async with worker(app) as running:
        stream = await running.connect()
        await stream.send_all(GET + post(b"x" * 100_000))
        await trio.sleep(0.1)
        if reset:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.socket.close()
        with trio.fail_after(20):
            await gone.wait()
        await running.wait_over()


async def test_a_client_that_leaves_frees_a_send_in_progress_at_once() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await idle_lifespan(receive, send)
            return
        await read_body(receive)
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                await receive()
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            await send(HEAD)
            while True:
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})

    async with worker(app) as running:
        stream = await running.connect()
        await stream.send_all(GET)
        await running.wait_busy(1)
        await trio.sleep(0.2)
        await stream.aclose()
        # Not after the thirty seconds that a client may take nothing.
        await running.wait_over(seconds=15)


async def test_a_refusal_reaches_a_client_that_is_still_sending() -> None:
    async with worker(echo) as running:
        stream = await running.connect()
        request = post(b"x" * 500_000).replace(b"host: test", b"host: a/b")
        await stream.send_all(request)
        got = await read_all(stream)
        assert got.startswith(b"HTTP/1.1 400 ")
        await stream.aclose()
        await running.wait_over()


async def test_http_2_is_never_spoken() -> None:
    upgrade = (
        b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n\r\n"
    )
    async with worker(echo) as running:
        stream = await running.connect()
        await stream.send_all(GET.removesuffix(b"\r\n") + upgrade)
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
        await stream.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert (await read_all(stream)).startswith(b"HTTP/1.1 505 ")
        await stream.aclose()


async def test_stopping_the_worker_closes_idle_connections_at_once() -> None:
    async with worker(echo) as running:
        streams = [await running.connect() for _ in range(5)]
        for stream in streams[1:]:
            await stream.send_all(GET)
            await stream.receive_some()
        await running.wait_busy(5)
        running.stop.set()
        with trio.fail_after(15):
            for stream in streams:
                assert await read_all(stream) == b""
                await stream.aclose()


async def _whatever(scope: Any, receive: Any, send: Any) -> None:
    """Do what the request's path asks for."""
    if scope["type"] == "lifespan":
        await idle_lifespan(receive, send)
    elif scope["path"] == "/echo":
        await answer(send, await read_body(receive))
    elif scope["path"] == "/early":
        await answer(send, b"early")
    elif scope["path"] == "/stream":
        await send(HEAD)
        for _ in range(100):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
    elif scope["path"] == "/unfinished":
        await send(HEAD)
    elif scope["path"] == "/wait":
        # With more unread than the kernel holds a FIN can't even arrive: apps have deadlines.
        with trio.move_on_after(1):
            while (await receive())["type"] != "http.disconnect":
                pass


async def _misbehave(port: int, rng: random.Random) -> None:
    paths = [b"/echo", b"/early", b"/stream", b"/unfinished", b"/wait", b"/bad#"]
    asked = b"".join(
        post(b"x" * rng.choice([0, 10, 100_000])).replace(b" / ", b" %s " % rng.choice(paths), 1)
        for _ in range(rng.randint(1, 4))
    )
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    with contextlib.suppress(trio.BrokenResourceError), trio.move_on_after(rng.uniform(0, 0.3)):
        await stream.send_all(asked[: rng.randint(1, len(asked))])
        while rng.random() < 0.9 and await stream.receive_some(rng.choice([10, 65536])):
            await trio.lowlevel.checkpoint()
        if rng.random() < 0.3:
            await stream.send_eof()
        await trio.sleep(rng.uniform(0, 0.3))
    if rng.random() < 0.5:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await trio.aclose_forcefully(stream)


@pytest.mark.parametrize("seed", range(4))
async def test_no_mixture_of_misbehaving_clients_leaks_anything(seed: int) -> None:
    rng = random.Random(seed)
    async with worker(_whatever, policy=ServingPolicy(send_timeout=0.2)) as running:
        async with trio.open_nursery() as nursery:
            for _ in range(60):
                nursery.start_soon(_misbehave, running.port, random.Random(rng.random()))
        await running.wait_over()
        assert not running.connections.members
        stream = await running.connect()
        await stream.send_all(post(b"still here").replace(b" / ", b" /echo ", 1))
        assert (await stream.receive_some()).endswith(b"still here")
        await stream.aclose()


MORE = {"more_body": True}


@pytest.mark.parametrize("length", [None, 200 * 40_000])
async def test_parts_that_are_sent_without_a_wait_come_whole_and_in_order(
    length: int | None,
) -> None:
    """To a client that at first reads nothing, so that its socket takes the half of one."""
    parts = [bytes([number]) * 40_000 for number in range(200)]
    became: list[bool | None] = []
    full = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await idle_lifespan(receive, send)
            return
        served = scope["extensions"]["gateway.request"]["served"]
        assert served.send_part(b"before the head") is None
        fields = [] if length is None else [(b"content-length", b"%d" % length)]
        await send({**HEAD, "headers": fields})
        assert served.send_part(b"with the head, which is held back") is None
        await send({"type": "http.response.body", "body": b"", **MORE})
        assert served.send_part(b"x" * 100_000) is None
        for part in parts:
            sent = served.send_part(part)
            if not sent:
                full.set()
                rest = part if sent is None else b""
                await send({"type": "http.response.body", "body": rest, **MORE})
            became.append(sent)
        await send({"type": "http.response.body", "body": b""})
        assert served.send_part(b"behind the end") is None

    async with worker(app) as running:
        stream = await running.connect()
        await stream.send_all(GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        with trio.fail_after(20):
            await full.wait()
            got = await read_all(stream)
        await stream.aclose()
    body = got.partition(b"\r\n\r\n")[2]
    if length is None:
        parts = [b"%x\r\n%b\r\n" % (len(part), part) for part in parts] + [b"0\r\n\r\n"]
    assert body == b"".join(parts)
    assert True in became
    assert False in became


async def test_no_part_is_sent_to_who_has_left() -> None:
    became: list[bool | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await idle_lifespan(receive, send)
            return
        served = scope["extensions"]["gateway.request"]["served"]
        await send(HEAD)
        await send({"type": "http.response.body", "body": b"begun", **MORE})
        while (await receive())["type"] != "http.disconnect":
            pass
        became.append(served.send_part(b"more"))

    async with worker(app) as running:
        stream = await running.connect()
        await stream.send_all(GET)
        assert b"begun" in await stream.receive_some()
        await stream.aclose()
        await eventually(lambda: bool(became), 10)
    assert became == [None]
