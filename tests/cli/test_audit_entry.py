from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.cli.audit_entry import by_operator, record_action
from gateway.core.records.audit import ActorKind, AuditAction, AuditResult
from gateway.store.writing import chain
from gateway.store.writing.batch import decode
from gateway.store.writing.journal import Journal

from ..store.migrated import migrated_database

CONFIG = (
    '[providers.p]\nkind = "demo"\n'
    '[[models]]\nname = "m"\nroutes = [{{ provider = "p", model = "x" }}]\n'
    '[store]\nurl = "{}"\n'
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format("sqlite:///gateway.db"))
    return path


def test_an_action_says_who_did_what_and_when() -> None:
    made = by_operator(AuditAction.CAPTURE_REPLAYED, AuditResult.FAILED, "req_1", url="http://x")
    assert abs(made.time - time.time()) < 10
    assert (made.action, made.result, made.target) == ("capture_replayed", "failed", "req_1")
    assert made.actor_kind is ActorKind.OPERATOR
    assert made.actor
    assert made.details == {"url": "http://x"}


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", fails)
    monkeypatch.setattr("os.getuid", lambda: 4711)
    assert by_operator(AuditAction.CAPTURE_VIEWED, AuditResult.OK, "x").actor == "4711"


def test_the_environment_names_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    real = by_operator(AuditAction.CAPTURE_VIEWED, AuditResult.OK, "x").actor
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "somebody-else")
    assert by_operator(AuditAction.CAPTURE_VIEWED, AuditResult.OK, "x").actor == real


def test_it_is_in_the_chain(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = migrated_database(config.parent)
    for _ in range(2):
        record_action(config, by_operator(AuditAction.CAPTURE_VIEWED, AuditResult.OK, "req_1"))
    assert capsys.readouterr() == ("", "")
    last = database.read_now(chain.head)
    assert last is not None
    assert last.id == 2
    database.close()


def test_no_store_no_log(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(CONFIG.format(""))
    record_action(config, by_operator(AuditAction.CAPTURE_VIEWED, AuditResult.OK, "req_1"))
    assert capsys.readouterr() == ("", "")
    assert [path.name for path in config.parent.iterdir()] == ["config.toml"]


@pytest.mark.parametrize("broken", ["missing", "empty", "garbage", "scheme"])
def test_without_a_database_it_waits_for_the_gateway(
    config: Path, capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    file = config.with_name("gateway.db")
    if broken == "empty":
        file.write_bytes(b"")
    elif broken == "garbage":
        file.write_bytes(b"no database" * 1000)
    elif broken == "scheme":
        config.write_text(CONFIG.format("mysql://x/y"))
    before = file.exists() and file.read_bytes()
    event = by_operator(AuditAction.CAPTURE_VIEWED, AuditResult.OK, "req_1")
    record_action(config, event)
    assert capsys.readouterr() == ("", "")
    assert (file.exists() and file.read_bytes()) == before
    (path,) = config.with_name("gateway.journal").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    journal = Journal.adopt(path)
    assert journal is not None
    (frame,) = journal.read(1_000_000)
    batch, rejected = decode(frame.payload)
    assert (batch.number, batch.records, batch.events, rejected) == (1, [], [event], [])
    journal.close()


def test_no_error_of_a_database_is_one_of_the_action(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = migrated_database(config.parent)
    database.write_now(lambda connection: connection.exec_driver_sql("DROP TABLE audit"))
    database.close()
    event = by_operator(AuditAction.CAPTURE_VIEWED, AuditResult.OK, "req_1")
    record_action(config, event)
    assert capsys.readouterr() == ("", "")
    (path,) = config.with_name("gateway.journal").iterdir()
    path.unlink()
    config.with_name("gateway.journal").rmdir()
    config.with_name("gateway.journal").write_text("in the way")
    record_action(config, event)
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("mistake", [ValueError("a\nb"), KeyError()])
def test_no_mistake_of_ours_is_one_of_the_action(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    mistake: Exception,
) -> None:
    def fails(*_: object) -> None:
        raise mistake

    monkeypatch.setattr(Journal, "create", fails)
    record_action(config, by_operator(AuditAction.CAPTURE_VIEWED, AuditResult.OK, "req_1"))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("warning: this is not in the audit log: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("broken", ["config", "folder"])
def test_what_cannot_be_recorded_is_said(
    config: Path, capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    if broken == "config":
        config.write_text("x")
    else:
        config.with_name("gateway.journal").write_text("in the way")
    record_action(config, by_operator(AuditAction.CAPTURE_VIEWED, AuditResult.OK, "req_1"))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("warning: this is not in the audit log: ")
    assert err.count("\n") == 1
