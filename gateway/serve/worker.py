"""One worker process: Hypercorn's Trio worker between the first signal and the exit.

SIGTERM    not ready any more; accept for `drain_delay`, then stop accepting (SIGINT: at once)
           requests in flight finish within `drain_timeout`; after it they are ended
again      requests in flight are ended now
hard stop  10 s after all of that should have been over; what still runs is cut off
SIGHUP     read the configuration again, also during a drain
retire     a successor accepts: stop accepting; what is kept open is closed after `drain_delay`, and
           the rest is as after SIGTERM, but that nothing is refused which waits for a place
SIGUSR2    of no meaning here: it is the supervisor that replaces workers
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
from .crew.member import RETIRE
from .install import install
from .open_connections import END_GRACE, OpenConnections, PolicySource
from .policy import HARD_STOP_AFTER
from .sighup import SighupReloads
from .surroundings.tls import Certificates

FAILED_STATUS: Final = 70  # EX_SOFTWARE of sysexits.h
LAST_WORDS_SECONDS: Final = 0.5
_READ: Final = 16
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)

_log = logging.getLogger(__name__)

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
    on_retire: Callable[[], None] = lambda: None,
) -> None:
    """Serve `app` on listening `sockets` until a signal, and return after a clean drain.

    Must run in the main thread. `hangups` are obeyed once the app has started. `on_ready` gets
    the addresses once connections are accepted. `lifeline` is the reading end of a pipe: at its
    EOF, when the supervisor died, the worker leaves as after SIGINT; by it a worker is told to
    retire, and then `on_retire` is called. With `certificates` it is TLS that is served. Closes the
    sockets. Raises `StartupFailed` and `ServiceFailed`.
    """
    connections = install(policy, lifecycle, certificates)
    leaving = _Leaving(policy, lifecycle, connections, on_retire)
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
        with trio.open_signal_receiver(*_SIGNALS) as signals:
            # Whoever has held them back, so that none is lost, knows that they are heard now.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
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
        self,
        policy: PolicySource,
        lifecycle: Lifecycle,
        connections: OpenConnections,
        on_retire: Callable[[], None],
    ) -> None:
        self.stopped = trio.Event()
        self._policy = policy
        self._lifecycle = lifecycle
        self._connections = connections
        self._on_retire = on_retire
        self._asked = False
        self._retiring = False
        self._watchdog: threading.Timer | None = None

    async def obey(self, signals: AsyncIterator[int]) -> None:
        async with trio.open_nursery() as nursery:
            async for signum in signals:
                if signum == signal.SIGUSR2:
                    _log.warning(
                        "SIGUSR2 asks for an upgrade, which only the supervisor of `gateway serve"
                        " --workers` can do; this process goes on as it is"
                    )
                elif not self._asked:
                    self._asked = True
                    # One that retires accepts nothing anyway.
                    patient = signum == signal.SIGTERM and not self._retiring
                    delay = self._policy().drain_delay if patient else 0.0
                    nursery.start_soon(self._leave, delay)
                else:
                    self.stopped.set()
                    self._lifecycle.end_requests()
                    self._connections.hurry()

    async def follow(self, lifeline: int) -> None:
        """Retire when told so; leave when the other end of `lifeline` closes."""
        async with trio.open_nursery() as nursery:
            async with trio.lowlevel.FdStream(lifeline) as pipe:
                while data := await pipe.receive_some(_READ):
                    if RETIRE in data and not (self._asked or self._retiring):
                        nursery.start_soon(self._retire)
            if not self._asked:
                self._asked = True
                await self._leave(0.0)

    async def _retire(self) -> None:
        self._retiring = True
        self._on_retire()
        self._connections.stop_accepting()
        self._lifecycle.retire()
        # Who has a connection open and asks again is told to open another, and so meets the
        # successor. A connection that stays idle for so long is closed.
        with trio.move_on_after(self._policy().drain_delay):
            await self.stopped.wait()
            return
        self._watch_over(0.0)
        self.stopped.set()

    async def _leave(self, delay: float) -> None:
        self._lifecycle.start_drain()
        self._watch_over(delay)
        with trio.move_on_after(delay):
            await self.stopped.wait()
        self.stopped.set()

    def _watch_over(self, delay: float) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._watchdog = threading.Timer(
            delay + self._policy().drain_timeout + HARD_STOP_AFTER, _hard_stop
        )
        self._watchdog.daemon = True
        self._watchdog.start()

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
