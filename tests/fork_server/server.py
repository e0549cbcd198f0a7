"""The process that forks: `python -m tests.fork_server.server DESCRIPTOR`.

It must have one thread only, and open nothing: whatever it has, each gateway has too.
"""

from __future__ import annotations

import array
import atexit
import fcntl
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import socket
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

import gateway

from . import popen
from .beside import fork_beside

# What the first use of a database needs, besides all that is in the gateway itself.
IMPORTED: Final = (
    "alembic.command",
    "alembic.config",
    "alembic.op",
    "alembic.runtime.environment",
    "alembic.runtime.migration",
    "alembic.script",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
)
# They do something when they are imported: serve, run, migrate.
NOT_IMPORTED: Final = ("gateway.app", "gateway.store.migrations", "__main__")
REQUEST_BYTES: Final = 1 << 20
MOST_DESCRIPTORS: Final = 64


def serve(channel: socket.socket) -> dict[str, Any] | None:
    """Answer until the tests have ended; return only in a fork, with what it is to be."""
    while (received := _receive(channel)) is not None:
        request, descriptors = received
        pid = fork_beside()
        if pid == 0:
            channel.close()
            return _become(request, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        channel.send(str(pid).encode())
    return None


def _receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    descriptors = array.array("i")
    data, ancillary, _, _ = channel.recvmsg(
        REQUEST_BYTES, socket.CMSG_SPACE(MOST_DESCRIPTORS * descriptors.itemsize)
    )
    if not data:
        return None
    for _, _, sent in ancillary:
        descriptors.frombytes(sent)
    request: dict[str, Any] = json.loads(data)
    return request, [*descriptors]


def _become(request: dict[str, Any], descriptors: Sequence[int]) -> dict[str, Any] | None:
    """Have what an interpreter has that was started so.

    Returns what this process is to be: for a worker, which is a fork of this one's own server, that
    is what its supervisor asked for.
    """
    channel = None
    if _starts_forks(request):
        channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            channel.close()
            return _serve_supervisor(theirs, descriptors)
        theirs.close()
        free = max(*descriptors, *request["numbers"]) + 1
        channel = socket.socket(fileno=fcntl.fcntl(channel.detach(), fcntl.F_DUPFD_CLOEXEC, free))
    if request["start_new_session"]:
        os.setsid()
    _place(descriptors, request["numbers"], [] if channel is None else [channel.fileno()])
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    os.umask(request["umask"])
    if request["pages"]:
        sys.argv = [popen.PAGES[-1]]
        sys.orig_argv = [*popen.PAGES]
    elif request["script"] is None:
        sys.argv = ["gateway", *request["arguments"]]
        sys.orig_argv = [sys.executable, "-m", *sys.argv]
    else:
        sys.argv = ["-c", *request["arguments"]]
        sys.orig_argv = [sys.executable, "-c", request["script"], *request["arguments"]]
    sys.stdin = sys.__stdin__ = open(0, closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.stdout = sys.__stdout__ = text(1, "strict")  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = text(2, "backslashreplace")  # type: ignore[misc]
    if channel is not None:
        popen.use(channel)
    return request


def _starts_forks(request: dict[str, Any]) -> bool:
    """Whether it needs a server of its own: for its workers, or for the process of its pages."""
    if request["pages"] or request["script"] is not None:
        return False
    arguments = request["arguments"]
    supervises = "--workers" in arguments and "1" not in arguments
    return supervises or request["env"].get(popen.FORKS_PAGES) == "1"


def _serve_supervisor(channel: socket.socket, descriptors: Sequence[int]) -> dict[str, Any] | None:
    """Fork what a gateway starts until it has ended: a fork must not have what it has."""
    for descriptor in descriptors:
        os.close(descriptor)
    os.setsid()
    popen.set_name(popen.NAME)
    request = serve(channel)
    if request is None:
        os._exit(0)
    popen.set_name(os.path.basename(sys.executable))
    return request


def _place(descriptors: Sequence[int], numbers: Sequence[int], kept: Sequence[int]) -> None:
    """Have each of `descriptors` at its number, and nothing else open but what is `kept`."""
    free = max(*descriptors, *numbers, *kept) + 1
    # Out of the way first: one's number may be where another one is.
    moved = [fcntl.fcntl(each, fcntl.F_DUPFD, free) for each in descriptors]
    for descriptor, number in zip(moved, numbers, strict=True):
        os.dup2(descriptor, number)
    for one, following in pairwise(sorted({*numbers, *kept, max(moved) + 1})):
        os.closerange(one + 1, following)


def text(descriptor: int, errors: str) -> io.TextIOWrapper:
    """Return a stream as Python makes them, also for PYTHONUNBUFFERED."""
    direct = bool(os.environ.get("PYTHONUNBUFFERED"))
    raw = open(descriptor, "wb", buffering=0 if direct else -1, closefd=False)  # noqa: SIM115
    by_line = descriptor == 2 or os.isatty(descriptor)
    return io.TextIOWrapper(raw, errors=errors, line_buffering=by_line, write_through=direct)


def modules() -> Iterator[str]:
    """Name what a gateway may import, early or late: pages at the first look, for example."""
    # In the order of a start: what else imports Rich comes after.
    yield from ("gateway.cli", "gateway.cli.serving.one", "gateway.cli.serving.several")
    for each in pkgutil.walk_packages(gateway.__path__, "gateway."):
        if not each.name.startswith(NOT_IMPORTED) and not each.name.endswith(NOT_IMPORTED):
            yield each.name
    yield from IMPORTED


def run(script: str | None, *, pages: bool = False) -> None:
    """Run the gateway, `script` or the process of pages, and end as one that came to its end.

    All but one thing: an interpreter takes apart all that it has before it ends, and for that a
    fork copies all of it, which takes longer than its start. Its end frees memory just as well.
    """
    try:
        if pages:
            importlib.import_module(popen.PAGES[-1]).main()
        elif script is None:
            runpy.run_module("gateway", run_name="__main__", alter_sys=True)
        else:
            main_module = sys.modules["__main__"] = types.ModuleType("__main__")
            exec(compile(script, "<string>", "exec"), vars(main_module))  # noqa: S102  # a test's
            sys.exit()
    except SystemExit as exc:
        if not isinstance(exc.code, int | None):
            raise
        vars(threading)["_shutdown"]()
        vars(atexit)["_run_exitfuncs"]()
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:
            # The interpreter has something to say about it.
            raise exc from None
        os._exit(exc.code or 0)


def main() -> None:
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        for name in modules():
            importlib.import_module(name)
        # Not above: who forks another installation uses this module too (`tests/walks/forks.py`).
        importlib.import_module("tests.compiled_templates").keep_compiled()
        threads = os.listdir("/proc/self/task")
        assert len(threads) == 1, f"a fork has one thread, and an import has started {threads}"
        gc.collect()
        gc.freeze()
        channel.send(b"ready")
        request = serve(channel)
    if request is not None:
        run(request["script"], pages=request["pages"])


if __name__ == "__main__":
    main()
