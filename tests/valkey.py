"""A Valkey or Redis server of the tests' own, in a folder of its own, to be killed at will."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import BinaryIO, Final

from .ports import lasting_port

ROOT: Final = Path(__file__).parents[1]
PATIENCE: Final = 30.0
# Reads a pipe that ends when the tests do, however they do, and then takes the server with it.
WATCH: Final = 'read -r _ || { kill -KILL "$1"; rm -rf "$2"; } 2>/dev/null'

Reply = int | bytes | str | list["Reply"] | None


class NoValkey(Exception):
    """There is no such server, and none can be installed. Says why."""


def program() -> str:
    """Return the server's program, which is installed if need be. Raises NoValkey."""
    found = subprocess.run(  # noqa: S603  # ours
        [ROOT / "scripts" / "valkey"], capture_output=True, text=True, check=False
    )
    if found.returncode:
        raise NoValkey(found.stderr.strip())
    return found.stdout.strip()


class ValkeyServer:
    """Started by `start`, or as a context manager, which also removes it.

    Its port stays the same when it is started again, with nothing of what it knew. `options` are
    settings, as redis.conf has them.
    """

    def __init__(self, options: dict[str, str] | None = None) -> None:
        self._options = options or {}
        # Nodes of a cluster talk to each other at a port so much above (valkey.conf, cluster-port).
        beside = 10_000 if "cluster-enabled" in self._options else 0
        self.port: Final = lasting_port(beside)
        self.folder: Final = Path(tempfile.mkdtemp(prefix="valkey-"))
        self.socket: Final = self.folder / "sock"
        self._program = program()
        self._sentinel: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ValkeyServer:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def as_sentinel(self, file: Path) -> ValkeyServer:
        """Be a sentinel by the configuration `file` instead."""
        self._sentinel = file
        return self

    def start(self) -> None:
        """Start, and return when it answers."""
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "save": "",
            "appendonly": "no",
            "dir": str(self.folder),
            "unixsocket": str(self.socket),
            **self._options,
        }
        options = []
        for name, value in settings.items():
            # A rule of the ACL is several words.
            options += [f"--{name}", *(value.split(" ") if name == "user" else [value])]
        if self._sentinel is not None:
            options = [str(self._sentinel), "--sentinel"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # ours
                [self._program, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._watch = subprocess.Popen(  # noqa: S603  # ours
            ["/bin/sh", "-c", WATCH, "sh", str(self._process.pid), self.folder],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self.command("PING")
                return
            except (OSError, RuntimeError):
                said = (self.folder / "log").read_text(errors="replace")
                assert self._process.poll() is None, said
                assert time.monotonic() < until, said
                time.sleep(0.01)

    def kill(self) -> None:
        assert self._process is not None
        assert self._watch is not None
        self._watch.communicate(b"\n", PATIENCE)
        self._process.kill()
        self._process.wait(PATIENCE)
        self._process = None

    def restart(self) -> None:
        self.kill()
        self.start()

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def remove(self) -> None:
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, *words: str | int, database: int = 0) -> Reply:
        """Do one command in a connection of its own. Raises RuntimeError if it is refused."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as sock:
            file = sock.makefile("rb")
            if database:
                sock.sendall(_packed("SELECT", database))
                _reply(file)
            sock.sendall(_packed(*words))
            return _reply(file)


def _packed(*words: str | int) -> bytes:
    parts = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def _reply(file: BinaryIO) -> Reply:
    line = file.readline().rstrip(b"\r\n")
    kind, rest = line[:1], line[1:]
    if kind == b"+":
        return rest.decode()
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if rest == b"-1" else file.read(int(rest) + 2)[:-2]
    if kind == b"*":
        return [_reply(file) for _ in range(int(rest))]
    raise RuntimeError(line.decode() or "the connection was closed")
