"""A process that serves: the only one of its gateway, or a worker of a supervisor."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
import trio

from ... import __version__
from ...config.checks.vanished import opened
from ...config.schema import Config
from ...config.sources.demo import FileOrDemo
from ...errors import ConfigError
from ...group.folder import VARIABLE as GROUP
from ...interrupts import let_go, outliving
from ...private_folder import held_directory
from ...process.application import Application
from ...process.memory import settle_in
from ...process.serving.outcomes import ToldReloads, sweep
from ...process_limits import settle_limits
from ...serve.crew.member import READY
from ...serve.pidfile import PidFile
from ...serve.sighup import SighupReloads
from ...serve.sockets import ListenError, adopt, describe
from ...serve.worker import FAILED_STATUS, ServiceFailed, StartupFailed, serve_worker
from ...telemetry.metrics.directory import VARIABLE as METRICS
from ..announcement import announce_ready
from ..commands.check import report
from ..listening import listen_all
from . import loading

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class InheritedDescriptors:
    """Descriptors that a worker inherits from its supervisor."""

    listeners: tuple[int, ...]
    lifeline: int | None
    ready: int | None
    admin: tuple[int, ...] = ()


def serve_one(file: Path | None, bind: str | None, inherited: InheritedDescriptors | None) -> int:
    """Serve in this process; return the exit status."""
    with contextlib.ExitStack() as stack:
        if inherited:
            _hold_shared_folders(stack)
        return _serve(file, bind, inherited)


def _hold_shared_folders(stack: contextlib.ExitStack) -> None:
    """Hold the supervisor's folders: nobody else does while it becomes another program."""
    for variable in (GROUP, METRICS):
        if folder := os.environ.get(variable):
            try:
                stack.enter_context(held_directory(Path(folder)))
            except OSError as exc:
                # Somebody has removed it. The sisters are not seen then, but requests are served.
                _log.warning("the workers' folder is not there", folder=folder, reason=str(exc))


def _serve(file: Path | None, bind: str | None, inherited: InheritedDescriptors | None) -> int:
    settle_limits()
    # It would end the process, which is for the supervisor to be told; see `serve_worker`.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    application = Application()
    # Before the file is read, so that what changes in it from then on is not missed.
    reloads = ToldReloads(application.reload_by_signal)
    hangups = SighupReloads(reloads)
    let_go()
    source = FileOrDemo(file)
    try:
        config = loading.load(source, bind)
        if inherited and (problem := opened(loading.WITH_TOKENS in os.environ, config)):
            raise ConfigError([f"{source.path}: {problem}"])
    except ConfigError as exc:
        _refuse(exc, inherited)
        return 1
    application.use(config, partial(loading.read, source, bind), source.path)
    if inherited:
        application.spread = _telling_supervisor()
    # Of several workers the supervisor is the one to signal.
    pid_path = loading.pid_path(config, source)
    pid_file = PidFile(None if inherited else pid_path)

    def tell() -> None:
        if not inherited:
            sweep(pid_path)
        reloads.begin(pid_path, supervised=inherited is not None)

    try:
        certificates = application.certificates.read(config, source.path)
        if inherited:
            sockets = [adopt(descriptor) for descriptor in inherited.listeners]
            application.admin_sockets = [adopt(descriptor) for descriptor in inherited.admin]
        else:
            sockets, application.admin_sockets = listen_all(config)
        with outliving((signal.SIGTERM, signal.SIGINT)):
            trio.run(
                partial(
                    serve_worker,
                    application.asgi,
                    sockets=sockets,
                    policy=application.serving_policy,
                    lifecycle=application.lifecycle,
                    hangups=hangups,
                    on_ready=partial(
                        _ready, config, inherited, pid_file, tell, application.admin_sockets
                    ),
                    lifeline=inherited.lifeline if inherited else None,
                    certificates=certificates,
                    # Its successor tells how reloads go from then on.
                    on_retire=reloads.end,
                )
            )
    except (ConfigError, ListenError, StartupFailed) as exc:
        _refuse(exc if isinstance(exc, ConfigError) else ConfigError([str(exc)]), inherited)
        return 1
    except ServiceFailed:
        return FAILED_STATUS
    except Exception:  # noqa: BLE001  # a supervisor starts another process, which begins anew
        _log.critical("the gateway has failed and ends", exc_info=True)
        return FAILED_STATUS
    finally:
        reloads.end()
        pid_file.remove()
    return 0


def _refuse(problems: ConfigError, inherited: InheritedDescriptors | None) -> None:
    """Say why nothing can be served: to a person, and to the supervisor if there is one."""
    report(problems)
    if inherited is not None and inherited.ready is not None:
        os.write(inherited.ready, "; ".join(problems.problems).encode())


def _telling_supervisor() -> Callable[[], None]:
    """Return what makes the supervisor ask all its workers to reload."""
    supervisor = os.getppid()

    def spread() -> None:
        # If the supervisor has died, its process id may be another process's; this worker ends too.
        if os.getppid() == supervisor:
            os.kill(supervisor, signal.SIGHUP)

    return spread


def _ready(
    config: Config,
    inherited: InheritedDescriptors | None,
    pid_file: PidFile,
    tell: Callable[[], None],
    admin: Sequence[socket.socket],
    addresses: list[str],
) -> None:
    settle_in()
    tell()
    pid_file.write()
    if inherited is None:
        announce_ready(config, addresses, [describe(sock) for sock in admin])
    elif inherited.ready is not None:
        os.write(inherited.ready, b"%b%b\n" % (READY, __version__.encode()))
        os.close(inherited.ready)
