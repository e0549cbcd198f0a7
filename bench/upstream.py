"""A fake provider that costs next to nothing: one epoll loop over bytes rendered in advance.

What to answer comes with each request, in its text: `bench events=64 pace=10` (milliseconds, 0 for
all at once). Paced streams wait in a wheel of 1 ms slots. `GET /stats` tells how many streams are
open and how late the wheel has been, so that a measurement can be doubted.

    python -m bench.upstream [PORT]      prints the port it listens on
"""

from __future__ import annotations

import functools
import re
import select
import socket
import sys
import time
from collections import defaultdict
from typing import Final

from .chunks import PROVIDER_MODEL, STREAM_HEAD, Stream, answer, completion

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ORDER: Final = re.compile(rb"bench events=(\d+) pace=(\d+)")
_STREAMED: Final = re.compile(rb'"stream": ?true')
_USAGE: Final = re.compile(rb'"include_usage": ?true')

_COMPLETION: Final = answer(completion(PROVIDER_MODEL))
_MODELS: Final = answer(b'{"object":"list","data":[]}')
_BAD_REQUEST: Final = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_SLOT_NS: Final = 1_000_000


@functools.cache
def _stream(events: int, usage: bool) -> Stream:
    return Stream(PROVIDER_MODEL, events, usage=usage)


class Connection:
    __slots__ = ("closed", "due", "inbox", "index", "outbox", "pace", "sock", "stream")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.inbox = b""
        self.outbox = b""
        self.closed = False
        # The stream under way, the number of its next event, when that is due and how far apart
        # they are, in slots.
        self.stream: Stream | None = None
        self.index = 0
        self.due = 0
        self.pace = 0


class Provider:
    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._epoll = select.epoll()
        self._epoll.register(listener.fileno(), select.EPOLLIN)
        self._connections: dict[int, Connection] = {}
        self._wheel: defaultdict[int, list[Connection]] = defaultdict(list)
        self._slot = time.monotonic_ns() // _SLOT_NS
        self._open = 0
        self._late = 0
        self._requests = 0

    def run(self) -> None:
        """Serve for ever."""
        listening = self._listener.fileno()
        while True:
            # With streams under way the wheel turns every millisecond, due or not.
            for fd, mask in self._epoll.poll(0.001 if self._wheel else None):
                if fd == listening:
                    self._accept()
                    continue
                connection = self._connections[fd]
                if mask & select.EPOLLOUT:
                    self._flush(connection)
                if mask & ~select.EPOLLOUT:
                    self._receive(connection)
            if self._wheel:
                self._turn()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[sock.fileno()] = Connection(sock)
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _receive(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return
        data = connection.inbox + data
        while data and not connection.closed:
            end = data.find(b"\r\n\r\n") + 4
            if end == 3:
                break
            found = _LENGTH.search(data, 0, end)
            length = int(found[1]) if found else 0
            if len(data) < end + length:
                break
            self._answer(connection, data[:end], data[end : end + length])
            data = data[end + length :]
        connection.inbox = data

    def _answer(self, connection: Connection, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET "):
            self._send(connection, self._stats() if b"/stats" in head[:20] else _MODELS)
            return
        self._requests += 1
        if not _STREAMED.search(body):
            self._send(connection, _COMPLETION)
            return
        order = _ORDER.search(body)
        if not order:
            self._send(connection, _BAD_REQUEST)
            self._close(connection)
            return
        stream = _stream(int(order[1]), _USAGE.search(body) is not None)
        pace = int(order[2])
        now = time.monotonic_ns()
        if not pace:
            self._send(connection, STREAM_HEAD + stream.burst(now))
            return
        # The first event is due one pace after the head, as tokens come from a model.
        self._send(connection, STREAM_HEAD)
        connection.stream, connection.index, connection.pace = stream, 0, pace
        connection.due = now // _SLOT_NS + pace
        if not self._wheel:
            self._slot = now // _SLOT_NS
        self._wheel[connection.due].append(connection)
        self._open += 1

    def _turn(self) -> None:
        now = time.monotonic_ns() // _SLOT_NS
        for slot in range(self._slot + 1, now + 1):
            for connection in self._wheel.pop(slot, ()):
                self._emit(connection, now)
        self._slot = now

    def _emit(self, connection: Connection, now: int) -> None:
        stream = connection.stream
        if stream is None or connection.closed:
            return
        self._late = max(self._late, now - connection.due)
        if connection.index == len(stream):
            connection.stream = None
            self._open -= 1
            self._send(connection, stream.end)
            return
        self._send(connection, stream.piece(connection.index, time.monotonic_ns()))
        connection.index += 1
        connection.due += connection.pace
        # Never into the past: that slot would not come again. A late provider catches up.
        self._wheel[max(connection.due, now + 1)].append(connection)

    def _send(self, connection: Connection, data: bytes) -> None:
        if connection.outbox:
            connection.outbox += data
            return
        try:
            sent = connection.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(connection)
            return
        if sent < len(data):
            connection.outbox = data[sent:]
            self._epoll.modify(connection.sock.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _flush(self, connection: Connection) -> None:
        waiting, connection.outbox = connection.outbox, b""
        self._send(connection, waiting)
        if not connection.outbox and not connection.closed:
            self._epoll.modify(connection.sock.fileno(), select.EPOLLIN)

    def _close(self, connection: Connection) -> None:
        if connection.closed:
            return
        connection.closed = True
        if connection.stream is not None:
            connection.stream = None
            self._open -= 1
        fd = connection.sock.fileno()
        self._epoll.unregister(fd)
        del self._connections[fd]
        connection.sock.close()

    def _stats(self) -> bytes:
        late, self._late = self._late, 0
        text = f'{{"open":{self._open},"late_ms":{late},"requests":{self._requests}}}'
        return answer(text.encode())


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    with socket.create_server(("127.0.0.1", port), backlog=4096) as listener:
        listener.setblocking(False)
        print(listener.getsockname()[1], flush=True)
        Provider(listener).run()


if __name__ == "__main__":
    main()
