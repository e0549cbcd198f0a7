"""Slow readers and stalled ones: told apart by what they take, in numbers and on real sockets."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import trio

from gateway.errors import SendStalled
from gateway.serve.policy import ServingPolicy
from gateway.serve.progress import MOST_PATIENCE, PIECE, Progress, SendQueue
from gateway.tcp import receive

from ..rounds import rounds
from .harness import GET, Running, idle_lifespan, worker
from .processes import eventually

# What one look after the other sees: a second passes between two.
FULL = 1 << 22


def dropped_after(
    rate: float, *, step: int, seconds: int = 1000, timeout: float = 30.0
) -> int | None:
    """Return when a client is dropped whose kernel tells of `step` bytes at a time."""
    written = FULL
    progress = Progress(timeout, step, written, FULL)
    progress.stalled(0, written, FULL)
    for second in range(1, seconds):
        told = int(rate * second) // step * step if step else int(rate * second)
        # The gateway fills up what was taken.
        written = FULL + told
        if progress.stalled(1.0, written, FULL):
            return second
    return None


@pytest.mark.parametrize("step", [0, 536, 2 * 1460, 2 * 9000, 65483])
@pytest.mark.parametrize("rate", [600, 1000, 4000, 16_000, 1_000_000])
def test_whoever_takes_more_than_the_stated_rate_stays(rate: int, step: int) -> None:
    assert dropped_after(rate, step=step) is None


@pytest.mark.parametrize("rate", [1000, 4000])
def test_packets_of_loopback_are_waited_for(rate: int) -> None:
    assert dropped_after(rate, step=2 * 54272) is None


@pytest.mark.parametrize(("step", "after"), [(0, 30), (2920, 30), (65536, 120), (1 << 20, 132)])
def test_whoever_takes_nothing_is_dropped_at_the_timeout(step: int, after: int) -> None:
    assert dropped_after(0, step=step) == after


def test_whoever_trickles_is_dropped_a_little_later() -> None:
    # 100 of 546 bytes a second buy a fifth of the time that passes.
    assert dropped_after(100, step=0) == pytest.approx(30 / (1 - 100 / (PIECE / 30)), abs=2)


def test_a_client_that_keeps_up_is_not_measured_by_a_rate() -> None:
    # A stream of 20 bytes a second to a client far away: there always is something under way.
    progress, written = Progress(30.0, 2920, 20, 20), 20
    for _ in range(1000):
        before, written = written, written + 20
        assert not progress.stalled(1.0, written, written - before)


def test_the_time_before_the_first_look_does_not_count() -> None:
    progress = Progress(1.0, 0, 100, 100)
    assert not progress.stalled(5.0, 100, 100)
    assert progress.stalled(1.0, 100, 100)


def test_a_closed_socket_says_nothing() -> None:
    sock = socket.socket()
    queue = SendQueue(sock)
    assert queue.held() == 0
    sock.close()
    assert (queue.held(), queue.step()) == (None, 0)


# On real sockets...


class Flood:
    """An app that sends without end, and notes what became of each answer."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await idle_lifespan(receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            async with trio.open_nursery() as nursery:

                async def watch() -> None:
                    message = await receive()
                    while message["type"] != "http.disconnect":
                        message = await receive()
                    self.ended.append(message.get("stalled", "left"))
                    nursery.cancel_scope.cancel()

                nursery.start_soon(watch)
                while True:
                    body = b"x" * 65536
                    await send({"type": "http.response.body", "body": body, "more_body": True})
        except* SendStalled:
            self.ended.append("stalled")


@contextlib.asynccontextmanager
async def reading(port: int, buffer: int, rate: float) -> AsyncIterator[list[int]]:
    """Read so many bytes a second; yields how many there were so far, and -1 at the end."""
    sock = socket.socket()
    if buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    got = [0]
    client = trio.socket.from_stdlib_socket(sock)
    await client.connect(("127.0.0.1", port))
    stream = trio.SocketStream(client)

    async def read() -> None:
        begun = trio.current_time()
        try:
            while True:
                # What is due by now, so that a busy machine does not make the reader slower.
                due = int(rate * (trio.current_time() - begun)) - got[0]
                if due > 0:
                    data = await stream.receive_some(due)
                    if not data:
                        break
                    got[0] += len(data)
                await trio.sleep(0.05)
        except trio.BrokenResourceError:
            pass
        got.append(-1)

    await stream.send_all(GET)
    async with stream, trio.open_nursery() as nursery:
        nursery.start_soon(read)
        yield got
        nursery.cancel_scope.cancel()


# Rates above the floor of 16 KiB a second, in kB/s, and receive buffers; 0 is the system's own.
@pytest.mark.slow
@pytest.mark.parametrize(("buffer", "rate"), [(4096, 30_000), (32_768, 40_000), (0, 64_000)])
@pytest.mark.measured
async def test_a_slow_reader_stays(buffer: int, rate: int) -> None:
    app = Flood()
    async with worker(app, policy=ServingPolicy(send_timeout=1.0)) as running:
        async with reading(running.port, buffer, rate) as got:
            await trio.sleep(rounds(4, 30))
            assert app.ended == []
            assert got[0] > 0
            assert got[-1] >= 0
        await running.wait_over()
    assert app.ended == ["left"]


async def test_a_reader_that_stops_is_dropped_and_told_from_one_that_leaves() -> None:
    app = Flood()
    async with worker(app, policy=ServingPolicy(send_timeout=0.5)) as running:
        began = trio.current_time()
        async with reading(running.port, 4096, 0):
            await eventually(lambda: bool(app.ended), 0.5 * MOST_PATIENCE + 3)
            assert trio.current_time() - began >= 0.5
        await running.wait_over()
    assert set(app.ended) <= {"stalled", "the client took too little for 0.5 s"}


async def test_a_machine_that_vanished_is_told_from_a_client_that_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def read(sock: trio.socket.SocketType, limit: int) -> bytes:
        # The request comes at once, if it was not read with its connection; then nothing does.
        with trio.move_on_after(0.3):
            return await receive(sock, limit)
        raise TimeoutError(110, "Connection timed out")

    app = Flood()
    async with worker(app) as running:
        monkeypatch.setattr("gateway.serve.byte_stream.receive", read)
        async with reading(running.port, 4096, 0):
            await eventually(lambda: bool(app.ended), 30)
        await running.wait_over()
    assert set(app.ended) <= {"stalled", "the client's machine does not answer any more"}


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.measured
async def test_readers_of_1_to_16_kilobytes_a_second_stay_by_default() -> None:
    # Ten times as fast but for a soak: the rate that is asked for is so much in the timeout.
    faster = rounds(10, 1)
    app = Flood()

    async def read(running: Running, buffer: int, rate: int, seconds: float) -> None:
        async with reading(running.port, buffer, rate) as got:
            await trio.sleep(seconds)
            assert got[-1] >= 0, (buffer, rate)

    policy = ServingPolicy()
    policy = msgspec.structs.replace(policy, send_timeout=policy.send_timeout / faster)
    async with worker(app, policy=policy) as running:
        async with trio.open_nursery() as nursery:
            for rate in (1000, 4000, 16_000):
                for buffer in (0, 4096, 32_768):
                    nursery.start_soon(read, running, buffer, rate * faster, rounds(6, 240))
        await running.wait_over(10)
    assert app.ended == ["left"] * 9
