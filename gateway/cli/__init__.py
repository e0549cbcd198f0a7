"""The command line `gateway`: its parser, and the entry point of the program.

    commands/    one module for each command
    imports/     other gateways' configurations as ours
    output/      what commands print: tables, plain text for terminals, files
    store        opens the database of `[store]` for a command
    audit_entry  writes an operator's action to the audit log
    key_work     what the commands of `gateway keys` and `gateway teams` have in common
    options      the types of options that several commands have
    moments      times as people write them
    program      what the person calls this program
    announcement what `gateway serve` says at the start

Start here, then read the module of the command in question. `serve`, `reload` and `check` are
declared here, so that `gateway --help` imports nothing of the server.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from .. import __version__
from ..config.sources.state import VARIABLE
from .admin_keys import app as admin_keys
from .commands.audit import app as audit
from .commands.control.deployments import app as deployments
from .commands.control.keys import app as keys
from .commands.control.teams import app as teams
from .commands.db import app as db
from .commands.debug import app as debug
from .commands.erase import erase
from .commands.export import export
from .commands.init import init
from .commands.tokens import app as tokens
from .commands.users import app as users
from .imports.command import app as imports
from .options import ConfigFile

app = App(
    name="gateway",
    help="A self-hosted gateway in front of LLM providers.",
    version=__version__,
    # Both commands run their own event loop, and an exit status is theirs to choose.
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
for each in (
    *(init, imports, tokens, admin_keys, keys, teams, deployments),
    *(users, db, audit, debug, export, erase),
):
    app.command(each)


@app.command
def serve(
    file: Path | None = None,
    /,
    *,
    config: ConfigFile = None,
    bind: str | None = None,
    state_dir: Path | None = None,
    workers: Annotated[int, Parameter(name=["--workers", "-w"])] = 1,
    listen_fds: Annotated[tuple[int, ...], Parameter(show=False, negative="")] = (),
    lifeline_fd: Annotated[int | None, Parameter(show=False)] = None,
    ready_fd: Annotated[int | None, Parameter(show=False)] = None,
    admin_fds: Annotated[tuple[int, ...], Parameter(show=False, negative="")] = (),
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
        Processes that share the port.
    listen_fds
        Listening sockets handed down by the supervisor of several workers.
    lifeline_fd
        A pipe that ends when the supervisor does.
    ready_fd
        A pipe to write a byte to when connections are accepted.
    admin_fds
        Listening sockets of the admin API's own address, handed down likewise.
    """
    # Imported late: `gateway check` and `--help` need none of the server.
    from ..telemetry.stderr import in_background
    from .commands.serve import InheritedDescriptors, serve_one, serve_several

    if workers < 1:
        app.error_console.print("--workers must be at least 1")
        return 2
    if not _one_file(file, config):
        return 2
    config = file or config
    if state_dir is not None:
        os.environ[VARIABLE] = str(state_dir.absolute())
    with in_background():
        if listen_fds:
            inherited = InheritedDescriptors(listen_fds, lifeline_fd, ready_fd, admin_fds)
            return serve_one(config, bind, inherited)
        if workers > 1:
            return serve_several(config, bind, workers)
        return serve_one(config, bind, None)


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
