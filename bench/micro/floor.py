"""The least that an event can cost: relays on Trio that do nothing but relay.

64 streams, an event every 10 ms on each, read from one socket and written to another, in CPU
time of this process per event. `try first` is Trio's `SocketStream`, `wait first` what
`gateway/tcp.py` does, `channel` adds a second task and a bounded channel between reading and
writing. What the gateway costs above the last is its own: framing, rewriting, HTTP.
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
_EVENT: Final = b"data: " + b"x" * 280 + b"\n\n"
_READ: Final = 32 * 1024

TrioSocket = trio.socket.SocketType
Copy = Callable[[TrioSocket, TrioSocket], Awaitable[None]]


def run() -> dict[str, float]:
    """Return microseconds of CPU time per event."""
    return {
        "relay, try first": _measure(_try_first),
        "relay, wait first": _measure(_wait_first),
        "relay, wait first, channel": _measure(_through_channel),
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


def _measure(copy: Copy) -> float:
    sources, targets = ([_pair() for _ in range(STREAMS)] for _ in range(2))
    theirs = [pair[0] for pair in sources], [pair[0] for pair in targets]
    ours = [pair[1] for pair in (*sources, *targets)]
    feeder = multiprocessing.get_context("fork").Process(
        target=_feed, args=(*theirs, ours), daemon=True
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
    return spent / (STREAMS * EVENTS) * 1e6


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


def _feed(
    sources: list[socket.socket], targets: list[socket.socket], inherited: list[socket.socket]
) -> None:
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


if __name__ == "__main__":
    for label, microseconds in run().items():
        print(f"{microseconds:8.2f} µs  {label}")
