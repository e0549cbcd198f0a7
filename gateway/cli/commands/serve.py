"""`gateway serve`: one worker in this process, or a supervisor of several."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import structlog
import trio

from ... import __version__
from ...config import load
from ...config.checks.vanished import opened
from ...config.paths import config_path
from ...config.pid_path import pid_path
from ...config.schema import Config
from ...errors import ConfigError
from ...group.folder import VARIABLE as GROUP
from ...group.folder import group_directory
from ...process.application import Application
from ...process.memory import WORKERS, settle_in
from ...serve.pidfile import PidFile
from ...serve.sighup import SighupReloads
from ...serve.sockets import ListenError, adopt, describe, listen
from ...serve.supervisor import supervise
from ...serve.worker import (
    FAILED_STATUS,
    HARD_STOP_AFTER,
    ServiceFailed,
    StartupFailed,
    serve_worker,
)
from ...telemetry import logs
from ...telemetry.metrics.directory import VARIABLE, shared_directory
from .check import report

# In a worker's environment: the supervisor's configuration has tokens. Without it a worker that
# is started again while the file is half-written would be open to everyone.
_WITH_TOKENS: Final = "GATEWAY_WITH_TOKENS"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class InheritedDescriptors:
    """Descriptors that a worker inherits from its supervisor."""

    listeners: tuple[int, ...]
    lifeline: int | None
    ready: int | None


def serve_one(file: Path | None, bind: str | None, inherited: InheritedDescriptors | None) -> int:
    """Serve in this process; return the exit status."""
    application = Application()
    # Before the file is read, so that what changes in it from then on is not missed.
    hangups = SighupReloads(application.reload_by_signal)
    config = _load(file, bind)
    if config is None:
        return 1
    if inherited and (problem := opened(_WITH_TOKENS in os.environ, config)):
        report(ConfigError([f"{file or config_path()}: {problem}"]))
        return 1
    application.use(config, partial(_read, file, bind), file or config_path())
    if inherited:
        application.spread = _telling_supervisor()
    # Of several workers the supervisor is the one to signal.
    pid_file = PidFile(None if inherited else _pid_path(config, file))
    try:
        sockets = (
            [adopt(descriptor) for descriptor in inherited.listeners]
            if inherited
            else listen([config.server.bind], send_timeout=config.server.send_timeout)
        )
        trio.run(
            partial(
                serve_worker,
                application.asgi,
                sockets=sockets,
                policy=application.serving_policy,
                lifecycle=application.lifecycle,
                hangups=hangups,
                on_ready=partial(_ready, config, inherited, pid_file),
                lifeline=inherited.lifeline if inherited else None,
            )
        )
    except (ListenError, StartupFailed) as exc:
        sys.stderr.write(f"error: {exc}\n")
        return 1
    except ServiceFailed:
        return FAILED_STATUS
    except Exception:  # noqa: BLE001  # a supervisor starts another process, which begins anew
        _log.critical("the gateway has failed and ends", exc_info=True)
        return FAILED_STATUS
    finally:
        pid_file.remove()
    return 0


def _telling_supervisor() -> Callable[[], None]:
    """Return what makes the supervisor ask all its workers to reload."""
    supervisor = os.getppid()

    def spread() -> None:
        # If the supervisor has died, its process id may be another process's; this worker ends too.
        if os.getppid() == supervisor:
            os.kill(supervisor, signal.SIGHUP)

    return spread


def serve_several(file: Path | None, bind: str | None, workers: int) -> int:
    """Supervise `workers` processes that serve; return the exit status."""
    config = _load(file, bind)
    if config is None:
        return 1
    if config.tokens:
        os.environ[_WITH_TOKENS] = "1"
    os.environ[WORKERS] = str(workers)
    if limited := _limited(config):
        _log.warning("limits are counted by each worker for itself", limited=limited)
    try:
        sockets = listen([config.server.bind], send_timeout=config.server.send_timeout)
    except ListenError as exc:
        sys.stderr.write(f"error: {exc}\n")
        return 1
    addresses = [describe(sock) for sock in sockets]
    pid_file = PidFile(_pid_path(config, file))
    try:
        with contextlib.ExitStack() as stack:
            if config.metrics.enabled and not os.environ.get(VARIABLE):
                os.environ[VARIABLE] = str(stack.enter_context(shared_directory()))
            os.environ[GROUP] = str(stack.enter_context(group_directory()))
            return trio.run(_supervise, config, file, workers, sockets, addresses, pid_file)
    except OSError as exc:
        sys.stderr.write(f"error: no directory for what several workers share: {exc}\n")
        return 1
    finally:
        pid_file.remove()


def _limited(config: Config) -> list[str]:
    """Return the tables that set a limit which several processes do not share."""
    tables: list[tuple[str, Iterable[object]]] = [
        ("[limits]", [config.limits]),
        ("[providers]", config.providers.values()),
        ("[[tokens]]", config.tokens),
    ]
    return [
        name
        for name, found in tables
        if any(
            getattr(each, key, None) is not None
            for each in found
            for key in ("rpm", "tpm", "max_concurrent", "budget")
        )
    ]


async def _supervise(
    config: Config,
    file: Path | None,
    workers: int,
    sockets: list[socket.socket],
    addresses: list[str],
    pid_file: PidFile,
) -> int:
    """Supervise, and announce the gateway when the first worker is ready."""
    server = config.server
    ready_read, ready_write = os.pipe()

    async def announce() -> None:
        async with trio.lowlevel.FdStream(ready_read) as ready:
            await ready.receive_some(1)
            pid_file.write()
            _announce(config, addresses)
            # Read on for the other workers: writing to a pipe without a reader would end them.
            while await ready.receive_some():
                pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(announce)
        try:
            status = await supervise(
                partial(_command, file, addresses[0], ready_write),
                sockets=sockets,
                workers=workers,
                kill_after=server.drain_delay + server.drain_timeout + 2 * HARD_STOP_AFTER,
                pass_fds=(ready_write,),
            )
        finally:
            os.close(ready_write)
        nursery.cancel_scope.cancel("every worker has left")
    return status


def _read(file: Path | None, bind: str | None) -> Config:
    """Return what the file says, but for the address of the command line. Raises ConfigError."""
    config = load.load(file or config_path())
    return config if bind is None else load.with_bind(config, bind)


def _load(file: Path | None, bind: str | None) -> Config | None:
    try:
        config = _read(file, bind)
    except ConfigError as exc:
        report(exc)
        return None
    logs.set_up_logging(config.log.level, config.log.format)
    return config


def _command(
    file: Path | None, bind: str, ready: int, listeners: Sequence[int], lifeline: int
) -> Sequence[str]:
    return [
        *(sys.executable, "-m", "gateway", "serve"),
        *(("--config", str(file)) if file else ()),
        *("--bind", bind),
        *(argument for fd in listeners for argument in ("--listen-fds", str(fd))),
        *("--lifeline-fd", str(lifeline)),
        *("--ready-fd", str(ready)),
    ]


def _pid_path(config: Config, file: Path | None) -> Path | None:
    return pid_path(file or config_path(), config.server.pid_file)


def _ready(
    config: Config, inherited: InheritedDescriptors | None, pid_file: PidFile, addresses: list[str]
) -> None:
    settle_in()
    pid_file.write()
    if inherited is None:
        _announce(config, addresses)
    elif inherited.ready is not None:
        os.write(inherited.ready, b"\n")
        os.close(inherited.ready)


def _announce(config: Config, addresses: list[str]) -> None:
    """Print the one line that a person needs to begin."""
    address = addresses[0]
    names = [model.name for model in config.models]
    shown = ", ".join(names[:8]) + (f", and {len(names) - 8} more" if len(names) > 8 else "")
    if address.startswith("unix:"):
        url, reach = "http://localhost", ["--unix-socket", address.removeprefix("unix:")]
    else:
        url, reach = f"http://{_reachable(address)}", []
    body = msgspec.json.encode(
        {"model": names[0], "stream": True, "messages": [{"role": "user", "content": "Hello!"}]}
    ).decode()
    curl = shlex.join(
        ["curl", "-N", *reach, f"{url}/v1/chat/completions", "-H", "content-type: application/json"]
    )
    key = ' -H "authorization: Bearer $KEY"' if config.tokens else ""
    sys.stderr.write(
        f"gateway {__version__} is ready at {address if reach else url + '/v1'} | models: {shown}"
        f" | try: {curl}{key} -d {shlex.quote(body)}\n"
    )
    sys.stderr.flush()


def _reachable(address: str) -> str:
    """Return an address that a client can use, which 0.0.0.0 is not."""
    host, _, port = address.rpartition(":")
    if host in ("0.0.0.0", "[::]"):  # noqa: S104  # compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "[::1]"  # noqa: S104
    return f"{host}:{port}"
