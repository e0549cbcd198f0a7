"""What is made of records, put together, with a real database."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import trio
from sqlalchemy import Connection, select

from gateway.config.keys.tables import Token
from gateway.config.reload_status import ReloadOutcome
from gateway.config.schema import Config, Log, Retention, Store, TracingConfig
from gateway.core.records.record import EndReason, Record
from gateway.errors import ConfigError
from gateway.lifecycle import Lifecycle
from gateway.process.recording import Recording
from gateway.serve.crew.member import WORKER
from gateway.store.engine.schema import audit, requests
from gateway.store.held.jobs import RETENTION

from ..end_to_end.harness import PATIENCE
from ..end_to_end.provider import until

QUIET = Log(requests=False)


def finished(number: int) -> Record:
    return Record(request_id=f"req_{number}", time=1_700_000_000.0, end_reason=EndReason.COMPLETE)


async def running(recording: Recording, nursery: trio.Nursery) -> None:
    with trio.fail_after(PATIENCE):
        await recording.start(nursery)


def rows(recording: Recording, column: Any) -> list[Any]:
    assert recording.database is not None
    return recording.database.read_now(
        lambda connection: list(connection.scalars(select(column).order_by(column)))
    )


async def test_records_and_events_are_in_the_database_at_the_end(tmp_path: Path) -> None:
    recording = Recording(Config(log=QUIET), tmp_path)
    async with trio.open_nursery() as nursery:
        await running(recording, nursery)
        for number in range(3):
            recording.record(finished(number), None)
        recording.audit_reload(ReloadOutcome(2, changed=("limits.rpm",)), "SIGHUP")
        recording.audit_reload(ReloadOutcome(2, problems=("x = canary",)), "SIGHUP")
        recording.audit_tokens({"team": ["rpm"]})
        nursery.cancel_scope.cancel()
    assert rows(recording, requests.c.request_id) == ["req_0", "req_1", "req_2"]
    events = rows(recording, audit.c.details)
    assert '{"problems":1}' in events
    assert "canary" not in repr(events)
    assert rows(recording, audit.c.action) == [
        "config_reloaded",
        "config_reloaded",
        "migrated",
        "token_changed",
    ]
    gauges = recording.gauges()
    assert gauges is not None
    assert (gauges.waiting, gauges.dropped, gauges.failing) == (0, 0, False)
    recording.close()
    assert (tmp_path / "gateway.db").stat().st_mode & 0o777 == 0o600


async def test_without_a_store_nothing_is_kept(tmp_path: Path) -> None:
    recording = Recording(Config(log=QUIET, store=Store(url="")), tmp_path)
    async with trio.open_nursery() as nursery:
        await running(recording, nursery)
        recording.record(finished(1), None)
        recording.audit_reload(ReloadOutcome(2), "SIGHUP")
        assert recording.gauges() is None
        nursery.cancel_scope.cancel()
    recording.close()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("usable", [True, False])
async def test_a_database_of_a_newer_gateway_is_refused_if_it_lacks_something(
    tmp_path: Path, usable: bool
) -> None:
    recording = Recording(Config(log=QUIET), tmp_path)
    async with trio.open_nursery() as nursery:
        await running(recording, nursery)
        nursery.cancel_scope.cancel()
    assert recording.database is not None

    def upgrade(connection: Connection) -> None:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        if not usable:
            connection.exec_driver_sql("DROP TABLE attempts")

    recording.database.write_now(upgrade)
    recording.close()
    again = Recording(Config(log=QUIET), tmp_path)
    if usable:
        async with trio.open_nursery() as nursery:
            await running(again, nursery)
            nursery.cancel_scope.cancel()
        again.close()
        return
    with pytest.raises(ExceptionGroup) as caught:
        async with trio.open_nursery() as nursery:
            await running(again, nursery)
    assert caught.group_contains(ConfigError, match="9999")
    again.close()


def test_what_cannot_be_used_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="url"):
        Recording(Config(log=QUIET, store=Store(url="mysql://u:canary@h/d")), tmp_path)
    with pytest.raises(ConfigError, match="endpoint"):
        Recording(Config(log=QUIET, tracing=TracingConfig(endpoint="nowhere")), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
async def test_retention_follows_a_reload(tmp_path: Path) -> None:
    recording = Recording(Config(log=QUIET, retention=Retention(interval=1)), tmp_path)
    async with trio.open_nursery() as nursery:
        await running(recording, nursery)
        recording.record(finished(1), None)
        await until(lambda: rows(recording, requests.c.request_id) == ["req_1"], "it", PATIENCE)
        # As the task does that asks who leads.
        assert recording.leadership is not None
        recording.leadership.set([RETENTION])
        nursery.start_soon(recording.maintain)
        # Its time is long ago, but nothing is old enough for ever.
        recording.configure(
            Config(
                retention=Retention(interval=1, requests_days=0),
                tokens=(Token(name="t", key="k" * 9),),
            )
        )
        await trio.sleep(1.5)
        assert rows(recording, requests.c.request_id) == ["req_1"]
        recording.configure(Config(retention=Retention(interval=1)))
        await until(lambda: rows(recording, requests.c.request_id) == [], "nothing", PATIENCE)
        nursery.cancel_scope.cancel()
    recording.close()


@pytest.mark.parametrize(
    ("worker", "retired", "noted"),
    [(None, False, 1), ("0", False, 1), ("0", True, 0), ("1", False, 0)],
)
async def test_one_of_all_workers_puts_a_reload_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker: str | None, retired: bool, noted: int
) -> None:
    """In an upgrade two have the same place: the one that leaves says nothing any more."""
    monkeypatch.delenv(WORKER, raising=False)
    if worker is not None:
        monkeypatch.setenv(WORKER, worker)
    lifecycle = Lifecycle()
    lifecycle.ready()
    recording = Recording(Config(log=QUIET), tmp_path, lifecycle)
    async with trio.open_nursery() as nursery:
        await running(recording, nursery)
        if retired:
            lifecycle.retire()
        recording.audit_reload(ReloadOutcome(2, changed=("tokens",)), "SIGHUP")
        recording.audit_tokens({"app": ["rpm"]})
        recording.record(finished(1), None)
        await until(lambda: rows(recording, requests.c.request_id) == ["req_1"], "it", PATIENCE)
        nursery.cancel_scope.cancel()
    actions = rows(recording, audit.c.action)
    assert actions.count("config_reloaded") == actions.count("token_changed") == noted
    recording.close()
