"""`gateway users`: what it does to the database, what it says, what is on record."""

from __future__ import annotations

import io
import os
import pty
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest
from sqlalchemy import Connection, select

from gateway.admin.accounts.passwords import matches_now
from gateway.cli.commands.users import app
from gateway.store.accounts import failures, sessions, users
from gateway.store.accounts.sessions import StoredSession
from gateway.store.engine.database import Database
from gateway.store.engine.schema import audit

from ...end_to_end.harness import PATIENCE, ROOT
from ...fork_server.popen import Popen
from ...store.migrated import migrated_database

pytestmark = pytest.mark.slow

PASSWORD: Final = "correct horse battery"
OTHER: Final = "quite another password"
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    # Making a user asks no more of the file than where the database is.
    path.write_text('[store]\n[providers.p]\nkind = "not yet known"\n')
    return path


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    database = migrated_database(file.parent)
    yield database
    database.close()


class Command:
    """Runs the command with lines on stdin."""

    def __init__(self, file: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
        self._file, self._capsys, self._monkeypatch = file, capsys, monkeypatch

    def __call__(self, *arguments: str, stdin: str = f"{PASSWORD}\n") -> tuple[int, str, str]:
        self._monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        status = app([*arguments, "--config", str(self._file)], result_action="return_value")
        said = self._capsys.readouterr()
        assert isinstance(status, int)
        return status, said.out, said.err


@pytest.fixture
def run(file: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(file, capsys, monkeypatch)


def password_of(database: Database, name: str) -> str:
    found = database.read_now(lambda connection: users.with_password(connection, name))
    assert found is not None
    return found[1]


def on_record(database: Database) -> list[tuple[str, str, str, object]]:
    query = select(audit.c.action, audit.c.actor_kind, audit.c.target, audit.c.details)
    rows = database.read_now(
        lambda connection: list(connection.execute(query.order_by(audit.c.id)))
    )
    return [(row[0], row[1], row[2], msgspec.json.decode(row[3])) for row in rows]


def session(database: Database, name: str) -> bool:
    """Begin a session of the user."""

    def work(connection: Connection) -> bool:
        found = users.with_password(connection, name)
        assert found is not None
        user, password = found
        stored = StoredSession(
            digest="d",
            user_id=user.id,
            created=1,
            seen=1,
            expires=9,
            client_ip=None,
            user_agent=None,
        )
        return sessions.begin(connection, stored, password=password, idle=9) is not None

    return database.write_now(work)


def test_users_are_made_and_listed(run: Command, database: Database) -> None:
    status, out, err = run("list")
    assert (status, out) == (0, "")
    assert err.startswith("there are no users")
    assert run("create", "Root", "--role", "admin") == (0, "", "'root' can sign in now, as admin\n")
    assert run("create", "ann") == (0, "", "'ann' can sign in now, as viewer\n")
    assert matches_now(PASSWORD, password_of(database, "root"))
    status, out, _ = run("list")
    header, *lines = out.splitlines()
    assert header.split() == ["name", "role", "state", "last", "sign-in", "password", "of"]
    assert [line.split()[:4] for line in lines] == [
        ["ann", "viewer", "enabled", "never"],
        ["root", "admin", "enabled", "never"],
    ]
    _, out, _ = run("list", "--json")
    assert [each["name"] for each in msgspec.json.decode(out)] == ["ann", "root"]
    assert "argon2" not in out
    assert on_record(database) == [
        ("user_created", "operator", "root", {"new": {"role": "admin"}}),
        ("user_created", "operator", "ann", {"new": {"role": "viewer"}}),
    ]


@pytest.mark.parametrize(
    ("name", "stdin", "said"),
    [
        ("ann", "short\n", "error: password must have 12 to 256 characters\n"),
        ("ann", "", "error: password must have 12 to 256 characters\n"),
        ("with space", f"{PASSWORD}\n", "error: name must have 1 to 64 letters"),
        ("root", f"{PASSWORD}\n", "error: there is a user 'root' already\n"),
    ],
)
def test_what_no_user_can_be(
    run: Command, database: Database, name: str, stdin: str, said: str
) -> None:
    run("create", "root", "--role", "admin")
    status, out, err = run("create", name, stdin=stdin)
    assert (status, out) == (1, "")
    assert err.startswith(said)
    assert len(on_record(database)) == 1


def test_the_password_is_a_line_as_it_is(run: Command, database: Database) -> None:
    run("create", "ann", stdin=f" {PASSWORD} \r\nmore\n")
    assert matches_now(f" {PASSWORD} ", password_of(database, "ann"))


def test_changes(run: Command, database: Database) -> None:
    run("create", "root", "--role", "admin")
    run("create", "ann")
    assert run("role", "ann", "operator") == (0, "", "'ann' is operator\n")
    assert session(database, "ann")
    assert run("disable", "ANN") == (0, "", "'ann' is disabled; 1 session ended\n")
    assert run("enable", "ann") == (0, "", "'ann' is operator\n")
    assert session(database, "ann")
    said = (0, "", "'ann' has a new password; 1 session ended\n")
    assert run("passwd", "ann", stdin=f"{OTHER}\n") == said
    assert matches_now(OTHER, password_of(database, "ann"))
    changed = [each for each in on_record(database) if each[0] != "user_created"]
    assert [(action, details) for action, _, _, details in changed] == [
        (
            "user_changed",
            {"old": {"role": "viewer"}, "new": {"role": "operator"}, "sessions_ended": 0},
        ),
        (
            "user_changed",
            {"old": {"disabled": False}, "new": {"disabled": True}, "sessions_ended": 1},
        ),
        (
            "user_changed",
            {"old": {"disabled": True}, "new": {"disabled": False}, "sessions_ended": 0},
        ),
        ("password_changed", {"sessions_ended": 1}),
    ]
    assert not any(secret in repr(on_record(database)) for secret in (PASSWORD, OTHER, "argon2"))


def test_one_admin_stays(run: Command, database: Database) -> None:
    run("create", "root", "--role", "admin")
    said = "error: 'root' is the last enabled admin; make another one first\n"
    assert run("disable", "root") == (1, "", said)
    assert run("role", "root", "viewer") == (1, "", said)
    assert run("role", "root", "admin")[0] == 0


@pytest.mark.parametrize("command", [["disable"], ["enable"], ["passwd"], ["role"]])
def test_a_user_that_is_not_there(run: Command, database: Database, command: list[str]) -> None:
    more = ["viewer"] if command == ["role"] else []
    assert run(*command, "nobody", *more) == (1, "", "error: there is no user 'nobody'\n")


def test_who_is_locked_out_is_let_in(run: Command, database: Database) -> None:
    from gateway.admin.accounts.subjects import subjects_of

    run("create", "ann")
    subjects = subjects_of("ann", "192.0.2.7")[:1]
    for command in (["enable", "ann"], ["passwd", "ann"]):
        for _ in range(6):
            wait = database.write_now(lambda c: failures.reserve(c, subjects, 1))
        assert wait
        assert run(*command)[0] == 0
        assert not database.write_now(lambda c: failures.reserve(c, subjects, 1))


def test_a_database_that_is_not_there_yet(run: Command, file: Path) -> None:
    status, _, err = run("create", "ann")
    assert status == 1
    assert "not set up yet; run `gateway db upgrade`" in err
    file.write_text('[store]\nurl = ""\n')
    status, _, err = run("list")
    assert (status, "nothing is on record" in err) == (1, True)


@pytest.mark.slow
@pytest.mark.parametrize(("again", "status"), [(PASSWORD, 0), (OTHER, 1)])
def test_at_a_terminal_it_is_asked_for_twice_and_not_shown(
    file: Path, database: Database, again: str, status: int
) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "gateway", "users", "create", "ann", "--config", str(file)]
    with Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        os.close(theirs)
        shown = b""
        for prompt, typed in ((b"Password: ", PASSWORD), (b"Once more: ", again)):
            while prompt not in shown:
                shown += os.read(ours, 1000)
            os.write(ours, f"{typed}\n".encode())
        try:
            while piece := os.read(ours, 1000):
                shown += piece
        except OSError:
            pass  # the terminal is closed when the process ends
        assert process.wait(PATIENCE) == status, shown
    os.close(ours)
    assert PASSWORD.encode() not in shown
    assert database.read_now(users.exist) is (status == 0)
