"""`gateway erase`: nothing is left of whom it was asked for, and all of the others."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, select

from gateway.captures.files import list_captures
from gateway.cli.commands.erase import erase
from gateway.config import load
from gateway.core.dialects.keeping import KeptResponse
from gateway.core.objects.kept import KeptObject
from gateway.core.records.minimised import Minimising
from gateway.core.records.record import Record
from gateway.store.engine import migrate
from gateway.store.engine.database import Database
from gateway.store.engine.kept_tables import kept_objects, kept_responses
from gateway.store.kept import objects, responses
from gateway.store.writing import chain
from gateway.store.writing.batch import Batch, Rejected, decode, encode
from gateway.store.writing.journal import Journal
from gateway.store.writing.rejected import write_rejected

from ...captures.test_files import NOON, write
from ...postgres import PostgresServer
from ...store.exported import attempt, request, store
from ...store.migrated import migrated_database

pytestmark = pytest.mark.slow

Captured = pytest.CaptureFixture[str]


def journaled(number: int, user: str | None, token: str) -> Record:
    found = Record(request_id=f"req_j{number}", time=NOON, token=token)
    found.user = user
    return found


SQLITE = "sqlite:///gateway.db"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return laid_out(tmp_path, SQLITE)


@pytest.fixture
def on_postgresql(tmp_path: Path, postgres: PostgresServer) -> Path:
    return laid_out(tmp_path, postgres.url(postgres.new_database()))


def laid_out(tmp_path: Path, url: str) -> Path:
    """600 requests of ann's with the key app, ten of bob's with the key other, and journals."""
    path = tmp_path / "config.toml"
    path.write_text(f'[providers.p]\nkind = "not yet known"\n[store]\nurl = "{url}"\n')
    database = migrated_database(tmp_path) if url == SQLITE else Database(url, tmp_path)
    migrate.upgrade(database)
    rows = [request(number, user="ann", token="app") for number in range(600)]
    rows += [request(number, user="bob", token="other") for number in range(600, 610)]
    rows += [request(700, user=None, token=None)]
    store(
        database,
        requests_=rows,
        attempts_=[attempt(row["id"], number) for row in rows for number in (1, 2)],
        events=[],
    )
    database.close()
    debug = tmp_path / "debug"
    write(debug, "req_5", 0.0, b'{"model":"m"}')
    write(debug, "req_605", 0.0, b'{"model":"m","user":"bob"}')
    write(debug, "elsewhere", 0.0, b'{"metadata":{"user_id":"ann"}}')
    write(debug, "unread", 0.0, b'{"user":["ann"]}')
    journal = Journal.create(tmp_path / "gateway.journal", "left")
    records = [journaled(1, "ann", "app"), journaled(2, "bob", "other")]
    journal.append(7, encode(Batch(7, records, [])), 1 << 30)
    journal.append(8, encode(Batch(8, [journaled(3, "ann", "app")], [])), 1 << 30)
    journal.append(9, b"nothing that can be read", 1 << 30)
    journal.close()
    return path


def on_record(file: Path) -> tuple[int, int, list[str], list[str]]:
    """Return how many requests and attempts are left, the captures, and what journals have."""
    database = Database(load.store(file).url, file.parent)

    def counted(table: str) -> int:
        query = f"SELECT count(*) FROM {table}"  # noqa: S608  # a name of ours
        return int(database.read_now(lambda one: one.exec_driver_sql(query).scalar_one()))

    left = counted("requests"), counted("attempts")
    assert database.read_now(chain.verify).ok
    database.close()
    captures = sorted(each.name.partition(".")[0] for each in list_captures(file.parent / "debug"))
    names = []
    for path in (file.parent / "gateway.journal").glob("left.*"):
        journal = Journal.adopt(path)
        assert journal is not None
        frames = journal.read(1 << 30)
        journal.close()
        assert [each.number for each in frames] == [7, 8, 9]
        names = [
            each.request_id for frame in frames[:2] for each in decode(frame.payload)[0].records
        ]
    return (*left, captures, names)


def last_audit(file: Path) -> tuple[str, str, str]:
    database = Database(load.store(file).url, file.parent)
    query = "SELECT action, result, target FROM audit ORDER BY id DESC LIMIT 1"
    row = database.read_now(lambda one: one.exec_driver_sql(query).one())
    database.close()
    return tuple(row)


ALL_CAPTURES = ["elsewhere", "req_5", "req_605", "unread"]


def test_of_a_user(file: Path, capsys: Captured) -> None:
    assert erase(user="ann", config=file) == 0
    said = capsys.readouterr()
    assert said.out == (
        "deleted 600 requests, 1200 attempts, 2 debug files, 2 requests in journals\n"
    )
    assert said.err == ""
    assert on_record(file) == (11, 22, ["req_605", "unread"], ["req_j2"])
    action, result, target = last_audit(file)
    assert (action, result) == ("erased", "ok")
    assert target.startswith("user sha256:")
    assert "ann" not in target
    # Nothing of the name is left anywhere, but in a body that could not be told from others.
    assert b"ann" not in file.with_name("gateway.journal").joinpath("left.1.journal").read_bytes()
    assert erase(user="ann", config=file) == 0
    assert capsys.readouterr().out.startswith("deleted 0 requests, 0 attempts, 0 debug files, 0 ")


def test_of_a_key(file: Path, capsys: Captured) -> None:
    assert erase(token="other", config=file) == 0
    assert capsys.readouterr().out.startswith("deleted 10 requests, 20 attempts, 1 debug files, 1 ")
    assert on_record(file)[:2] == (601, 1202)
    assert last_audit(file)[2] == "token other"


def test_of_one_request(file: Path, capsys: Captured) -> None:
    assert erase(request="req_5", config=file) == 0
    assert capsys.readouterr().out.startswith("deleted 1 requests, 2 attempts, 1 debug files, 0 ")
    assert on_record(file)[2] == ["elsewhere", "req_605", "unread"]
    # One that has a debug file alone.
    assert erase(request="unread", config=file) == 0
    assert capsys.readouterr().out.startswith("deleted 0 requests, 0 attempts, 1 debug files, 0 ")
    assert erase(request="req_j3", config=file) == 0
    assert on_record(file) == (610, 1220, ["elsewhere", "req_605"], ["req_j1", "req_j2"])


def test_on_postgresql(on_postgresql: Path, capsys: Captured) -> None:
    file = on_postgresql
    for user in ("An", "%", "_nn", "ann' OR 1=1 --", "\0"):
        assert erase(user=user, config=file) == 0
    assert on_record(file) == (611, 1222, ALL_CAPTURES, ["req_j1", "req_j2", "req_j3"])
    capsys.readouterr()
    assert erase(request="req_605", config=file) == 0
    assert capsys.readouterr().out.startswith("deleted 1 requests, 2 attempts, 1 debug files, 0 ")
    assert erase(user="ann", config=file) == 0
    assert capsys.readouterr().out == (
        "deleted 600 requests, 1200 attempts, 2 debug files, 2 requests in journals\n"
    )
    assert on_record(file) == (10, 20, ["unread"], ["req_j2"])
    assert erase(token="other", config=file) == 0
    assert capsys.readouterr().out.startswith("deleted 9 requests, 18 attempts, 0 debug files, 1 ")
    assert on_record(file) == (1, 2, ["unread"], [])
    assert last_audit(file) == ("erased", "ok", "token other")


@pytest.mark.parametrize("user", ["", "An", "ann ", "%", "ann' OR 1=1 --", "_nn", "\0", "x" * 9999])
def test_of_nobody(file: Path, capsys: Captured, user: str) -> None:
    assert erase(user=user, config=file) == (0 if user else 2)
    captured = capsys.readouterr()
    assert captured.out.startswith("deleted 0 requests, 0 attempts, 0 ") or not user
    assert on_record(file) == (611, 1222, ALL_CAPTURES, ["req_j1", "req_j2", "req_j3"])


def test_one_of_three_is_to_be_given(file: Path, capsys: Captured) -> None:
    assert erase(config=file) == 2
    assert erase(user="ann", token="app", config=file) == 2
    assert "give one of --user, --request and --token" in capsys.readouterr().err


def test_journals_of_a_gateway_that_runs(file: Path, capsys: Captured) -> None:
    running = Journal.create(file.with_name("gateway.journal"), "running")
    try:
        assert erase(user="bob", config=file) == 0
        running.append(1, encode(Batch(1, [journaled(4, "ann", "app")], [])), 1 << 30)
        assert erase(user="ann", config=file) == 1
    finally:
        running.close()
    said = capsys.readouterr()
    assert "1 journals belong to a gateway that runs" in said.err
    # All else is gone, and the rest is once the gateway has left.
    assert erase(user="ann", config=file) == 0
    assert "0 debug files, 1 requests in journals" in capsys.readouterr().out


def keep_more(file: Path) -> None:
    """Keep three responses, an object, and two records that could not be stored."""
    database = Database(load.store(file).url, file.parent)

    def work(connection: Connection) -> None:
        for id, body, made_for in (
            ("resp_1", b'{"id":"resp_1"}', {"request_id": "req_5", "token": "app"}),
            ("resp_2", b'{"id":"resp_2"}', {"request_id": "req_pruned", "token": "other"}),
            # Of before responses were kept with their request.
            ("resp_3", b'{"id":"resp_3","safety_identifier":"ann"}', {}),
        ):
            kept = KeptResponse(id, body, b"[]", **made_for)
            responses.keep(connection, b"key", kept, 0.0, 1 << 20)
        objects.keep(connection, [KeptObject("file-1", "other", "p", "")], 0.0)

    database.write_now(work)
    database.close()
    rejected = [
        Rejected({"request_id": "req_x", "user": "ann", "token": "app"}, "too large"),
        Rejected({"request_id": "req_y", "user": "bob", "token": "other"}, "too large"),
        Rejected("ann", "no record"),
    ]
    write_rejected(file.with_name("gateway.journal"), rejected)


def what_is_kept(file: Path) -> tuple[list[str], list[str], list[str]]:
    database = Database(load.store(file).url, file.parent)

    def read(column: Column[str]) -> list[str]:
        return list(database.read_now(lambda one: one.execute(select(column)).scalars().all()))

    kept, ids = read(kept_responses.c.id), read(kept_objects.c.id)
    database.close()
    lines = file.with_name("gateway.journal").joinpath("rejected.jsonl").read_text().splitlines()
    return sorted(kept), ids, [each for each in lines if each.strip()]


def test_of_what_was_kept_for_callers(file: Path, capsys: Captured) -> None:
    keep_more(file)
    assert erase(user="ann", config=file) == 0
    assert capsys.readouterr().out.endswith(
        ", 2 kept responses, 1 records that could not be stored\n"
    )
    kept, ids, lines = what_is_kept(file)
    assert (kept, ids) == (["resp_2"], ["file-1"])
    assert [("req_x" in each, "req_y" in each) for each in lines] == [(False, True), (False, False)]
    assert erase(token="other", config=file) == 0
    assert capsys.readouterr().out.endswith(
        ", 1 kept responses, 1 ids of objects, which their providers still have,"
        " 1 records that could not be stored\n"
    )
    assert what_is_kept(file)[:2] == ([], [])
    # The others can still be written after.
    write_rejected(file.with_name("gateway.journal"), [Rejected({"user": "cy"}, "late")])
    assert '"cy"' in what_is_kept(file)[2][-1]


def test_of_the_response_of_one_request(on_postgresql: Path, capsys: Captured) -> None:
    keep_more(on_postgresql)
    assert erase(request="req_pruned", config=on_postgresql) == 0
    assert ", 1 kept responses" in capsys.readouterr().out
    assert what_is_kept(on_postgresql)[0] == ["resp_1", "resp_3"]
    assert erase(user="ann", config=on_postgresql) == 0
    assert what_is_kept(on_postgresql)[0] == []


def test_without_a_database(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "config.toml"
    path.write_text("")
    assert erase(user="ann", config=path) == 1
    assert "not set up yet" in capsys.readouterr().err


def test_of_a_user_that_is_kept_as_a_hash(file: Path, capsys: Captured) -> None:
    file.write_text(f'{file.read_text()}\n[log]\nusers = "hash"\nhash_key = "0123456789abcdef"\n')
    hashed = Minimising("hash", hash_key="0123456789abcdef").user("ann")
    database = Database("sqlite:///gateway.db", file.parent)
    row = request(800, user=hashed, token="app")
    store(database, requests_=[row], attempts_=[], events=[])
    database.close()
    assert erase(user="ann", config=file) == 0
    assert capsys.readouterr().out.startswith("deleted 601 requests, ")


def test_where_the_state_is(file: Path, capsys: Captured, tmp_path: Path) -> None:
    """Database, journals and debug files are where `state_dir` says."""
    state = tmp_path / "state"
    state.mkdir()
    for name in ("gateway.db", "gateway.journal", "debug"):
        (tmp_path / name).rename(state / name)
    file.write_text(f'{file.read_text()}\n[server]\nstate_dir = "state"\n')
    assert erase(user="ann", config=file) == 0
    assert capsys.readouterr().out == (
        "deleted 600 requests, 1200 attempts, 2 debug files, 2 requests in journals\n"
    )
