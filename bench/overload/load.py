"""A load client that does not wait: requests are sent when they are due, answered or not.

A client that asks again only when it has an answer slows down with the server, and shows neither
its queue nor its refusals ("coordinated omission"). This one has a timetable. What an answer took
is counted from its request's place in the timetable, also when the client had no connection free
for it or was itself late, and the latter is reported.

One epoll loop, no HTTP library; see `..load` for why.

    python -m bench.overload.load < plan.json     prints `open`, `close`, then the counts as JSON
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import select
import socket
import sys
import time
from collections import defaultdict, deque
from typing import Final

import msgspec

from .plan import OpenCounts, OpenPlan, Source, SourceCounts, waits

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE: Final = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_BUFFER: Final = bytearray(65536)
_VIEW: Final = memoryview(_BUFFER)
# Each has 28,000 ports, and a closed connection keeps its own for a minute.
_ADDRESSES: Final = itertools.cycle([f"127.0.0.{number}" for number in range(2, 18)])
_BIND_ADDRESS_NO_PORT: Final = 24  # linux/in.h; Python 3.12 has it in `socket`
UNANSWERED: Final = "no answer"


class Connection:
    """One connection: of a pool, or of one request."""

    __slots__ = ("connected", "due", "inbox", "lane", "sock")

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.sock: socket.socket | None = None
        self.connected = False
        self.inbox = b""
        # When the request that is under way was due; 0 if none is.
        self.due = 0


class Lane:
    """A source at work. Its tallies are of requests that were due in the counted window."""

    def __init__(self, source: Source, began: int) -> None:
        self.source = source
        self.requests = itertools.cycle([each.encode() for each in source.requests])
        self.step = 1e9 / source.rate if source.rate else 0.0
        self.number = 0
        self.began = began
        self.free: deque[Connection] = deque()
        self.waiting: deque[int] = deque()
        self.under_way = 0
        self.due_in_window = 0
        self.took: defaultdict[str, list[float]] = defaultdict(list)
        self.in_window: defaultdict[str, int] = defaultdict(int)

    @property
    def next_due(self) -> int:
        return self.began + int(self.number * self.step)


class OpenLoad:
    def __init__(self, plan: OpenPlan) -> None:
        self._plan = plan
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._failed: list[Connection] = []
        self._late: list[float] = []
        now = time.monotonic_ns()
        self._opens = now + int(plan.warm_up * 1e9)
        self._closes = self._opens + int(plan.seconds * 1e9)
        self._lanes = [Lane(source, now) for source in plan.sources]
        self._timed = [lane for lane in self._lanes if lane.step]

    def run(self) -> None:
        for lane in self._lanes:
            if lane.source.kept or not lane.step:
                for _ in range(lane.source.connections):
                    self._free(Connection(lane), time.monotonic_ns())
        self._drive(self._opens)
        os.write(1, b"open\n")
        began = time.process_time()
        self._drive(self._closes)
        cpu = (time.process_time() - began) / self._plan.seconds
        os.write(1, b"close\n")
        # The load goes on for a while, or those that came last would be answered sooner.
        self._drive(self._closes + 1_000_000_000)
        self._timed = []
        self._drive(self._closes + int(self._plan.grace * 1e9), until_answered=True)
        os.write(1, msgspec.json.encode(self._counts(cpu)) + b"\n")

    def _drive(self, until: int, *, until_answered: bool = False) -> None:
        now = time.monotonic_ns()
        while now < until:
            for lane in self._timed:
                while (due := lane.next_due) <= now:
                    lane.number += 1
                    self._begin(lane, due, now)
            if until_answered and not any(lane.under_way or lane.waiting for lane in self._lanes):
                return
            soonest = min([lane.next_due for lane in self._timed], default=until)
            pause = max(0.0, (min(soonest, until) - now) / 1e9)
            for fd, _ in self._epoll.poll(pause):
                connection = self._connections.get(fd)
                if connection is not None:
                    self._react(connection)
            failed, self._failed = self._failed, []
            for connection in failed:
                self._end(connection, "connect")
            now = time.monotonic_ns()

    def _begin(self, lane: Lane, due: int, now: int) -> None:
        if self._counted(due):
            lane.due_in_window += 1
            self._late.append((now - due) / 1e6)
        if not lane.source.kept:
            self._ask(Connection(lane), due)
        elif lane.free:
            self._ask(lane.free.popleft(), due)
        else:
            lane.waiting.append(due)

    def _counted(self, due: int) -> bool:
        return self._opens <= due < self._closes

    # One request...

    def _ask(self, connection: Connection, due: int) -> None:
        connection.due = due
        connection.lane.under_way += 1
        if connection.sock is None:
            self._connect(connection)
        else:
            self._send(connection, connection.sock)

    def _connect(self, connection: Connection) -> None:
        connection.sock = sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.connected, connection.inbox = False, b""
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        sock.bind((next(_ADDRESSES), 0))
        self._connections[sock.fileno()] = connection
        code = sock.connect_ex(("127.0.0.1", self._plan.port))
        self._epoll.register(sock.fileno(), select.EPOLLOUT)
        if code not in (0, errno.EINPROGRESS):
            self._failed.append(connection)

    def _send(self, connection: Connection, sock: socket.socket) -> None:
        try:
            sock.send(next(connection.lane.requests))
        except OSError:
            self._lost(connection)

    def _react(self, connection: Connection) -> None:
        sock = connection.sock
        if sock is None:
            return
        if not connection.connected:
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._end(connection, "connect")
                return
            connection.connected = True
            self._epoll.modify(sock.fileno(), select.EPOLLIN)
            self._send(connection, sock)
            return
        try:
            data = bytes(_VIEW[: sock.recv_into(_BUFFER)])
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost(connection)
            return
        self._read(connection, connection.inbox + data)

    def _read(self, connection: Connection, data: bytes) -> None:
        end = data.find(b"\r\n\r\n") + 4
        length = _LENGTH.search(data, 0, end) if end > 3 else None
        if length is None or len(data) < end + int(length[1]):
            connection.inbox = data
            return
        connection.inbox = b""
        closing = not connection.lane.source.kept or _CLOSE.search(data, 0, end) is not None
        self._end(connection, data[9:12].decode("latin-1"), closing=closing)

    def _lost(self, connection: Connection) -> None:
        if not connection.due:
            self._drop(connection)  # closed while idle: the next request opens it again
            return
        self._end(connection, "cut" if connection.inbox else "reset")

    def _end(self, connection: Connection, outcome: str, *, closing: bool = True) -> None:
        now, due, lane = time.monotonic_ns(), connection.due, connection.lane
        if self._counted(due):
            lane.took[outcome].append((now - due) / 1e6)
        if self._counted(now):
            lane.in_window[outcome] += 1
        connection.due = 0
        lane.under_way -= 1
        if closing:
            self._drop(connection)
        if lane.source.kept or not lane.step:
            self._free(connection, now)

    def _free(self, connection: Connection, now: int) -> None:
        lane = connection.lane
        if lane.waiting:
            self._ask(connection, lane.waiting.popleft())
        elif lane.step:
            lane.free.append(connection)
        elif now < self._closes:
            self._ask(connection, now)

    def _drop(self, connection: Connection) -> None:
        if connection.sock is not None:
            del self._connections[connection.sock.fileno()]
            connection.sock.close()
            connection.sock = None

    # What came of it...

    def _counts(self, cpu: float) -> OpenCounts:
        late = sorted(self._late) or [0.0]
        return OpenCounts(
            sources=[self._source(lane) for lane in self._lanes],
            late_p99=late[round((len(late) - 1) * 0.99)],
            late_most=late[-1],
            cpu=cpu,
        )

    def _source(self, lane: Lane) -> SourceCounts:
        seconds = self._plan.seconds
        missing = lane.due_in_window - sum(map(len, lane.took.values()))
        if lane.step and missing:
            lane.took[UNANSWERED] = [self._plan.grace * 1e3] * missing
        answers = {
            outcome: waits(took, lane.in_window[outcome], seconds)
            for outcome, took in sorted(lane.took.items())
        }
        return SourceCounts(lane.source.name, lane.due_in_window / seconds, answers)


def main() -> None:
    OpenLoad(msgspec.json.decode(sys.stdin.buffer.read(), type=OpenPlan)).run()


if __name__ == "__main__":
    main()
