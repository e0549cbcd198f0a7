"""What the transport costs the gateway's CPU, per request and per piece of a body.

The server is another process that replays canned bytes, so that `process_time` counts the
client only. `httpx` is `AsyncClient` on top of the same transport.

    python -m bench.micro.transport
"""

from __future__ import annotations

import math
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable

import httpx
import trio

from gateway.core.routing.call import Call, Origin
from gateway.upstream.httpx_adapter import HttpxTransport
from gateway.upstream.transport import Transport

REQUESTS = 2000
PIECES = 2000
ANSWER = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello."}}]}'
EVENT = b'data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":" token"}}]}\n\n'
CHUNK = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)
HEAD = (
    b"HTTP/1.1 200 OK\r\ndate: Mon, 01 Jan 2024 00:00:00 GMT\r\nserver: bench\r\n"
    b"content-type: application/json\r\n"
)
SMALL = HEAD + b"content-length: %d\r\n\r\n" % len(ANSWER) + ANSWER
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
# How many chunks the server writes at once, in a burst that the client is slower than.
BURST = 200


def serve(listener: socket.socket) -> None:
    """Answer by path, one connection at a time: /small, /paced, /burst."""
    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client:
            while request := client.recv(65536):
                path = request.split(b" ", 2)[1]
                if path == b"/small":
                    client.sendall(SMALL)
                elif path == b"/paced":
                    client.sendall(CHUNKED)
                    for _ in range(PIECES):
                        client.sendall(CHUNK)
                        # So that each piece is a read of its own.
                        time.sleep(0.0002)
                    client.sendall(b"0\r\n\r\n")
                else:
                    client.sendall(CHUNKED)
                    for _ in range(PIECES // BURST):
                        client.sendall(CHUNK * BURST)
                    client.sendall(b"0\r\n\r\n")


def call(port: int, target: bytes) -> Call:
    return Call(
        origin=Origin("http", "127.0.0.1", port),
        method=b"POST",
        target=target,
        headers=(
            (b"authorization", b"Bearer sk-0123456789abcdef0123456789abcdef"),
            (b"content-type", b"application/json"),
            (b"accept", b"text/event-stream"),
            (b"user-agent", b"gateway/0"),
            (b"x-request-id", b"req_0123456789abcdef"),
        ),
        body=b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}',
    )


async def cost(what: Callable[[], Awaitable[object]], times: int) -> float:
    """Return microseconds of this process's CPU for each of `times` runs of `what`."""
    for _ in range(times // 10):
        await what()
    began = time.process_time_ns()
    for _ in range(times):
        await what()
    return (time.process_time_ns() - began) / times / 1000


async def drain(transport: Transport, target: Call) -> tuple[float, int]:
    """Return microseconds of CPU for reading one body, and in how many pieces it came."""
    response = await transport.request(target)
    pieces = 0
    began = time.process_time_ns()
    while await response.receive_some():
        pieces += 1
    return (time.process_time_ns() - began) / 1000, pieces


async def bare_receive(port: int) -> float:
    """Return what Trio's own receive costs for the same paced stream, with nothing on top."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        await stream.send_all(b"POST /paced HTTP/1.1\r\n\r\n")
        pieces = 0
        began = time.process_time_ns()
        while not (await stream.socket.recv(65536)).endswith(b"0\r\n\r\n"):
            pieces += 1
        return (time.process_time_ns() - began) / 1000 / pieces


async def measure(port: int) -> dict[str, float]:
    transport = Transport()
    small = call(port, b"/small")

    async def direct() -> None:
        await (await transport.request(small)).read(65536)

    request = await cost(direct, REQUESTS)
    await transport.aclose()
    transport = Transport()
    async with httpx.AsyncClient(transport=HttpxTransport(transport)) as client:
        headers = [*small.headers]

        async def through_httpx() -> None:
            await client.post(f"http://127.0.0.1:{port}/small", content=small.body, headers=headers)

        over_httpx = await cost(through_httpx, REQUESTS // 2)
    # The server has one connection at a time, and httpx's is of another pool.
    await transport.aclose()
    transport = Transport()
    # The least of several: what a wait costs depends on what else the machine does.
    paced = bare = burst = math.inf
    for _ in range(3):
        spent, pieces = await drain(transport, call(port, b"/paced"))
        paced = min(paced, spent / pieces)
        burst = min(burst, (await drain(transport, call(port, b"/burst")))[0])
        await transport.aclose()
        transport = Transport()
        bare = min(bare, await bare_receive(port))
    return {
        "request_us": request,
        "httpx_adds_us": over_httpx - request,
        "paced_piece_us": paced,
        "paced_piece_over_trio_us": paced - bare,
        "burst_chunk_us": burst / PIECES,
    }


def run() -> dict[str, float]:
    """Return microseconds of client CPU by what they are for."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        child = os.fork()
        if child == 0:
            try:
                serve(listener)
            finally:
                os._exit(0)
        try:
            return trio.run(measure, port)
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)


if __name__ == "__main__":
    for name, value in run().items():
        sys.stdout.write(f"{name:28} {value:8.1f}\n")
