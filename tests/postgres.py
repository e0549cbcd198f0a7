"""A PostgreSQL server of the tests' own, in a folder of its own, to be killed at will."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypedDict

import psutil
import psycopg

from .ports import lasting_port

ROOT: Final = Path(__file__).parents[1]
PATIENCE: Final = 30.0
# Nothing of it is to survive the machine, but what is committed survives a killed server; so
# `synchronous_commit` stays on.
SETTINGS: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "autovacuum": "off",
    "max_wal_size": "128MB",
    "listen_addresses": "127.0.0.1",
}

# In memory, a new database costs a fifth of the processor time; a container may have little of it.
MEMORY: Final = Path("/dev/shm")  # noqa: S108  # a folder of its own within
ENOUGH: Final = 2 * 2**30

# The name of sessions that the tests have beside the code that they test.
HELD_BY: Final = "tests"


def _parent() -> Path | None:
    """Return where the server's folder is to be; None for the usual place."""
    if not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < ENOUGH:
        return None
    return MEMORY


def programs() -> Path:
    """Return the folder of initdb and postgres, which are installed if need be."""
    found = subprocess.run(  # noqa: S603  # ours
        [ROOT / "scripts" / "postgres"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    return Path(found.stdout.strip())


# Reads a pipe that ends when the tests do, however they do, and then takes the server with it.
WATCH: Final = 'read -r _ || { kill -CONT "$1"; kill -QUIT "$1"; rm -rf "$2"; } 2>/dev/null'


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


class PostgresServer:
    """Started by `start`, or as a context manager, which also removes it.

    Its user `postgres` needs no password; it is reached at 127.0.0.1 and `port`, which stays the
    same when it is started again.
    """

    def __init__(self) -> None:
        self._programs = programs()
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=_parent()))
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: subprocess.Popen[bytes] | None = None
        self._made = 0
        # It refuses to run as root.
        self._user = _user() if os.geteuid() == 0 else None
        if self._user:
            os.chown(self._folder, self._user, self._user)
        self.port = lasting_port()
        self._run(
            *("initdb", "--pgdata", str(self._folder / "data"), "--username", "postgres"),
            *("--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"),
        )

    def __enter__(self) -> PostgresServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def processor_time(self) -> float:
        """Return the seconds that the processes of open connections have computed for."""
        times = [each.cpu_times() for each in psutil.Process(self.pid).children()]
        return float(sum(each.user + each.system for each in times))

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start, and return when connections are accepted."""
        assert not self.is_running()
        settings = {**SETTINGS, "port": self.port, "unix_socket_directories": self._folder}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # ours
                [self._programs / "postgres", "-D", self._folder / "data", *options],
                **self._identity(),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A Ctrl-C is for the tests.
                start_new_session=True,
            )
        self._watch = subprocess.Popen(  # noqa: S603  # ours
            ["/bin/sh", "-c", WATCH, "sh", str(self.pid), self._folder],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self.execute("SELECT 1")
                return
            except psycopg.OperationalError:
                log_text = (self._folder / "log").read_text(errors="replace")
                assert self.is_running(), log_text
                assert time.monotonic() < until, log_text
                time.sleep(0.02)

    def stop(self) -> None:
        """Disconnect everybody and shut down in order."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Take the server away as a crash does: nothing is finished, or written to the tables."""
        # SIGQUIT, since after a SIGKILL of the parent its children can outlive it for a while,
        # and a new one does not start beside them.
        self._end(signal.SIGQUIT)

    def restart(self) -> None:
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Let nothing be answered any more, as when the network is gone."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def remove(self) -> None:
        if self.is_running():
            self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def connected(self, database: str = "postgres") -> Iterator[psycopg.Connection[Any]]:
        """Connect, each statement for itself."""
        with self.connect(database) as connection:
            yield connection

    def connect(self, database: str, name: str = "") -> psycopg.Connection[Any]:
        """Connect under a name, each statement for itself."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            dbname=database,
            autocommit=True,
            connect_timeout=5,
            application_name=name,
        )

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement in a connection of its own and return its rows, if it has any."""
        with self.connected(database) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    @cached_property
    def _version(self) -> int:
        ((found,),) = self.execute("SHOW server_version_num")
        return int(str(found)) // 10_000

    def new_database(self, template: str = "template1") -> str:
        """Make a database, a copy of `template`, and return its name."""
        self._made += 1
        name = f"test_{self._made}"
        # Half of the work of what is the default since version 15.
        copied = "STRATEGY file_copy" if self._version >= 15 else ""
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} {copied}")
        return name

    def drop_database(self, name: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def sessions(self, database: str) -> list[tuple[object, ...]]:
        """Return (state, query) of each session in `database` of the code that is tested."""
        return self.execute(
            "SELECT state, query FROM pg_stat_activity WHERE backend_type = 'client backend'"  # noqa: S608
            f" AND datname = '{database}' AND application_name <> '{HELD_BY}'"
        )

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        assert self._watch is not None
        # Called off, before the process id can be another's.
        self._watch.communicate(b"\n", PATIENCE)
        self._process.send_signal(number)
        self._process.wait(PATIENCE)

    def _signal_all(self, number: signal.Signals) -> None:
        server = psutil.Process(self.pid)
        for process in (server, *server.children(recursive=True)):
            process.send_signal(number)

    def _identity(self) -> _Identity:
        if self._user is None:
            return {}
        return {"user": self._user, "group": self._user, "extra_groups": []}

    def _run(self, program: str, *arguments: str) -> None:
        found = subprocess.run(  # noqa: S603  # ours
            [self._programs / program, *arguments],
            **self._identity(),
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert found.returncode == 0, found.stderr


def _user() -> int:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    raise AssertionError("there is no user to run PostgreSQL as")
