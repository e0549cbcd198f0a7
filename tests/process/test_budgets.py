"""Budgets and what is on record of them, with a real database."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import trio

from gateway.config.callers import callers_of
from gateway.config.load import parse
from gateway.config.snapshot import Snapshot
from gateway.core.limits.ledger import Demand, LimitRefusal
from gateway.core.records.record import EndReason, Record
from gateway.lifecycle import Lifecycle
from gateway.process.budgets import BudgetSync
from gateway.process.components import Components
from gateway.process.recording import Recording
from gateway.store.writing.batch import Batch, encode
from gateway.store.writing.journal import Journal

from ..end_to_end.harness import PATIENCE
from ..end_to_end.provider import until
from ..end_to_end.store import eventually

CONFIG = """
[log]
requests = false
[providers.p]
kind = "openai"
base_url = "http://127.0.0.1:1/v1"
[[models]]
name = "m"
routes = [{ provider = "p", model = "x", input_price = 1 }]
[[tokens]]
name = "day"
key = "key-of-day"
budget = { usd = 1.0, window = "day" }
[[tokens]]
name = "total"
key = "key-of-total"
budget = { usd = 2.0, window = "total" }
[[teams]]
name = "search"
budget = { usd = 3.0, window = "day" }
[[tokens]]
name = "one"
key = "key-of-one"
team = "search"
[[tokens]]
name = "other"
key = "key-of-other"
team = "search"
"""


def paid(token: str, usd: float, age: float = 0.0, team: str | None = None) -> Record:
    return Record(
        request_id="r",
        time=time.time() - age,
        token=token,
        team=team,
        status=200,
        end_reason=EndReason.COMPLETE,
        cost_nano_usd=round(usd * 1e9),
    )


async def admitted(parts: Components, snapshot: Snapshot, key: bytes) -> bool:
    caller = snapshot.authenticate(key)
    assert caller is not None
    found = await parts.services.limits.admit(caller.scopes, Demand())
    if isinstance(found, LimitRefusal):
        return False
    await parts.services.limits.void(found)
    return True


async def test_what_is_on_record_counts(tmp_path: Path) -> None:
    config = parse(CONFIG, "test", os.environ)
    recording = Recording(config, tmp_path)
    async with trio.open_nursery() as nursery:
        with trio.fail_after(PATIENCE):
            await recording.start(nursery)
        parts = Components(config, Lifecycle(), recording, nursery)
        taken = parts.adopt(config, callers_of(config))
        assert recording.database is not None
        spending = BudgetSync(recording.database, parts.services.limits, lambda: taken)
        await spending.begin()
        assert await admitted(parts, taken, b"key-of-day")

        # Another process spends, or did so before this one began.
        for record in (
            paid("day", 0.6),
            paid("day", 5.0, age=2 * 86_400),
            paid("total", 1.5, age=40 * 86_400),
            paid("other", 9.0),
        ):
            recording.record(record, None)
        gauges = recording.gauges
        await until(lambda: (found := gauges()) is not None and found.written == 5, "them", 30)
        await spending.refresh()
        assert await admitted(parts, taken, b"key-of-day")
        assert await admitted(parts, taken, b"key-of-total")

        for record in (paid("day", 0.4), paid("total", 0.5)):
            recording.record(record, None)
        await until(lambda: (found := gauges()) is not None and found.written == 7, "them", 30)
        await spending.refresh()
        assert not await admitted(parts, taken, b"key-of-day")
        assert not await admitted(parts, taken, b"key-of-total")
        nursery.cancel_scope.cancel()
    recording.close()


async def test_keys_of_a_team_share_its_budget(tmp_path: Path) -> None:
    config = parse(CONFIG, "test", os.environ)
    leave_behind(tmp_path / "gateway.journal", paid("one", 1.0, team="search"))
    recording = Recording(config, tmp_path)
    async with trio.open_nursery() as nursery:
        with trio.fail_after(PATIENCE):
            await recording.start(nursery)
        parts = Components(config, Lifecycle(), recording, nursery)
        taken = parts.adopt(config, callers_of(config))
        assert recording.database is not None
        limits, writer = parts.services.limits, recording.writer
        spending = BudgetSync(recording.database, limits, lambda: taken, writer)
        await spending.begin()
        # What others of the same name have spent is not the team's.
        for record in (paid("gone", 1.9, team="search"), paid("search", 9.0, team="ads")):
            recording.record(record, None)
        gauges = recording.gauges
        await until(lambda: (found := gauges()) is not None and found.written >= 2, "them", 30)
        await spending.refresh()
        assert await admitted(parts, taken, b"key-of-other")
        recording.record(paid("one", 0.1, team="search"), None)

        async def is_spent() -> bool:
            await spending.refresh()
            return not await admitted(parts, taken, b"key-of-one")

        await eventually(is_spent, "a budget that is spent")
        assert not await admitted(parts, taken, b"key-of-other")
        nursery.cancel_scope.cancel()
    recording.close()


def leave_behind(folder: Path, *records: Record, writer: str = "0" * 16) -> None:
    """Make the journal of a process that has died."""
    batches = [Batch(number, [record], []) for number, record in enumerate(records, 1)]
    journal = Journal.create(folder, writer)
    for batch in batches:
        journal.append(batch.number, encode(batch), 1 << 20)
    journal.close()


@pytest.mark.parametrize("away", [False, True], ids=["there", "away"])
async def test_what_waits_in_a_journal_is_spent_from_the_start(tmp_path: Path, away: bool) -> None:
    config = parse(CONFIG, "test", os.environ)
    leave_behind(
        tmp_path / "gateway.journal",
        paid("day", 0.6),
        paid("day", 0.4),
        paid("total", 1.5),
        paid("total", 0.5, age=40 * 86_400),
        paid("other", 9.0),
    )
    recording = Recording(config, tmp_path)
    async with trio.open_nursery() as nursery:
        if not away:
            with trio.fail_after(PATIENCE):
                await recording.start(nursery)
        parts = Components(config, Lifecycle(), recording, nursery)
        taken = parts.adopt(config, callers_of(config))
        assert recording.database is not None
        limits = parts.services.limits
        spending = BudgetSync(recording.database, limits, lambda: taken, recording.writer)
        with trio.fail_after(PATIENCE):
            await spending.begin()
        # A budget of one is spent by 0.6 and 0.4, one of two by 1.5 and 0.5.
        assert not await admitted(parts, taken, b"key-of-day")
        assert not await admitted(parts, taken, b"key-of-total")
        nursery.cancel_scope.cancel()
    recording.close()


async def test_a_part_in_the_journal_and_a_part_in_the_database_are_added(tmp_path: Path) -> None:
    leave_behind(tmp_path / "gateway.journal", paid("day", 0.6), writer="1" * 16)
    # Nothing is counted twice: it is in the journal and, a moment later, in the database.
    assert await begun_and_admitted(tmp_path)
    leave_behind(tmp_path / "gateway.journal", paid("day", 0.4), writer="2" * 16)
    assert not await begun_and_admitted(tmp_path)


async def begun_and_admitted(folder: Path) -> bool:
    """Start and stop a process; say whether the budget of a day let a request in."""
    config = parse(CONFIG, "test", os.environ)
    recording = Recording(config, folder)
    async with trio.open_nursery() as nursery:
        with trio.fail_after(PATIENCE):
            await recording.start(nursery)
        parts = Components(config, Lifecycle(), recording, nursery)
        taken = parts.adopt(config, callers_of(config))
        assert recording.database is not None
        limits = parts.services.limits
        await BudgetSync(recording.database, limits, lambda: taken, recording.writer).begin()
        found = await admitted(parts, taken, b"key-of-day")
        nursery.cancel_scope.cancel()
    recording.close()
    return found


async def test_a_database_that_is_away_changes_nothing(tmp_path: Path) -> None:
    config = parse(CONFIG, "test", os.environ)
    recording = Recording(config, tmp_path)
    async with trio.open_nursery() as nursery:
        with trio.fail_after(PATIENCE):
            await recording.start(nursery)
        parts = Components(config, Lifecycle(), recording, nursery)
        taken = parts.adopt(config, callers_of(config))
        assert recording.database is not None
        os.rename(tmp_path / "gateway.db", tmp_path / "elsewhere.db")
        recording.database.close()
        await BudgetSync(recording.database, parts.services.limits, lambda: taken).refresh()
        assert await admitted(parts, taken, b"key-of-day")
        nursery.cancel_scope.cancel()
