"""The open connections of a worker, and how a drain closes them.

One task per worker watches for the end; Hypercorn has one per connection, which it stops and
starts again around every request at a cost of about 100 us.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext

from ..lifecycle import Lifecycle, Phase
from . import gate
from .byte_stream import ByteStream
from .entry.dismissal import Dismissal
from .entry.entrance import Entrance
from .entry.idle import CrowdedRoom, Presence
from .gate import HeadRefusal
from .policy import ServingPolicy
from .progress import ProgressWatch

# How long exchanges that were ended have to send their last event and settle.
END_GRACE: Final = 5.0

PolicySource = Callable[[], ServingPolicy]


class TrackedConnection(Protocol):
    def retire(self) -> None: ...

    def abort(self) -> None: ...


class OpenConnections:
    """Reads the policy through a callable: under the Hypercorn CLI it is loaded later."""

    def __init__(self, policy: PolicySource, lifecycle: Lifecycle) -> None:
        self.policy = policy
        self.lifecycle = lifecycle
        self.progress = ProgressWatch(lambda: policy().send_timeout)
        self.entrance = Entrance(policy, lifecycle.entry)
        self.dismissal = Dismissal(self._own_fields)
        self.room = CrowdedRoom()
        self._members: set[TrackedConnection] = set()
        self._context: WorkerContext | None = None
        self._config: Config | None = None
        self._adopted = trio.Event()
        self._hurried = trio.Event()
        self._accepting: set[trio.CancelScope] = set()
        self._stopped = False
        self._headers: list[tuple[bytes, bytes]] = []
        self._headers_until = 0.0

    def __repr__(self) -> str:
        return f"<OpenConnections {len(self._members)} connections, {self.lifecycle!r}>"

    def __len__(self) -> int:
        return len(self._members)

    def __bool__(self) -> bool:
        return True

    @property
    def members(self) -> frozenset[TrackedConnection]:
        """Return the connections that are open."""
        return frozenset(self._members)

    def adopt(self, config: Config, context: WorkerContext) -> None:
        """Learn the worker from its first connection, and give it time to drain."""
        if context is self._context:
            return
        self._context = context
        self._config = config
        self._adopted.set()
        config.include_server_header = False
        # 3 s by default; read by `worker_serve` only when it stops accepting.
        enough = self.policy().drain_timeout + END_GRACE + 1
        config.graceful_timeout = max(config.graceful_timeout, enough)

    def bytes_of(self, stream: Any, transport: Any, send_timeout: float) -> ByteStream:
        """Return the bytes of a new connection."""
        return ByteStream(stream, transport, send_timeout, self.progress, self.entrance.crowd)

    @contextlib.contextmanager
    def joined(self, member: TrackedConnection, presence: Presence) -> Iterator[None]:
        self._members.add(member)
        self.room.enter(presence)
        try:
            yield
        finally:
            self.room.leave(presence)
            self._members.discard(member)

    def answer_headers(self, config: Config) -> list[tuple[bytes, bytes]]:
        """Return Hypercorn's own answer headers, made once a second."""
        now = time.time()
        if now >= self._headers_until:
            self._headers = config.response_headers("h11")
            self._headers_until = int(now) + 1
        return self._headers

    def refusal(self, refusal: HeadRefusal, head: bytes, *, bodiless: bool) -> bytes:
        """Return the answer that refuses the request of `head` and ends its connection."""
        request_id = f"req_{secrets.token_hex(16)}"
        fields = self._own_fields()
        return gate.render(refusal, request_id, date=fields, bodiless=bodiless, head=head)

    def _own_fields(self) -> list[tuple[bytes, bytes]]:
        # Turned away before there was any connection, an answer goes without a date.
        return self._headers if self._config is None else self.answer_headers(self._config)

    @property
    def paused(self) -> bool:
        """Say whether connections are left to other processes behind the same sockets."""
        return self.lifecycle.paused

    @contextlib.contextmanager
    def accepting(self) -> Iterator[None]:
        """Around what accepts connections: it is ended by `stop_accepting`."""
        with trio.CancelScope() as scope:
            if self._stopped:
                scope.cancel("nothing is accepted any more")
            self._accepting.add(scope)
            try:
                yield
            finally:
                self._accepting.discard(scope)

    def stop_accepting(self) -> None:
        """Accept nothing more, and leave the connections that there are as they are."""
        self._stopped = True
        for scope in self._accepting:
            scope.cancel("nothing is accepted any more")

    def hurry(self) -> None:
        """End a drain now, or as soon as it begins."""
        self._hurried.set()

    async def watch(self) -> None:
        """Drop clients that take nothing, and close all in good order once none is accepted.

        Run one per worker.

        Belongs into a nursery that outlives the server, such as the one of the app's lifespan,
        and is cancelled with it.
        """
        async with trio.open_nursery() as nursery:
            # Under Hypercorn's own parent no handler for SIGTERM has been set.
            main = threading.current_thread() is threading.main_thread()
            if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                nursery.start_soon(self._obey_sigterm)
            looking = trio.CancelScope()
            nursery.start_soon(self._look_within, looking)
            await self._adopted.wait()
            if self._context is not None:
                await self._context.terminated.wait()
            await self._close_all()
            looking.cancel("every connection was closed")

    async def _look_within(self, scope: trio.CancelScope) -> None:
        with scope:
            await self.progress.run()

    async def _close_all(self) -> None:
        self.lifecycle.leave()
        for member in tuple(self._members):
            member.retire()
        with trio.move_on_after(self.policy().drain_timeout):
            await self._hurried.wait()
        if self.lifecycle.phase is not Phase.ENDING:
            self.lifecycle.end_requests()
        await trio.sleep(END_GRACE)
        for member in tuple(self._members):
            member.abort()

    async def _obey_sigterm(self) -> None:
        """Drain on SIGTERM in a worker of Hypercorn's, which would die of it.

        A service manager signals the whole group, and Hypercorn's parent sends SIGTERM to the
        workers that still drain when the first of them is done: while draining it is ignored.
        """
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            await anext(signals)
            if self._context is None:
                # There was no connection yet, so nothing has to drain, and the worker's context
                # is not known.
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                os.kill(os.getpid(), signal.SIGTERM)
                return
            self.lifecycle.start_drain()
            if not self._context.terminated.is_set():
                await trio.sleep(self.policy().drain_delay)
                await self._context.terminate.set()
            await trio.sleep_forever()
