"""`gateway export`, as a function and as a process that is broken off."""

from __future__ import annotations

import gzip
import json
import os
import pty
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from cyclopts import App
from sqlalchemy import insert

from gateway.cli.commands.export import export
from gateway.store.engine.database import Database
from gateway.store.engine.schema import team_rollups

from ...fork_server import popen
from ...once import made_once
from ...store.exported import event, request, rollup, store
from ...store.filling import fill
from ...store.migrated import migrated_database

pytestmark = pytest.mark.slow

ROOT: Final = Path(__file__).parents[3]
CONFIG: Final = """
[providers.p]
kind = "demo"
[[models]]
name = "m"
routes = [{ provider = "p", model = "x" }]
"""
PROGRAM: Final = """
import signal, sys
# A shell that runs the tests in the background has its children ignore these.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from cyclopts import App
from gateway.cli.commands.export import export
app = App(result_action="return_value", suppress_keyboard_interrupt=False)
app.command(export)
raise SystemExit(app())
"""
# The last of its pages of 1,000 rows is never read: it ends only when it is told to.
ENDLESS: Final = f"""
import time
from gateway.store.export.export import Export
step = Export.step
def slow(self, connection):
    if self.rows == 19_000:
        time.sleep(60)
    return step(self, connection)
Export.step = slow
{PROGRAM}"""
HOUR_US: Final = 3600 * 1_000_000
LABELS: Final = '{"env":"prod"}'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration; its database has three requests, an audit event and a roll-up."""
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    database = migrated_database(path.parent)
    rows = [request(n, model=f"m{n}", error="=1" if n else None) for n in range(3)]
    store(database, requests_=rows, events=[event()], rollups_=[rollup(HOUR_US, period=60)])
    database.close()
    return path


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration; its database has 20,000 requests, which take a second or more."""

    def make(folder: Path) -> None:
        (folder / "config.toml").write_text(CONFIG)
        database = migrated_database(folder)
        end = 10**6 * HOUR_US
        database.write_now(lambda connection: fill(connection, 20_000, end=end, days=50), 60)
        database.close()

    return made_once(tmp_path_factory, "to_export", make) / "config.toml"


@pytest.fixture
def much(filled: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    for name in ("gateway.db", "config.toml"):
        shutil.copy(filled.with_name(name), tmp_path)
    return tmp_path / "config.toml"


def opened(file: Path) -> Database:
    return Database("sqlite:///gateway.db", file.parent)


def run(file: Path, *arguments: str) -> int:
    app = App(result_action="return_value")
    app.command(export)
    status = app(["export", *arguments, "--config", str(file)])
    assert isinstance(status, int)
    return status


def audited(file: Path) -> list[dict[str, Any]]:
    """Return what the audit log says of exports."""
    database = opened(file)
    query = "SELECT result, target, details FROM audit WHERE action = 'exported' ORDER BY id"
    rows = database.read_now(lambda connection: connection.exec_driver_sql(query).all())
    database.close()
    return [{"result": row[0], "target": row[1], **json.loads(row[2])} for row in rows]


def process(
    file: Path, *arguments: str, program: str = PROGRAM, **options: Any
) -> subprocess.Popen[bytes]:
    return popen.Popen(
        [*popen.SCRIPT, program, "export", *arguments, "--config", str(file)],
        cwd=ROOT,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_csv_to_stdout_is_the_default(file: Path, capfdbinary: Any) -> None:
    assert run(file, "requests") == 0
    out, said = capfdbinary.readouterr()
    assert out.startswith(b'"id","request_id","time"')
    assert out.count(b"\r\n") == 4
    assert b'"\'=1"' in out
    assert said == b"3 rows, %d bytes\n" % len(out)


def test_stdout_has_a_name(file: Path, capfdbinary: Any) -> None:
    for arguments in (["-o", "-"], ["--out", "-"], ["--out=-"]):
        assert run(file, "requests", *arguments) == 0
        assert capfdbinary.readouterr().out.startswith(b'"id","request_id","time"')


def test_a_file_is_its_owners_and_named_in_the_audit_log(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "found.jsonl.gz"
    assert run(file, "requests", "--model", "m1", "--model", "m2", "-o", str(out)) == 0
    rows = [json.loads(line) for line in gzip.decompress(out.read_bytes()).splitlines()]
    assert [row["model"] for row in rows] == ["m1", "m2"]
    assert out.stat().st_mode & 0o777 == 0o600
    assert audited(file) == [
        {
            "result": "ok",
            "target": "requests",
            "rows": 2,
            "format": "jsonl",
            "gzip": True,
            "filters": {"model": ["m1", "m2"]},
            "to": str(out),
        }
    ]
    assert not [*tmp_path.glob(".*.part")]


def test_every_kind_and_its_filters(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"

    def rows(*arguments: str) -> int:
        assert run(file, *arguments, "--out", str(out)) == 0
        return len(out.read_bytes().splitlines())

    assert rows("audit", "--action", "sign_in", "--actor", "root") == 1
    assert rows("audit", "--action", "exported", "--result", "ok") == 1
    assert rows("usage") == 0
    assert rows("usage", "--period", "minute", "--token", "team", "--provider", "p") == 1
    assert rows("requests", "--since", "2026-05-28T00:00:00Z", "--until", "2026-05-29T00:00:00Z",
                "--text", "=1", "--status", "2xx") == 2  # fmt: skip
    assert rows("requests", "--since", "2026-05-28T00:00:00Z", "--status", "error") == 0


def test_usage_by_team_as_the_dashboard_downloads_it(file: Path, tmp_path: Path) -> None:
    database = migrated_database(tmp_path)
    kept = rollup(HOUR_US) | {"team": "search", "token": "k"}
    database.write_now(lambda connection: connection.execute(insert(team_rollups), [kept]))
    store(database, requests_=[request(9, team="search", user="u", session="s", labels=LABELS)])
    database.close()
    out = tmp_path / "out.jsonl"

    def rows(*arguments: str) -> list[dict[str, Any]]:
        assert run(file, *arguments, "--out", str(out)) == 0
        return [json.loads(line) for line in out.read_bytes().splitlines()]

    for asked in (["--by", "team"], ["--team", "search"], ["--by", "team", "--model", "m"]):
        (row,) = rows("usage", *asked)
        assert (row["team"], row["token"], row["requests"]) == ("search", "k", 1)
    assert rows("usage", "--team", "other") == []
    for by in ("model", "provider", "token", "status"):
        assert rows("usage", "--by", by, "--period", "hour") == []
    for asked in (["--user", "u"], ["--session", "s"], ["--team", "search"],
                  ["--label", "env=prod"], ["--user", "u", "--operation", "chat"]):  # fmt: skip
        (row,) = rows("requests", *asked)
        assert row["request_id"] == "req_9"
    assert rows("requests", "--label", "env=test") == []


def test_parquet_by_the_name(file: Path, tmp_path: Path) -> None:
    pq: Any = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "out.parquet"
    assert run(file, "requests", "-o", str(out)) == 0
    assert pq.read_table(out).num_rows == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["requests", "--since", "yesterday"], "since must be a time"),
        (["requests", "--status", "9"], "status must be"),
        (["requests", "--period", "day"], "--period is for usage"),
        (["requests", "--by", "team"], "--by is for usage"),
        (["usage", "--by", "user"], "gateway export requests has a column"),
        (["usage", "--session", "s"], "Usage cannot be filtered by session"),
        (["requests", "--action", "sign_in"], "There is no parameter 'action'"),
        (["requests", "--gzip", "--format", "parquet", "-o", "x"], "Parquet is compressed"),
        (["usage", "--text", "x"], "Usage cannot be filtered by text"),
    ],
)
def test_misuse_is_said(
    file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert run(file, *arguments) == 2
    assert says in capsys.readouterr().err
    assert audited(file) == []


def test_what_is_not_there_is_said(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str) -> str:
        assert run(file, "requests", *arguments) == 1
        return capsys.readouterr().err

    out = file.with_name("out.csv")
    assert "cannot be written" in said("-o", str(file.parent / "none" / "out.csv"))
    assert "cannot be written" in said("-o", str(file.parent))
    database = opened(file)
    database.write_now(lambda one: one.exec_driver_sql("UPDATE alembic_version SET version_num=9"))
    # A newer database is read as long as all is there that is known here.
    database.write_now(lambda one: one.exec_driver_sql("DROP TABLE attempts"))
    database.close()
    assert "9" in said("-o", str(out))
    file.with_name("gateway.db").unlink()
    assert "gateway db upgrade" in said("-o", str(out))
    assert not file.with_name("gateway.db").exists()
    file.write_text('[store]\nurl = ""\n' + CONFIG)
    assert "nothing is on record" in said("-o", str(out))
    file.unlink()
    assert "no such file" in said("-o", str(out))
    assert not out.exists()


def test_a_file_that_was_there_stays_until_the_new_one_is_whole(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("before")
    seen: list[str] = []

    def full(_descriptor: int) -> None:
        seen.append(out.read_text())
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("os.fsync", full)
    assert run(file, "requests", "-o", str(out)) == 1
    assert seen == ["before"]
    assert out.read_text() == "before"
    assert not [*tmp_path.glob(".*.part")]
    assert [each["result"] for each in audited(file)] == ["failed"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_broken_off_it_leaves_no_file(much: Path, number: signal.Signals) -> None:
    out = much.with_name("out.csv")
    with process(much, "requests", "-o", str(out), program=ENDLESS) as found:
        until(lambda: any(each.stat().st_size for each in much.parent.glob(".out.csv.*.part")))
        found.send_signal(number)
        _, said = found.communicate(timeout=20)
    assert found.returncode == 128 + number
    assert said == b"error: the export was broken off; no file is left\n"
    assert not out.exists()
    assert not [*much.parent.glob(".*.part")]
    (noted,) = audited(much)
    assert noted["result"] == "failed"
    assert 0 < noted["rows"] < 20_000


def test_a_reader_that_has_enough_is_no_error_to_speak_of(much: Path) -> None:
    with process(much, "requests") as found:
        assert found.stdout is not None
        assert found.stderr is not None
        assert found.stdout.readline().startswith(b'"id"')
        found.stdout.close()
        assert found.stderr.read() == b""
    assert found.returncode == 1
    assert [each["result"] for each in audited(much)] == ["failed"]


def test_on_a_terminal_there_is_a_bar(much: Path) -> None:
    ours, theirs = pty.openpty()
    out = much.with_name("out.csv")
    with process(much, "requests", "-o", str(out), stderr=theirs) as found:
        os.close(theirs)
        said = b""
        # At the end of what a terminal says, Linux has an error.
        try:
            while part := os.read(ours, 4096):
                said += part
        except OSError:
            pass
    os.close(ours)
    assert found.returncode == 0
    assert b"%" in said
    assert b"rows" in said
    assert said.endswith(b"20000 rows, %d bytes in %s\r\n" % (out.stat().st_size, os.fsencode(out)))


def test_a_terminal_is_not_for_what_is_packed(file: Path) -> None:
    ours, theirs = pty.openpty()
    with process(file, "requests", "--format", "parquet", stdout=theirs) as found:
        os.close(theirs)
        _, said = found.communicate(timeout=20)
    os.close(ours)
    assert found.returncode == 2
    assert b"not for a terminal" in said
