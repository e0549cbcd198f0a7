"""`gateway db prune`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gateway.cli.commands.db import app
from gateway.store.engine.database import Database
from gateway.store.writing import chain

from ...store.exported import EPOCH, attempt, event, request, store
from ...store.migrated import migrated_database

pytestmark = pytest.mark.slow

CONFIG = """
[retention]
requests_days = 1
audit_days = 1
debug_days = 1
[providers.p]
kind = "demo"
[[models]]
name = "m"
routes = [{ provider = "p", model = "x" }]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration; all that its database and its debug log have is old."""
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    database = migrated_database(path.parent)
    rows = [request(number, error="x" * 1000) for number in range(1500)]
    store(
        database,
        requests_=rows,
        attempts_=[attempt(row["id"]) for row in rows],
        events=[event(), event(1)],
    )
    database.close()
    debug = tmp_path / "debug" / "2026-05-28" / "req_1.jsonl.gz"
    debug.parent.mkdir(parents=True)
    debug.write_bytes(b"x")
    os.utime(debug, (EPOCH, EPOCH))
    return path


def opened(file: Path) -> Database:
    return Database("sqlite:///gateway.db", file.parent)


def run(file: Path, *arguments: str) -> int:
    status = app(["prune", *arguments, "--config", str(file)], result_action="return_value")
    assert isinstance(status, int)
    return status


def test_it_deletes_says_what_and_notes_it(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = file.with_name("gateway.db").stat().st_size
    assert run(file, "--vacuum") == 0
    said = "deleted 1500 requests, 0 roll-ups, 2 audit entries, 1 debug files\n"
    assert capsys.readouterr().out.endswith(said)
    database = opened(file)
    query = "SELECT actor_kind, result, target, details FROM audit ORDER BY id"
    shortened, run_ = database.read_now(lambda one: one.exec_driver_sql(query).all())
    assert database.read_now(chain.verify).ok
    database.close()
    assert shortened[:3] == ("operator", "ok", "audit")
    assert json.loads(shortened.details)["count"] == 2
    assert run_[:3] == ("operator", "ok", "all")
    noted = json.loads(run_.details)
    assert (noted["requests"], noted["attempts"], noted["audit"]) == (1500, 1500, 2)
    assert (noted["captures"], noted["capture_bytes"], noted["vacuum"]) == (1, 1, True)
    assert file.with_name("gateway.db").stat().st_size < before / 2
    assert not (file.parent / "debug" / "2026-05-28").exists()


def test_no_variable_of_a_provider_is_needed(file: Path) -> None:
    text = file.read_text()
    file.write_text(text.replace('"demo"', '"openai"\napi_key = "${KEY_THAT_IS_NOT_SET}"'))
    assert run(file) == 0


def test_nothing_to_delete_is_not_worth_an_entry(file: Path) -> None:
    assert run(file) == run(file) == 0
    database = opened(file)
    found = database.read_now(
        lambda one: one.exec_driver_sql("SELECT count(*) FROM audit").scalar()
    )
    database.close()
    assert found == 2


def test_what_is_not_there_is_said(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.with_name("gateway.db").unlink()
    assert run(file) == 1
    assert "gateway db upgrade" in capsys.readouterr().err
