"""The least that an event can cost: relays on Trio that do nothing but relay.

64 streams, an event every 10 ms on each, read from one socket and written to another, in CPU
time of this process per event. `try first` is Trio's `SocketStream`, `wait first` what
`gateway/tcp.py` does, `channel` adds a second task and a bounded channel between reading and
writing. What the gateway costs above the last is its own: framing, rewriting, HTTP.

And the least that a request can cost whose answer comes at once: passed on as it is and waited
for, then the answer passed back, on eight pairs of kept connections; `watched` has a second task
each, without which a caller that leaves would not be seen before it is answered.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from gateway.tcp import receive, send_now

STREAMS: Final = 64
EVENTS: Final = 200
INTERVAL: Final = 0.01
CALLERS: Final = 8
REQUESTS: Final = 1000
_REQUEST: Final = b"q" * 400
_ANSWER: Final = b"a" * 700
_EVENT: Final = b"data: " + b"x" * 280 + b"\n\n"
_READ: Final = 32 * 1024

TrioSocket = trio.socket.SocketType
Copy = Callable[[TrioSocket, TrioSocket], Awaitable[None]]
Sockets = list[socket.socket]
Feed = Callable[[Sockets, Sockets, Sockets], None]


def run() -> dict[str, float]:
    """Return microseconds of CPU time per event."""
    return {
        "relay, try first": _measure(_try_first),
        "relay, wait first": _measure(_wait_first),
        "relay, wait first, channel": _measure(_through_channel),
        "request and answer": _measure(_question, _ask, CALLERS, REQUESTS),
        "request and answer, watched": _measure(_watched_question, _ask, CALLERS, REQUESTS),
    }


async def _try_first(source: TrioSocket, target: TrioSocket) -> None:
    reader, writer = trio.SocketStream(source), trio.SocketStream(target)
    while data := await reader.receive_some(_READ):
        await writer.send_all(data)


async def _wait_first(source: TrioSocket, target: TrioSocket) -> None:
    while data := await receive(source, _READ):
        send_now(target, data)


async def _through_channel(source: TrioSocket, target: TrioSocket) -> None:
    chunks_in, chunks_out = trio.open_memory_channel[bytes](3)

    async def pump() -> None:
        with chunks_in:
            while data := await receive(source, _READ):
                await chunks_in.send(data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump)
        async for data in chunks_out:
            send_now(target, data)


async def _question(provider: TrioSocket, caller: TrioSocket) -> None:
    while data := await receive(caller, _READ):
        send_now(provider, data)
        send_now(caller, await receive(provider, _READ))


async def _watched_question(provider: TrioSocket, caller: TrioSocket) -> None:
    arrived = trio.lowlevel.ParkingLot()
    inbox: list[bytes] = []

    async def watch() -> None:
        while data := await receive(caller, _READ):
            inbox.append(data)
            arrived.unpark_all()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        while True:
            await arrived.park()
            send_now(provider, inbox.pop())
            send_now(caller, await receive(provider, _READ))


def _measure(
    copy: Copy, feed: Feed | None = None, streams: int = STREAMS, each: int = EVENTS
) -> float:
    sources, targets = ([_pair() for _ in range(streams)] for _ in range(2))
    theirs = [pair[0] for pair in sources], [pair[0] for pair in targets]
    ours = [pair[1] for pair in (*sources, *targets)]
    feeder = multiprocessing.get_context("fork").Process(
        target=feed or _feed, args=(*theirs, ours), daemon=True
    )
    feeder.start()
    for sock in (*theirs[0], *theirs[1]):
        sock.close()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for (_, source), (_, target) in zip(sources, targets, strict=True):
                nursery.start_soon(_run, copy, source, target)

    started = time.process_time()
    trio.run(main)
    spent = time.process_time() - started
    feeder.join()
    return spent / (streams * each) * 1e6


async def _run(copy: Copy, source: socket.socket, target: socket.socket) -> None:
    wrapped = [trio.socket.from_stdlib_socket(sock) for sock in (source, target)]
    with wrapped[0], wrapped[1]:
        await copy(wrapped[0], wrapped[1])


def _pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    for sock in (theirs, ours):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ours.setblocking(False)
    return theirs, ours


def _feed(sources: Sockets, targets: Sockets, inherited: Sockets) -> None:
    for sock in inherited:
        # A copy left open here would keep the ends of the streams from being seen.
        sock.close()
    due = time.monotonic()
    for _ in range(EVENTS):
        for sock in sources:
            sock.sendall(_EVENT)
        for sock in targets:
            with contextlib.suppress(BlockingIOError):
                sock.recv(1 << 16, socket.MSG_DONTWAIT)
        due += INTERVAL
        time.sleep(max(0.0, due - time.monotonic()))
    for sock in sources:
        sock.close()


def _ask(providers: Sockets, callers: Sockets, inherited: Sockets) -> None:
    for sock in inherited:
        sock.close()
    for _ in range(REQUESTS):
        for caller in callers:
            caller.sendall(_REQUEST)
        for provider in providers:
            provider.recv(1 << 16)
            provider.sendall(_ANSWER)
        for caller in callers:
            caller.recv(1 << 16)
    for sock in (*callers, *providers):
        sock.close()


if __name__ == "__main__":
    for label, microseconds in run().items():
        print(f"{microseconds:8.2f} µs  {label}")
