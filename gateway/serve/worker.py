"""One worker process: Hypercorn's Trio worker between the first signal and the exit.

SIGTERM    not ready any more; accept for `drain_delay`, then stop accepting (SIGINT: at once)
           requests in flight finish within `drain_timeout`; after it they are ended
again      requests in flight are ended now
hard stop  10 s after all of that should have been over; what still runs is cut off
SIGHUP     read the configuration again, also during a drain
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config, Sockets
from hypercorn.trio.run import worker_serve
from hypercorn.utils import LifespanFailureError, LifespanTimeoutError

from ..lifecycle import Lifecycle
from . import sockets as listening
from .install import install
from .open_connections import END_GRACE, OpenConnections, PolicySource
from .sighup import SighupReloads
from .surroundings.tls import Certificates

HARD_STOP_AFTER: Final = 10.0
FAILED_STATUS: Final = 70  # EX_SOFTWARE of sysexits.h
LAST_WORDS_SECONDS: Final = 0.5

App = Callable[[Any, Any, Any], Awaitable[None]]


class StartupFailed(Exception):
    """The app refused to start, and said why."""


class ServiceFailed(Exception):
    """The app has failed while it served, and has logged why: nothing can be served any more."""


async def serve_worker(
    app: App,
    *,
    sockets: Sequence[socket.socket],
    policy: PolicySource,
    lifecycle: Lifecycle,
    hangups: SighupReloads,
    on_ready: Callable[[list[str]], None],
    lifeline: int | None = None,
    certificates: Certificates | None = None,
) -> None:
    """Serve `app` on listening `sockets` until a signal, and return after a clean drain.

    Must run in the main thread. `hangups` are obeyed once the app has started. `on_ready` gets
    the addresses once connections are accepted. `lifeline` is the reading end of a pipe: at its
    EOF, when the supervisor died, the worker leaves as after SIGINT. With `certificates` it is
    TLS that is served. Closes the sockets. Raises `StartupFailed` and `ServiceFailed`.
    """
    connections = install(policy, lifecycle, certificates)
    leaving = _Leaving(policy, lifecycle, connections)
    wrapped = _Wrapped(app)
    plain, secure = (list(sockets), []) if certificates is None else ([], list(sockets))
    serve = partial(
        worker_serve,
        wrapped,
        _config(policy().drain_timeout),
        sockets=Sockets(secure, plain, []),
        shutdown_trigger=leaving.stopped.wait,
    )
    try:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connections.watch)
                nursery.start_soon(leaving.obey, signals)
                if lifeline is not None:
                    nursery.start_soon(leaving.follow, lifeline)

                async def run(task_status: trio.TaskStatus[list[str]]) -> None:
                    await serve(task_status=task_status)
                    nursery.cancel_scope.cancel("served")

                await nursery.start(run)
                if not wrapped.refused_to_start:
                    nursery.start_soon(hangups.obey)
                    on_ready([listening.describe(sock) for sock in sockets])
    except BaseExceptionGroup as group:
        failure = _lifespan_failure(group)
        if failure is None:
            raise
        if wrapped.failed:
            raise ServiceFailed(str(failure)) from failure
        raise StartupFailed(_said(failure)) from failure
    finally:
        leaving.over()


class _Wrapped(ASGIWrapper):
    """The app, and whether it has refused to start, or `failed` since then.

    Hypercorn reports that it accepts before it acts on the refusal.
    """

    refused_to_start = False
    failed = False

    async def __call__(
        self, scope: Any, receive: Any, send: Any, sync_spawn: Any, call_soon: Any
    ) -> None:
        if scope["type"] == "lifespan":
            send = partial(self._send_in_lifespan, send)
        await self.app(scope, receive, send)

    async def _send_in_lifespan(self, send: Any, message: Any) -> None:
        if message["type"] == "lifespan.startup.failed":
            self.refused_to_start = True
        elif message["type"] == "lifespan.shutdown.failed":
            self.failed = True
        await send(message)


def _config(drain_timeout: float) -> Config:
    config = Config()
    # A logger, not a target: it goes where the app's logging goes, and where nothing is set up
    # Python's handler of last resort still prints tracebacks to stderr.
    # Its "Running on" goes: `on_ready` is for telling people.
    config.errorlog = logging.getLogger(f"{__package__}.hypercorn")
    config.errorlog.setLevel(logging.WARNING)
    config.accesslog = None
    config.graceful_timeout = drain_timeout + END_GRACE + 1
    config.include_server_header = False
    # Only the lifespan has a queue left, of two messages.
    config.max_app_queue_size = 2
    return config


class _Leaving:
    """What signals have asked for so far."""

    def __init__(
        self, policy: PolicySource, lifecycle: Lifecycle, connections: OpenConnections
    ) -> None:
        self.stopped = trio.Event()
        self._policy = policy
        self._lifecycle = lifecycle
        self._connections = connections
        self._asked = False
        self._watchdog: threading.Timer | None = None

    async def obey(self, signals: AsyncIterator[int]) -> None:
        async with trio.open_nursery() as nursery:
            async for signum in signals:
                if not self._asked:
                    self._asked = True
                    patient = signum == signal.SIGTERM
                    delay = self._policy().drain_delay if patient else 0.0
                    nursery.start_soon(self._leave, delay)
                else:
                    self.stopped.set()
                    self._lifecycle.end_requests()
                    self._connections.hurry()

    async def follow(self, lifeline: int) -> None:
        """Leave when the other end of `lifeline` closes."""
        async with trio.lowlevel.FdStream(lifeline) as pipe:
            while await pipe.receive_some(1):
                pass
        if not self._asked:
            self._asked = True
            await self._leave(0.0)

    async def _leave(self, delay: float) -> None:
        self._lifecycle.start_drain()
        policy = self._policy()
        self._watchdog = threading.Timer(
            policy.drain_delay + policy.drain_timeout + HARD_STOP_AFTER, _hard_stop
        )
        self._watchdog.daemon = True
        self._watchdog.start()
        with trio.move_on_after(delay):
            await self.stopped.wait()
        self.stopped.set()

    def over(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()


def _hard_stop() -> None:
    # From a thread, since a fault that holds up the drain may hold up the event loop as well. The
    # last words from another: stderr may be what everything waits for.
    speaking = threading.Thread(target=_say_last_words, daemon=True)
    speaking.start()
    speaking.join(LAST_WORDS_SECONDS)
    os._exit(FAILED_STATUS)


def _say_last_words() -> None:
    with contextlib.suppress(OSError):
        os.write(2, b"gateway: still not drained, giving up\n")


def _lifespan_failure(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """Return the lifespan's failure if that is what `group` is about."""
    found = group.subgroup((LifespanFailureError, LifespanTimeoutError))
    leaf: BaseException | None = found
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    return leaf


def _said(failure: BaseException) -> str:
    """Return what our own app has said, without what Hypercorn puts around it."""
    return str(failure).removeprefix("Lifespan failure in startup. '").removesuffix("'")
