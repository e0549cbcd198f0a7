"""What `gateway` can be told: its commands and their options.

`serve`, `reload`, `upgrade` and `check` are declared here; no command imports what another needs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from .. import __version__
from .options import ConfigFile
from .serving.start import GIVEN_TWICE, ServeArguments, start

app = App(
    name="gateway",
    help="A self-hosted gateway in front of LLM providers.",
    version=__version__,
    # Both commands run their own event loop, and an exit status is theirs to choose.
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
_OR_DEMO: Final = (
    "The configuration file. Default: $GATEWAY_CONFIG, else ./config.toml; without that, a demo"
    " is served."
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
    app.command(f"{__package__}.{_place}", name=_name)


@app.command
def serve(
    file: Path | None = None,
    /,
    *,
    config: Annotated[ConfigFile, Parameter(help=_OR_DEMO)] = None,
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
    return start(
        ServeArguments(
            file=file,
            config=config,
            bind=bind,
            state_dir=state_dir,
            workers=workers,
            listen_fds=listen_fds,
            lifeline_fd=lifeline_fd,
            ready_fd=ready_fd,
            admin_fds=admin_fds,
            handover_fd=handover_fd,
            trial=trial,
        )
    )


@app.command
def reload(file: Path | None = None, /, *, config: ConfigFile = None) -> int:
    """Tell the gateway that runs on a configuration file to read it again.

    A file with faults is not sent. How the reload went is waited for, and printed.

    Parameters
    ----------
    file
        The configuration file, as with --config.
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
    """
    from .commands.check import check_file

    return check_file(file or config) if _one_file(file, config) else 2


def _one_file(file: Path | None, config: Path | None) -> bool:
    """Say whether no more than one file was given, and tell the person if not."""
    if file is None or config is None:
        return True
    sys.stderr.write(GIVEN_TWICE)
    return False


def run() -> int:
    """Do what the arguments of this process say; return the exit status."""
    if not sys.argv[1:] or sys.argv[1] in app.help_flags:
        # The help has what each command says of itself, so all of them are imported.
        for name in _COMMANDS:
            app[name]
    status = app()
    return status if isinstance(status, int) else 0
