"""The command line `gateway`: its parser, and the entry point of the program.

    commands/    one module for each command
    imports/     other gateways' configurations as ours
    output/      what commands print: tables, plain text for terminals, files
    serving/     `gateway serve`: one process, or the supervisor of several
    store        opens the database of `[store]` for a command
    audit_entry  writes an operator's action to the audit log
    key_work     what the commands of `gateway keys` and `gateway teams` have in common
    known_processes  what commands know of the processes of a gateway, and tell them
    options      the types of options that several commands have
    moments      times as people write them
    program      what the person calls this program
    announcement what `gateway serve` says at the start

Start here, then read the module of the command in question. `serve`, `reload` and `check` are
declared here; no command imports what another one needs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from .. import __version__
from ..config.sources.state import VARIABLE
from ..interrupts import hold_back
from .options import ConfigFile

app = App(
    name="gateway",
    help="A self-hosted gateway in front of LLM providers.",
    version=__version__,
    # Both commands run their own event loop, and an exit status is theirs to choose.
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
# By name, where the other commands are. They are imported when they are called.
_COMMANDS: Final = {
    "init": "commands.init:init",
    "import": "imports.command:app",
    "tokens": "commands.tokens:app",
    "admin-keys": "admin_keys:app",
    "keys": "commands.control.keys:app",
    "teams": "commands.control.teams:app",
    "deployments": "commands.control.deployments:app",
    "processes": "commands.control.processes:app",
    "status": "commands.control.processes:status",
    "cancel": "commands.control.processes:cancel",
    "users": "commands.users:app",
    "db": "commands.db:app",
    "audit": "commands.audit:app",
    "debug": "commands.debug:app",
    "export": "commands.export:export",
    "erase": "commands.erase:erase",
    "providers": "commands.catalogue.providers:providers",
    "models": "commands.catalogue.models:models",
    "prices": "commands.catalogue.prices:app",
}
for _name, _place in _COMMANDS.items():
    app.command(f"{__name__}.{_place}", name=_name)


@app.command
def serve(
    file: Path | None = None,
    /,
    *,
    config: ConfigFile = None,
    bind: str | None = None,
    state_dir: Path | None = None,
    workers: Annotated[int | None, Parameter(name=["--workers", "-w"])] = None,
    listen_fds: Annotated[tuple[int, ...], Parameter(show=False, negative="")] = (),
    lifeline_fd: Annotated[int | None, Parameter(show=False)] = None,
    ready_fd: Annotated[int | None, Parameter(show=False)] = None,
    admin_fds: Annotated[tuple[int, ...], Parameter(show=False, negative="")] = (),
    handover_fd: Annotated[int | None, Parameter(show=False)] = None,
    trial: Annotated[bool, Parameter(show=False, negative="")] = False,
) -> int:
    """Serve the API until SIGTERM or Ctrl-C.

    Parameters
    ----------
    file
        The configuration file, as with --config.
    config
        The configuration file. Default: $GATEWAY_CONFIG, else ./config.toml; without that, a demo
        is served.
    bind
        HOST:PORT, [IPV6]:PORT or unix:PATH, instead of the file's [server] bind.
    state_dir
        The folder of all that is written, instead of the file's [server] state_dir; also
        $GATEWAY_STATE_DIR, which the other commands know too.
    workers
        Processes that share the port, under a supervisor that starts a dead one again and can
        replace them one by one (`gateway upgrade`). Default: one process, without a supervisor.
    listen_fds
        Listening sockets handed down by the supervisor of several workers.
    lifeline_fd
        A pipe that ends when the supervisor does.
    ready_fd
        A pipe to write a byte to when connections are accepted.
    admin_fds
        Listening sockets of the admin API's own address, handed down likewise.
    handover_fd
        A file in which the supervisor that this process was before says what there is.
    trial
        Only say whether this could be served.
    """
    if not (listen_fds or trial):
        # Workers of a supervisor are started anew by it.
        hold_back()
    # Imported late: `gateway check` and `--help` need none of the server.
    from ..telemetry.without_rich import import_structlog

    import_structlog()
    from ..process.memory import postpone_collections
    from ..telemetry.stderr import in_background

    if workers is not None and workers < 1:
        app.error_console.print("--workers must be at least 1")
        return 2
    if not _one_file(file, config):
        return 2
    config = file or config
    if state_dir is not None:
        os.environ[VARIABLE] = str(state_dir.absolute())
    postpone_collections()
    if trial:
        return _try(config, bind, handover_fd)
    with in_background():
        if workers is not None and not listen_fds:
            from .serving.several import go_on, serve_several

            if handover_fd is not None:
                return go_on(config, bind, handover_fd)
            return serve_several(config, bind, workers)
        from .serving.one import InheritedDescriptors, serve_one

        descriptors = InheritedDescriptors(listen_fds, lifeline_fd, ready_fd, admin_fds)
        return serve_one(config, bind, descriptors if listen_fds else None)


def _try(config: Path | None, bind: str | None, handover_fd: int | None) -> int:
    """Say whether this code can serve, or with a handover whether it can be the supervisor."""
    if handover_fd is not None:
        from .serving.rehearsal import rehearse

        return rehearse(config, bind, handover_fd)
    from .serving.trial import try_out

    return try_out(config, bind)


@app.command
def reload(file: Path | None = None, /, *, config: ConfigFile = None) -> int:
    """Tell the gateway that runs on a configuration file to read it again.

    A file with faults is not sent. How the reload went is waited for, and printed.

    Parameters
    ----------
    file
        The configuration file, as with --config.
    config
        The configuration file. Default: $GATEWAY_CONFIG, else ./config.toml.
    """
    from .commands.reload import reload_running

    return reload_running(file or config) if _one_file(file, config) else 2


@app.command
def upgrade(
    file: Path | None = None,
    /,
    *,
    config: ConfigFile = None,
    patience: float = 3600.0,
) -> int:
    """Have a running gateway replace its workers, one by one, by the version that is installed.

    No request is lost. A worker that is replaced finishes what it has, for as long as [server]
    drain_timeout says. If a new one can't serve, the others stay as they are. The gateway has to
    have been started with --workers.

    Parameters
    ----------
    file
        The configuration file, as with --config.
    config
        The configuration file. Default: $GATEWAY_CONFIG, else ./config.toml.
    patience
        Seconds to wait for the end; the gateway goes on after that.
    """
    from .commands.upgrade import upgrade_running

    return upgrade_running(file or config, patience) if _one_file(file, config) else 2


@app.command
def check(file: Path | None = None, /, *, config: ConfigFile = None) -> int:
    """Check a configuration file and say everything that is wrong with it.

    Parameters
    ----------
    file
        The configuration file, as with --config.
    config
        The configuration file. Default: $GATEWAY_CONFIG, else ./config.toml.
    """
    from .commands.check import check_file

    return check_file(file or config) if _one_file(file, config) else 2


def _one_file(file: Path | None, config: Path | None) -> bool:
    """Say whether no more than one file was given, and tell the person if not."""
    if file is None or config is None:
        return True
    app.error_console.print("give the configuration file once: as FILE, or with --config")
    return False


def main() -> None:
    """Run the command line and exit with its status."""
    _fill_standard_descriptors()
    if not sys.argv[1:] or sys.argv[1] in app.help_flags:
        # The help has what each command says of itself, so all of them are imported.
        for name in _COMMANDS:
            app[name]
    status = app()
    raise SystemExit(status if isinstance(status, int) else 0)


def _fill_standard_descriptors() -> None:
    # A process that is started with stdout closed gives descriptor 1 to its next socket, and would
    # write the request log into it.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    # Python has no stream for one that was closed, and everything writes to `sys.stderr`.
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  # for as long as the process lives
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
