"""`gateway status`, `processes` and `cancel` beside a database that processes speak into."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select, update

from gateway.cli.command_line import app
from gateway.core.processes import ProcessRow
from gateway.store.control.cancellations import asked_since
from gateway.store.control.process_drains import drains
from gateway.store.control.processes import beat
from gateway.store.engine.control_tables import processes
from gateway.store.engine.database import Database
from gateway.store.engine.schema import audit

from ....store.migrated import migrated_database

pytestmark = pytest.mark.slow

CONFIG = """
[store]
url = "sqlite:///gateway.db"
[providers.p]
kind = "demo"
[[models]]
name = "m"
routes = [{ provider = "p", model = "x" }]
"""
ROW = ProcessRow(
    id="id-a",
    host="a\x1b[31m",
    pid=11,
    version="1.2",
    started=time.time() - 60,
    seen=0.0,
    state={
        "phase": "running",
        "in_flight": 3,
        "load": 0.25,
        "loop_lag_ms": 1.6,
        "limits": "shared",
        "leads": ["retention"],
        "config": {"generation": 2, "last_error": {"at": "", "problems": []}},
        "keys_generation": 5,
    },
)
# Of an older version, which says less.
OLD = msgspec.structs.replace(ROW, id="id-b", host="b", pid=12, state={"phase": "running"})


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    (tmp_path / "config.toml").write_text(CONFIG)
    found = migrated_database(tmp_path)
    speak(found, ROW, OLD)
    yield found
    found.close()


def speak(database: Database, *rows: ProcessRow) -> None:
    for row in rows:
        database.write_now(lambda connection, row=row: beat(connection, row))  # type: ignore[misc]


def silence(database: Database, id: str, seconds: float) -> None:
    seen = round((time.time() - seconds) * 1_000_000)
    statement = update(processes).where(processes.c.id == id).values(seen=seen)
    database.write_now(lambda connection: connection.execute(statement))


def run(tmp_path: Path, *words: str) -> int:
    found: int = app([*words, "--config", str(tmp_path / "config.toml")])
    return found


def noted(database: Database) -> list[tuple[str, str]]:
    query = select(audit.c.action, audit.c.target).order_by(audit.c.id)
    return [(row[0], row[1]) for row in database.read_now(lambda each: each.execute(query).all())]


def test_all_are_shown(
    tmp_path: Path, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    speak(database, ROW, OLD)
    assert run(tmp_path, "status") == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.split()[:3] == ["HOST", "PROCESS", "STATE"]
    # Names may hold what a terminal takes for a command.
    assert "\x1b" not in second
    for part in ("running", " 3 ", "25 %", "2 ms", "shared", "retention", "2 (last reload failed)"):
        assert part in second
    assert third.split()[:3] == ["b", "12", "running"]
    speak(database, ROW)
    silence(database, "id-b", 9)
    assert run(tmp_path, "status", "--json") == 0
    found = msgspec.json.decode(capsys.readouterr().out)
    assert found["hosts_from"] == "database"
    assert [(host["name"], host["alive"]) for host in found["hosts"]] == [
        ("a\x1b[31m", True),
        ("b", False),
    ]
    silence(database, "id-b", 16)
    silence(database, "id-a", 7)
    assert run(tmp_path, "status") == 0
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) == 2
    assert "silent for" in shown


def test_drains_by_host_by_process_and_by_id(
    tmp_path: Path, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "processes", "drain", "b", "--for", "600", "--reason", "disk") == 0
    (drain,) = database.read_now(lambda connection: drains(connection, time.time()))
    assert (drain.target, drain.reason) == ("host:b", "disk")
    assert 500 < drain.until - time.time() <= 600
    speak(database, OLD)
    assert run(tmp_path, "status") == 0
    assert "drained for" in capsys.readouterr().out
    assert run(tmp_path, "processes", "enable", "b") == 0
    speak(database, OLD)
    assert run(tmp_path, "processes", "enable", "b") == 0
    assert "is so already" in capsys.readouterr().err
    for name in ("b/12", "id-b"):
        speak(database, OLD)
        assert run(tmp_path, "processes", "drain", name) == 0
        (drain,) = database.read_now(lambda connection: drains(connection, time.time()))
        assert drain.target == "process:id-b"
    assert noted(database) == [
        ("process_drained", "host:b"),
        ("process_enabled", "host:b"),
        ("process_drained", "process:id-b"),
        ("process_drained", "process:id-b"),
    ]


def test_what_cannot_be_is_said(
    tmp_path: Path, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("none", "b/13", "12"):
        assert run(tmp_path, "processes", "drain", name) == 1
        assert "gateway status" in capsys.readouterr().err
    assert run(tmp_path, "processes", "drain", "b", "--for", "0") == 2
    speak(database, OLD)
    assert run(tmp_path, "processes", "drain", "b", "--reason", "a\nb") == 1
    assert "printable" in capsys.readouterr().err
    (tmp_path / "config.toml").write_text(CONFIG.replace("sqlite:///gateway.db", ""))
    assert run(tmp_path, "status") == 1
    assert "GET /admin/api/status" in capsys.readouterr().err
    (tmp_path / "config.toml").write_text(CONFIG + '[state]\nurl = "redis://127.0.0.1:1"\n')
    assert run(tmp_path, "status") == 1
    assert "[state]" in capsys.readouterr().err
    assert noted(database) == []


def test_a_request_is_asked_for_wherever_it_is(tmp_path: Path, database: Database) -> None:
    assert run(tmp_path, "cancel", "req_1") == 0
    ((request_id, _),) = database.read_now(lambda connection: asked_since(connection, 0.0))
    assert request_id == "req_1"
    assert noted(database) == [("request_cancelled", "req_1")]
    assert run(tmp_path, "cancel", "x" * 201) == 2
