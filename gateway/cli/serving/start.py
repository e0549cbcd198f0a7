"""`gateway serve`: which process this is to be, and its start."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import msgspec

from ...config.sources.state import VARIABLE
from ...interrupts import hold_back

GIVEN_TWICE: Final = "give the configuration file once: as FILE, or with --config\n"


class ServeArguments(msgspec.Struct, frozen=True, kw_only=True):
    """What `gateway serve` is told; `command_line` says what each of them is."""

    file: Path | None = None
    config: Path | None = None
    bind: str | None = None
    state_dir: Path | None = None
    workers: int | None = None
    listen_fds: tuple[int, ...] = ()
    lifeline_fd: int | None = None
    ready_fd: int | None = None
    admin_fds: tuple[int, ...] = ()
    handover_fd: int | None = None
    trial: bool = False


def start(arguments: ServeArguments) -> int:
    """Serve, supervise or try it, as `arguments` say; return the exit status."""
    if not (arguments.listen_fds or arguments.trial):
        # Workers of a supervisor are started anew by it.
        hold_back()
    # Imported late: `gateway check` and `--help` need none of the server.
    from ...telemetry.without_rich import import_structlog

    import_structlog()
    from ...process.memory import postpone_collections
    from ...telemetry.stderr import in_background

    if arguments.workers is not None and arguments.workers < 1:
        sys.stderr.write("--workers must be at least 1\n")
        return 2
    if arguments.file is not None and arguments.config is not None:
        sys.stderr.write(GIVEN_TWICE)
        return 2
    if arguments.state_dir is not None:
        os.environ[VARIABLE] = str(arguments.state_dir.absolute())
    postpone_collections()
    file = arguments.file or arguments.config
    if arguments.trial:
        return _try(file, arguments)
    with in_background():
        return _serve(file, arguments)


def _serve(file: Path | None, arguments: ServeArguments) -> int:
    bind, workers, listen_fds = arguments.bind, arguments.workers, arguments.listen_fds
    if workers is not None and not listen_fds:
        from .several import go_on, serve_several

        if arguments.handover_fd is not None:
            return go_on(file, bind, arguments.handover_fd)
        return serve_several(file, bind, workers)
    from .one import InheritedDescriptors, serve_one

    descriptors = InheritedDescriptors(
        listen_fds, arguments.lifeline_fd, arguments.ready_fd, arguments.admin_fds
    )
    return serve_one(file, bind, descriptors if listen_fds else None)


def _try(file: Path | None, arguments: ServeArguments) -> int:
    """Say whether this code can serve, or with a handover whether it can be the supervisor."""
    if arguments.handover_fd is not None:
        from .rehearsal import rehearse

        return rehearse(file, arguments.bind, arguments.handover_fd)
    from .trial import try_out

    return try_out(file, arguments.bind)
