"""An installation's `gateway`, forked from a process that has imported it: `python forks.py FD`.

Most of what a command takes is the start of an interpreter and its imports, and a walk has a dozen
commands. It is run by the Python of the installation that is walked through, with nothing of this
repository before it in the path. `forked.py` asks at the other end of the socket FD, for several
walks at once.
"""

from __future__ import annotations

import array
import contextlib
import gc
import importlib
import os
import pkgutil
import select
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
REQUEST_BYTES: Final = 200_000


def modules() -> Iterator[str]:
    """Name what commands import, `gateway serve` among them; pages it imports by itself."""
    import gateway.cli
    import gateway.store

    yield "gateway.cli.command_line"
    for package in (gateway.cli, gateway.store):
        for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            # They do something when they are imported.
            if not each.name.startswith("gateway.store.migrations"):
                yield each.name


def serve(channel: socket.socket) -> bool:
    """Answer until the walk has ended, and return False; return True in what is to be a command."""
    while True:
        descriptors = array.array("i")
        data, ancillary, _, _ = channel.recvmsg(
            REQUEST_BYTES, socket.CMSG_SPACE(4 * descriptors.itemsize)
        )
        if not data:
            return False
        for _, _, sent in ancillary:
            descriptors.frombytes(sent)
        if os.fork() == 0:
            # One that waits for the command and tells its status.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            command = os.fork()
            if command == 0:
                channel.close()
                _become(data, descriptors)
                return True
            with socket.socket(fileno=descriptors[3]) as asking:
                _attend(command, asking)
            os._exit(0)
        for each in descriptors:
            os.close(each)


def _attend(command: int, asking: socket.socket) -> None:
    """Pass on which signals a command is to have, and tell its status when it has ended.

    Who asked may have been killed: then so is the command.
    """
    ended = os.pidfd_open(command)
    watched: list[socket.socket | int] = [asking, ended]
    while ended not in select.select(watched, [], [])[0]:
        said = asking.recv(16)
        os.kill(command, int(said) if said else signal.SIGKILL)
    _, status = os.waitpid(command, 0)
    with contextlib.suppress(BrokenPipeError):
        asking.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(data: bytes, descriptors: array.array[int]) -> None:
    folder, count, *rest = data.split(b"\0")
    sys.argv = ["gateway", *map(os.fsdecode, rest[: int(count)])]
    os.environ.clear()
    for name, value in (each.split(b"=", 1) for each in rest[int(count) :]):
        os.environb[name] = value
    os.chdir(folder)
    for number in range(3):
        os.dup2(descriptors[number], number)
    os.closerange(3, max(descriptors) + 1)
    _streams()


def _streams() -> None:
    from tests.fork_server.server import text

    sys.stdin = sys.__stdin__ = open(0, closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.stdout = sys.__stdout__ = text(1, "strict")  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = text(2, "backslashreplace")  # type: ignore[misc]


def main() -> None:
    # Last: the gateway is the installation's.
    sys.path.append(str(ROOT))
    import gateway

    assert not gateway.__file__.startswith(f"{ROOT}/gateway/"), (
        "that is not the installation's gateway"
    )
    # Whoever waits for a command has ended when it is answered, and nobody waits for that one.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        for name in modules():
            importlib.import_module(name)
        from tests.fork_server.server import run

        gc.collect()
        gc.freeze()
        command = serve(channel)
    if command:
        run(None)


if __name__ == "__main__":
    main()
