"""`gateway db upgrade`, `current` and `check`; `prune` is tested in test_pruning.py."""

from __future__ import annotations

import shutil
import socket
import sqlite3
from pathlib import Path
from typing import Final

import msgspec
import pytest
from sqlalchemy import select

from gateway.cli.commands.db import app
from gateway.store.engine import migrate
from gateway.store.engine.database import Database
from gateway.store.engine.schema import audit

pytestmark = pytest.mark.slow

Captured = pytest.CaptureFixture[str]
SECRET: Final = "hunter2-of-the-database"
REVISIONS: Final = sorted(
    path.stem.partition("_")[0] for path in (migrate.FOLDER / "versions").glob("0*.py")
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return configured(tmp_path)


def configured(folder: Path, store: str = "") -> Path:
    path = folder / "config.toml"
    # Upgrading a database asks no more of the file than where it is.
    path.write_text(f'[store]\n{store}\n[providers.p]\nkind = "not yet known"\n')
    return path


def run(command: str, file: Path, capsys: Captured) -> tuple[int, str, str]:
    status = app([command, "--config", str(file)], result_action="return_value")
    said = capsys.readouterr()
    assert isinstance(status, int)
    return status, said.out, said.err


def test_from_nothing_to_up_to_date(file: Path, capsys: Captured) -> None:
    path = file.with_name("gateway.db")
    name = f"sqlite:///{path}"
    head = migrate.HEAD
    missing = f"{name}: not set up yet; run `gateway db upgrade`\n"
    assert run("check", file, capsys) == (1, missing, "")
    said = f"{name}: not set up yet; this version's is {head}\n"
    assert run("current", file, capsys) == (0, said, "")
    # To ask makes no file.
    assert not path.exists()

    status, out, err = run("upgrade", file, capsys)
    assert (status, err) == (0, "")
    assert out.startswith(f"{name}: applied revision 0001\n")
    up_to_date = f"{name}: up to date at revision {head}\n"
    assert out.endswith(f"{name}: applied revision {head}\n{up_to_date}")

    assert run("upgrade", file, capsys) == (0, up_to_date, "")
    assert run("check", file, capsys) == (0, up_to_date, "")
    said = f"{name}: at revision {head}; this version's is {head}\n"
    assert run("current", file, capsys) == (0, said, "")


def test_an_older_database(
    file: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = f"sqlite:///{file.parent / 'gateway.db'}"
    with monkeypatch.context() as patch:
        # As the code of that time would have made it.
        folder = tmp_path / "older"
        shutil.copytree(migrate.FOLDER, folder)
        for path in (folder / "versions").glob("0*.py"):
            if path.stem.partition("_")[0] > "0002":
                path.unlink()
        patch.setattr(migrate, "FOLDER", folder)
        patch.setattr(migrate, "HEAD", "0002")
        assert run("upgrade", file, capsys)[0] == 0
    said = f"{name}: not up to date: {', '.join(REVISIONS[2:])} missing; run `gateway db upgrade`\n"
    assert run("check", file, capsys) == (1, said, "")
    status, out, err = run("upgrade", file, capsys)
    assert (status, err) == (0, "")
    assert f"{name}: applied revision 0003\n" in out
    assert f"{name}: applied revision {migrate.HEAD}\n" in out


def test_a_newer_database(file: Path, capsys: Captured) -> None:
    run("upgrade", file, capsys)
    with sqlite3.connect(file.with_name("gateway.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("ALTER TABLE requests ADD COLUMN tomorrow TEXT")
    connection.close()
    # It has all that this version needs.
    status, out, err = run("check", file, capsys)
    assert (status, err) == (0, "")
    assert f"up to date at revision 9999, of a newer version; this one's is {migrate.HEAD}" in out
    status, out, err = run("upgrade", file, capsys)
    assert (status, err) == (0, "")
    with sqlite3.connect(file.with_name("gateway.db")) as connection:
        connection.execute("ALTER TABLE requests RENAME COLUMN model TO served")
    connection.close()
    for command in ("check", "upgrade"):
        status, out, err = run(command, file, capsys)
        assert (status, out) == (1, "")
        assert err.startswith("error: [store] url: ")
        assert f"'9999', which this gateway does not know; its own is '{migrate.HEAD}'" in err
    status, out, err = run("current", file, capsys)
    assert (status, err) == (0, "")
    assert "at revision 9999;" in out


def test_a_server_that_is_not_there(tmp_path: Path, capsys: Captured) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file = configured(tmp_path, f'url = "postgresql://me:{SECRET}@127.0.0.1:{port}/d"')
    for command in ("check", "current", "upgrade"):
        status, out, err = run(command, file, capsys)
        assert (status, out) == (1, "")
        assert err.startswith(
            f"error: postgresql://me@127.0.0.1:{port}/d: the database cannot be used: "
        )
        assert err.count("\n") == 1
        assert SECRET not in err


def test_no_store(tmp_path: Path, capsys: Captured) -> None:
    file = configured(tmp_path, 'url = ""')
    problem = f'error: {file}: [store] url: is "": nothing is on record\n'
    for command in ("check", "current", "upgrade"):
        assert run(command, file, capsys) == (1, "", problem)


def test_a_url_that_is_none(tmp_path: Path, capsys: Captured) -> None:
    file = configured(tmp_path, f'url = "mysql://me:{SECRET}@h/d"')
    status, out, err = run("check", file, capsys)
    assert (status, out) == (1, "")
    assert err.startswith("error: [store] url: 'mysql' is not supported")
    assert SECRET not in err


def test_no_file(tmp_path: Path, capsys: Captured) -> None:
    status, _, err = run("check", tmp_path / "none.toml", capsys)
    assert status == 1
    assert "no such file" in err


def test_an_upgrade_comes_before_the_first_start(tmp_path: Path, capsys: Captured) -> None:
    file = configured(tmp_path)
    file.write_text(f'[server]\nstate_dir = "var/state"\n{file.read_text()}')
    status, out, _ = run("upgrade", file, capsys)
    assert status == 0
    assert "up to date" in out
    assert (tmp_path / "var" / "state" / "gateway.db").exists()


def test_an_upgrade_is_on_record(file: Path, capsys: Captured) -> None:
    for _ in range(2):
        assert run("upgrade", file, capsys)[0] == 0
    database = Database("sqlite:///gateway.db", file.parent)
    rows = database.read_now(
        lambda connection: connection.execute(select(audit.c.action, audit.c.details)).all()
    )
    database.close()
    assert [(action, msgspec.json.decode(details)) for action, details in rows] == [
        ("migrated", {"revisions": REVISIONS})
    ]
