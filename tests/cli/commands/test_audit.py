"""`gateway audit`, on a log that was altered, and on one that was not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.cli.commands.audit import app
from gateway.core.records.audit import ActorKind, AuditAction, AuditEvent, AuditResult
from gateway.store.engine.database import Database
from gateway.store.writing import chain

from ...store.migrated import migrated_database

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


def event(number: int, **changes: Any) -> AuditEvent:
    found = AuditEvent(
        time=1_790_000_000.0 + number,
        action=AuditAction.SIGN_IN,
        result=AuditResult.REFUSED,
        actor_kind=ActorKind.ADMIN,
        client_ip="127.0.0.1",
        target="/admin/api/status",
        details={"number": number},
    )
    return msgspec.structs.replace(found, **changes)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration whose database has three rows in its audit log."""
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    database = migrated_database(tmp_path)
    events = [event(0), event(1), event(2, action=AuditAction.EXPORTED, actor="a\x1b[31m")]
    database.write_now(lambda connection: chain.append(connection, events))
    database.close()
    return path


def write(file: Path, *statements: str) -> None:
    database = Database("sqlite:///gateway.db", file.parent)
    for each in ("DROP TRIGGER IF EXISTS audit_append_only", *statements):
        database.write_now(lambda connection: connection.exec_driver_sql(each))  # noqa: B023
    database.close()


def run(file: Path, *arguments: str) -> int:
    status = app([*arguments, "--config", str(file)], result_action="return_value")
    assert isinstance(status, int)
    return status


def head(output: str) -> str:
    return next(line for line in output.splitlines() if line.startswith("head: "))[6:]


def test_a_log_that_was_not_altered(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(file, "verify") == 0
    said = capsys.readouterr()
    assert "rows: 3, from 1 to 3\n" in said.out
    assert "the log is whole" in said.out
    # What this cannot see, it says.
    assert "--expect" in said.out
    assert said.err == ""
    noted = head(said.out)
    assert noted.startswith("3:")
    assert run(file, "verify", "--expect", noted) == 0
    # To check changes nothing.
    assert head(capsys.readouterr().out) == noted


def test_a_changed_row_is_named(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(file, "UPDATE audit SET result = 'ok' WHERE id = 2")
    assert run(file, "verify") == 1
    said = capsys.readouterr()
    assert said.err == "error: row 2 is altered: its content is not what its hash was made of\n"
    assert "whole" not in said.out


def test_a_log_cut_off_is_found_by_the_noted_head(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(file, "verify")
    noted = head(capsys.readouterr().out)
    write(file, "DELETE FROM audit WHERE id = 3")
    assert run(file, "verify") == 0
    capsys.readouterr()
    assert run(file, "verify", "--expect", noted) == 1
    assert "row 3 is truncated: row 3 was noted as the head" in capsys.readouterr().err
    write(file, "DELETE FROM audit")
    assert run(file, "verify", "--expect", noted) == 1
    assert "it is empty" in capsys.readouterr().err


@pytest.mark.parametrize("noted", ["3", "3:xyz", "0:" + "0" * 64, ":", "3:" + "A" * 64])
def test_a_head_that_is_none(file: Path, noted: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(file, "verify", f"--expect={noted}") == 2
    assert "must be ID:HASH" in capsys.readouterr().err


def test_what_retention_took_is_said(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = Database("sqlite:///gateway.db", file.parent)
    noted = database.read_now(chain.head)
    assert noted is not None
    details = {"first_remaining_id": 4, "last_deleted_hash": noted.hash, "count": 3}
    mark = event(3, action=AuditAction.RETENTION, details=details)
    database.write_now(lambda connection: chain.append(connection, [mark]))
    database.close()
    write(file, "DELETE FROM audit WHERE id <= 3")
    assert run(file, "verify") == 0
    assert "rows 1 to 3 were deleted by retention" in capsys.readouterr().out
    write(file, "UPDATE audit SET action = 'sign_in'")
    assert run(file, "verify") == 1


def test_the_list_is_harmless_to_a_terminal_and_itself_on_record(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(file, "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["3", "2", "1"]
    assert "exported refused /admin/api/status" in lines[0]
    assert "admin a\\x1b[31m 127.0.0.1" in lines[0]
    assert '{"number":2}' in lines[0]
    assert run(file, "list", "--json", "--limit", "1") == 0
    (row,) = msgspec.json.decode(capsys.readouterr().out)
    assert (row["id"], row["action"], row["target"]) == (4, "log_viewed", "audit")
    assert row["actor_kind"] == "operator"
    assert run(file, "verify") == 0


def test_the_list_can_be_narrowed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(file, "list", "--action", "exported") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert run(file, "list", "--action", "exported", "--action", "sign_in") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert run(file, "list", "--since", "2026-09-21T14:13:21Z", "--action", "sign_in") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert run(file, "list", "--since", "yesterday") == 2
    assert "since must be a time such as" in capsys.readouterr().err
    assert run(file, "list", "--limit", "0") == 2


def test_a_long_list_is_read_page_by_page(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # By its path it would be found as the command that the package has under its name.
    monkeypatch.setattr(sys.modules["gateway.cli.commands.audit"], "_PAGE", 2)
    assert run(file, "list", "--limit", "3") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["3", "2", "1"]


@pytest.mark.parametrize("command", ["verify", "list"])
def test_where_nothing_is_on_record(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.replace("sqlite:///gateway.db", ""))
    assert run(path, command) == 1
    assert "nothing is on record" in capsys.readouterr().err
    path.write_text(CONFIG.replace("gateway.db", "missing.db"))
    assert run(path, command) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: sqlite:///{tmp_path}/missing.db: ")
    assert not (tmp_path / "missing.db").exists()
    (tmp_path / "missing.db").touch()
    assert run(path, command) == 1
    assert "run `gateway db upgrade`" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["verify", "list"])
def test_no_variable_of_a_provider_is_needed(
    file: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(CONFIG.replace('"demo"', '"openai"\napi_key = "${KEY_THAT_IS_NOT_SET}"'))
    assert run(file, command) == 0
    assert capsys.readouterr().err == ""
