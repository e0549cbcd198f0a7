"""Gateways to test: in this process's own loop, and as processes of their own.

What they have in common is that nothing in them is replaced but the recorder, which keeps the
records in a list: real sockets, Hypercorn's real Trio worker, the real transport.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import hypercorn.trio.run
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config, Sockets
from hypercorn.trio.tcp_server import TCPServer

from gateway.api.asgi_app import AsgiApp, Runtime
from gateway.config.load import parse
from gateway.core.limits.prompt_text import TokenCounter
from gateway.core.records.record import Record
from gateway.core.records.traceparent import Trace
from gateway.lifecycle import Lifecycle
from gateway.process.application import Application
from gateway.proxy.traffic.body_memory import BodyMemory
from gateway.serve.install import install
from gateway.serve.open_connections import OpenConnections
from gateway.serve.sockets import listen
from gateway.upstream.transport import Transport

from ..fork_server.popen import NAME, open_process
from .provider import until

ROOT: Final = Path(__file__).parents[2]

# The records of a gateway in this process are kept instead.
QUIET: Final = "\n[log]\nrequests = false\n"

# A machine that does much else may need so long for what takes an idle one a tenth of a second.
PATIENCE: Final = 60.0


def config(
    *ports: int,
    server: str = "",
    retry: str = "base = 0.01\ncap = 0.02",
    timeouts: str = "",
    tokens: str = "",
    provider: str = "",
    models: str = "",
    overload: str = "lag = 0",
    store: str = 'url = ""',
) -> str:
    """Return a configuration with the model `m` on providers `p0`, `p1`... at `ports`.

    Requests are not shed because the machine is busy with other tests, and not kept. No load
    balancer has to notice that a gateway leaves.
    """
    if "drain_delay" not in server:
        server += "\ndrain_delay = 0"
    routes = ", ".join(
        f'{{ provider = "p{number}", model = "real-model", input_price = 1, output_price = 2 }}'
        for number in range(len(ports))
    )
    providers = "\n".join(
        f"[providers.p{number}]\n"
        f'kind = "openai"\nbase_url = "http://127.0.0.1:{port}/v1"\napi_key = "sk-provider"\n'
        f"{provider}\n"
        for number, port in enumerate(ports)
    )
    return (
        f'[server]\nbind = "127.0.0.1:0"\n{server}\n[retry]\n{retry}\n[timeouts]\n{timeouts}\n'
        f"[overload]\n{overload}\n[store]\n{store}\n"
        f'{providers}\n[[models]]\nname = "m"\nroutes = [{routes}]\n{models}\n{tokens}\n'
    )


class KeptRecords:
    """A recorder that keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def record(self, record: Record, trace: Trace | None) -> None:
        self.records.append(record)


@dataclass
class InProcess:
    """A gateway in the test's own loop, with its insides to look at."""

    application: Application
    lifecycle: Lifecycle
    connections: OpenConnections
    port: int = 0
    kept: KeptRecords = field(default_factory=KeptRecords)
    # Ids of the requests that reached the application.
    taken_up: set[str] = field(default_factory=set)
    transport: Transport | None = None
    tokenizer: TokenCounter | None = None
    bodies: BodyMemory | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def records(self) -> list[Record]:
        return self.kept.records

    @property
    def in_use(self) -> int:
        """Return how many connections to providers are in use."""
        assert self.transport is not None
        return sum(stats.in_use for stats in self.transport.stats().values())

    async def record(self, number: int = 1) -> Record:
        """Return record `number`, counted from 1, once it has been made."""
        await until(lambda: len(self.records) >= number, f"{number} records", PATIENCE)
        return self.records[number - 1]

    async def settled(self, seconds: float = PATIENCE) -> None:
        """Wait until nothing is under way and no connection to a provider is in use."""
        await until(
            lambda: self.lifecycle.in_flight == 0 and self.in_use == 0,
            f"a settled gateway, but {self.lifecycle} and {self.transport}",
            seconds,
        )


@contextlib.asynccontextmanager
async def in_process(
    text: str, file: Path | None = None, *, tokenizer: TokenCounter | None = None
) -> AsyncIterator[InProcess]:
    """Serve in this loop with Hypercorn's worker; nothing may be left of it at the end.

    A reload reads `file`, which must say `[log] requests = false` itself. Tokens are counted by
    `tokenizer`, whether or not there is a library.
    """
    application = Application()
    application.use(parse(text + QUIET, "test", os.environ), path=file)
    server = application.config.server
    sockets = listen([server.bind], send_timeout=server.send_timeout)
    connections = install(application.serving_policy, application.lifecycle)
    running = InProcess(application, application.lifecycle, connections)
    running.tokenizer = tokenizer
    running.port = sockets[0].getsockname()[1]
    stop = trio.Event()
    quiet = Config()
    quiet.loglevel = "WARNING"
    try:
        async with trio.open_nursery() as nursery:
            serve = partial(
                hypercorn.trio.run.worker_serve,
                ASGIWrapper(_watched(application, running)),
                quiet,
                sockets=Sockets([], list(sockets), []),
                shutdown_trigger=stop.wait,
            )
            await nursery.start(serve)
            watching = trio.CancelScope()
            nursery.start_soon(_watch, running.connections, watching)
            try:
                yield running
            finally:
                stop.set()
                watching.cancel()
    finally:
        vars(hypercorn.trio.run).update(TCPServer=TCPServer, trio=trio)  # as they were


async def _watch(connections: OpenConnections, scope: trio.CancelScope) -> None:
    with scope:
        await connections.watch()


def _watched(application: Application, running: InProcess) -> Any:
    """Return the application's ASGI app, with a recorder and a register of our own."""

    @contextlib.asynccontextmanager
    async def start() -> AsyncIterator[Runtime]:
        async with application._start() as started:
            upstream = started.services.upstream
            assert isinstance(upstream, Transport)
            running.transport = upstream
            running.bodies = started.services.traffic.bodies
            started.services = replace(
                started.services, recorder=running.kept, tokens=running.tokenizer
            )
            yield started

    gateway = AsgiApp(application.lifecycle, start)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            running.taken_up.add(headers.get(b"x-request-id", b"").decode())
        await gateway(scope, receive, send)

    return app


# Processes...


@dataclass
class Served:
    """A gateway process. `said` is what it has written to stderr, `lines` to stdout."""

    process: trio.Process
    said: bytearray = field(default_factory=bytearray)
    lines: bytearray = field(default_factory=bytearray)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def pid(self) -> int:
        return self.process.pid

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def exit_status(self, seconds: float = PATIENCE) -> int:
        """Return the exit status; fail, with what the process said, if it does not leave."""
        with trio.move_on_after(seconds):
            return await self.process.wait()
        raise AssertionError(f"still running after {seconds:g} s:\n{self.said.decode()}")


GATEWAY: Final = (sys.executable, "-m", "gateway", "serve")
# The same by an interpreter of its own, and not as a fork (`tests/fork_server`).
EXECUTED: Final = ("env", *GATEWAY)
# Hypercorn's own command line, on whatever configuration GATEWAY_CONFIG names.
HYPERCORN: Final = (
    *(sys.executable, "-m", "hypercorn", "-k", "trio", "-b", "127.0.0.1:0"),
    "gateway.app:app",
)
_READY: Final = re.compile(rb"is ready at [^ ]*:(\d+)/v1|Running on https?://[^ ]*:(\d+) ")


@contextlib.asynccontextmanager
async def spawned(
    command: Sequence[str],
    file: Path | None = None,
    *,
    folder: Path | None = None,
    **environment: str,
) -> AsyncIterator[Served]:
    """Run `command` on the configuration `file`, or without one in `folder`.

    It is ready when this is entered, and killed at the end, with all its children, unless it has
    left by itself. With `--workers N` all of them are there: a supervisor says that it is ready
    when the first one is.
    """
    async with starting(command, file, folder=folder, **environment) as served:
        await until(
            lambda: _READY.search(served.said) is not None or served.process.poll() is not None,
            f"a ready gateway, but it said {served.said.decode()}",
            PATIENCE,
        )
        ready = _READY.search(served.said)
        assert ready, f"it left with {served.process.returncode}: {served.said.decode()}"
        served.port = int(ready[1] or ready[2])
        crew = int(command[command.index("--workers") + 1]) if "--workers" in command else 0
        await until(lambda: len(children(served.pid)) >= crew, f"{crew} workers", PATIENCE)
        yield served


@contextlib.asynccontextmanager
async def starting(
    command: Sequence[str],
    file: Path | None = None,
    *,
    folder: Path | None = None,
    **environment: str,
) -> AsyncIterator[Served]:
    """Like `spawned`, but entered at once."""
    env = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT), **environment}
    if file is not None:
        env["GATEWAY_CONFIG"] = str(file)
    elif folder is not None:
        env.pop("GATEWAY_CONFIG", None)
    process = await open_process(
        list(command),
        env=env,
        cwd=file.parent if file else folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A group of its own, so that whatever it leaves behind can be killed.
        start_new_session=True,
    )
    served = Served(process)
    children = set()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_collect, process.stdout, served.lines)
            nursery.start_soon(_collect, process.stderr, served.said)
            try:
                yield served
            finally:
                children = {process.pid, *_descendants(process.pid)}
                nursery.cancel_scope.cancel()
    finally:
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with trio.CancelScope(shield=True):
            await process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    await stream.aclose()


async def _collect(stream: Any, into: bytearray) -> None:
    async for data in stream:
        into += data


def _descendants(pid: int) -> Iterator[int]:
    for child, _ in _children(pid):
        yield child
        yield from _descendants(child)


def children(pid: int) -> list[int]:
    """Return the ids of the processes that `pid` has started."""
    return [each for each, name in _children(pid) if name != NAME]


# Whether the kernel lists the children of a process (CONFIG_PROC_CHILDREN).
_LISTED: Final = Path(f"/proc/self/task/{os.getpid()}/children").exists()


def _children(pid: int) -> Iterator[tuple[int, str]]:
    """Yield the ids and names of the processes of which `pid` is the parent."""
    if _LISTED:
        # Tests ask again and again, and psutil looks at each process of the machine.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                for child in (task / "children").read_text().split():
                    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                        yield int(child), Path(f"/proc/{child}/comm").read_text().strip()
        return
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        for process in psutil.Process(pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                yield process.pid, process.name()
