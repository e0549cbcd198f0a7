"""A load client that costs next to nothing: one epoll loop, no HTTP library, no JSON.

It keeps a fixed number of requests under way on kept-alive connections (a closed loop: a new
request goes out as soon as the last was answered). Of each answer it reads the status, the end and
the stamps of its events, one clock reading per `recv`. What it checks of every answer: status 200,
the number of events, the model's name in the first and the last event, `[DONE]`, a proper end.
`check.py` looks at one whole answer of each kind beforehand, strictly.

    python -m bench.load < plan.json     prints `open`, `close` and then the counts as JSON
"""

from __future__ import annotations

import errno
import heapq
import os
import re
import select
import socket
import sys
import time
from typing import Final

import msgspec

from .chunks import STAMP
from .window import Plan, Tally

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE: Final = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_STOPPED: Final = re.compile(rb'"finish_reason": ?"stop"')

# Read into one buffer for ever: `recv(262144)` would allocate and give back that much memory each
# time, which takes 20 us where reading 300 bytes takes 4.
_BUFFER: Final = bytearray(262_144)
_VIEW: Final = memoryview(_BUFFER)
# The longest thing to be found across two `recv`s: `data: [DONE]` with framing on both sides.
_TAIL: Final = 48
# After a failure, so that a dead server is not hammered.
_PAUSE_NS: Final = 100_000_000


class Broken(Exception):
    """An answer is not what it should be; says why, in a few words."""


class Answer:
    """One answer as it arrives. Raises `Broken` as soon as it is known to be wrong."""

    __slots__ = ("before", "close", "events", "first", "head", "last", "length", "tail")

    def __init__(self) -> None:
        self.head = True
        self.close = False
        self.length = -1  # chunked, unless the head says otherwise
        self.events = 0
        self.tail = b""
        self.first = b""  # data with the first event, with the last one, and before the end
        self.last = b""
        self.before = b""

    def feed_head(self, data: bytes) -> bytes | None:
        """Read the head. Return the body's first bytes, None if the head is not complete."""
        data = self.tail + data
        end = data.find(b"\r\n\r\n") + 4
        if end == 3:
            self.tail = data
            return None
        if not data.startswith(b"HTTP/1.1 200"):
            raise Broken(f"status {data[9:12].decode('latin-1')}")
        found = _LENGTH.search(data, 0, end)
        if found:
            self.length = int(found[1])
        self.close = _CLOSE.search(data, 0, end) is not None
        self.head = False
        self.tail = b""
        return data[end:]

    def feed_body(self, data: bytes, model: re.Pattern[bytes]) -> bool:
        """Read some of an answer that is not streamed; say whether it is complete."""
        self.tail = data = self.tail + data
        if self.length >= 0:
            if len(data) < self.length:
                return False
        elif not data.endswith(b"0\r\n\r\n"):
            return False
        if not _STOPPED.search(data):
            raise Broken("no finish_reason")
        if not model.search(data):
            raise Broken("wrong model")
        return True

    def feed_events(self, data: bytes) -> list[bytes]:
        """Read some of a stream; return the stamps in it."""
        if self.tail:
            data = self.tail + data
        stamps: list[bytes] = STAMP.findall(data)
        if stamps:
            if not self.events:
                self.first = data
            self.events += len(stamps)
            self.last = data
        else:
            self.before = data
        # A stamp ends in "!", so none is found twice, and a cut one is found next time.
        self.tail = data[max(data.rfind(b"!") + 1, len(data) - _TAIL) :]
        return stamps

    def ended(self, model: re.Pattern[bytes], events: int) -> bool:
        """Say whether the stream has ended as it should."""
        if not self.tail.endswith(b"\r\n0\r\n\r\n"):
            return False
        if b"[DONE]" not in self.tail:
            raise Broken("no [DONE]")
        if self.events != events:
            raise Broken(f"{self.events} events")
        if not model.search(self.first) or not model.search(self.last + self.before):
            raise Broken("wrong model")
        return True


class Caller:
    """One of the requests under way, again and again, on one connection if the server lets it."""

    __slots__ = ("answer", "connecting", "served", "sock", "started")

    def __init__(self) -> None:
        self.sock: socket.socket | None = None
        self.connecting = False
        self.served = 0
        self.started = 0
        self.answer = Answer()


class Load:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._request = plan.request.encode()
        self._model = re.compile(rb'"model": ?"' + re.escape(plan.model.encode()) + rb'"')
        self._tally = Tally()
        self._epoll = select.epoll()
        self._callers: dict[int, Caller] = {}
        self._waiting: list[tuple[int, int, Caller]] = []  # to start at, tie-breaker, who

    def run(self) -> None:
        plan, tally, waiting = self._plan, self._tally, self._waiting
        now = time.monotonic_ns()
        step = int(plan.ramp * 1e9 / plan.connections)
        waiting += [(now + index * step, index, Caller()) for index in range(plan.connections)]
        opens = now + int((plan.ramp + plan.warm_up) * 1e9)
        closes = opens + int(plan.seconds * 1e9)
        while now < closes and not (plan.requests and tally.requests >= plan.requests):
            if not tally.counting and now >= opens:
                tally.counting = True
                opened = now
                os.write(1, b"open\n")
            while waiting and waiting[0][0] <= now:
                self._connect(heapq.heappop(waiting)[2])
            until = min(waiting[0][0] if waiting else closes, closes if tally.counting else opens)
            for fd, _ in self._epoll.poll(max(0.0, (until - now) / 1e9)):
                self._react(self._callers[fd])
            now = time.monotonic_ns()
        os.write(1, b"close\n")
        for caller in list(self._callers.values()):
            self._drop(caller)
        os.write(1, msgspec.json.encode(tally.counted((now - opened) / 1e9)) + b"\n")

    # One caller's life...

    def _connect(self, caller: Caller) -> None:
        caller.sock = sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        caller.connecting, caller.served = True, 0
        self._callers[sock.fileno()] = caller
        code = sock.connect_ex(("127.0.0.1", self._plan.port))
        self._epoll.register(sock.fileno(), select.EPOLLOUT)
        if code not in (0, errno.EINPROGRESS):
            self._fail(caller, "connect")

    def _ask(self, caller: Caller, sock: socket.socket) -> None:
        caller.answer = Answer()
        caller.started = time.monotonic_ns()
        try:
            sock.send(self._request)
        except OSError:
            self._lost(caller)

    def _react(self, caller: Caller) -> None:
        sock = caller.sock
        if sock is None:
            return
        if caller.connecting:
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._fail(caller, "connect")
                return
            caller.connecting = False
            self._epoll.modify(sock.fileno(), select.EPOLLIN)
            self._ask(caller, sock)
            return
        try:
            data = bytes(_VIEW[: sock.recv_into(_BUFFER)])
        except BlockingIOError:
            return
        except OSError:
            data = b""
        now = time.monotonic_ns()
        if not data:
            self._lost(caller)
            return
        try:
            done = self._read(caller, data, now)
        except Broken as reason:
            self._fail(caller, str(reason))
            return
        if done:
            self._done(caller, sock, now)

    def _read(self, caller: Caller, data: bytes, now: int) -> bool:
        answer, tally, events = caller.answer, self._tally, self._plan.events
        if answer.head:
            body = answer.feed_head(data)
            if body is None:
                return False
            data = body
        if not events:
            return answer.feed_body(data, self._model)
        fresh = not answer.events
        stamps = answer.feed_events(data)
        if stamps and tally.counting:
            tally.events += len(stamps)
            tally.delay += [now - int(stamp) for stamp in stamps]
            if fresh:
                tally.first.append(now - caller.started)
        return answer.ended(self._model, events)

    def _done(self, caller: Caller, sock: socket.socket, now: int) -> None:
        tally = self._tally
        caller.served += 1
        if tally.counting:
            tally.requests += 1
            tally.whole.append(now - caller.started)
            if not self._plan.events:
                tally.first.append(now - caller.started)
        if caller.answer.close:
            tally.reconnects += 1
            self._drop(caller)
            self._connect(caller)
        else:
            self._ask(caller, sock)

    def _lost(self, caller: Caller) -> None:
        answer = caller.answer
        if answer.head and not answer.tail and caller.served:
            # Closed between two requests: a client may then ask again (RFC 9112 section 9.3.1).
            self._tally.reconnects += 1
            self._drop(caller)
            self._connect(caller)
        else:
            self._fail(caller, "connection lost")

    def _fail(self, caller: Caller, what: str) -> None:
        self._tally.error(what)
        self._drop(caller)
        again = time.monotonic_ns() + _PAUSE_NS
        heapq.heappush(self._waiting, (again, id(caller), caller))

    def _drop(self, caller: Caller) -> None:
        if caller.sock is not None:
            del self._callers[caller.sock.fileno()]
            caller.sock.close()
            caller.sock = None


def main() -> None:
    Load(msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)).run()


if __name__ == "__main__":
    main()
