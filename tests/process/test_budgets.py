"""Budgets and what is on record of them, with a real database."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
from ..valkey import ValkeyServer

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


async def test_databases_of_two_gateways_have_one_budget_together(
    tmp_path: Path, valkey: ValkeyServer
) -> None:
    """Neither reconciler takes what the other's database has for too much."""
    for name in "ab":
        os.mkdir(tmp_path / name)
    text = CONFIG + f'[state]\nurl = "{valkey.url}"\ntimeout = 5.0\n'
    async with one_of_two(tmp_path / "a", text) as a, one_of_two(tmp_path / "b", text) as b:
        for gateway in (a, b):
            await gateway.spend(b"key-of-day", 0.4)
        for _ in range(6):
            for gateway in (a, b):
                assert await gateway.sync.refresh()
        for gateway in (a, b):
            assert await gateway.spent(b"key-of-day") == 800_000_000
        # Emptied, it is made up for by both.
        valkey.command("FLUSHALL")
        for gateway in (a, b):
            assert await gateway.sync.refresh()
        assert await a.spent(b"key-of-day") == 800_000_000
        await a.spend(b"key-of-day", 0.2)
        assert not await admitted(b.parts, b.taken, b"key-of-day")


class OneOfTwo:
    """A gateway's parts, and what keeps its budgets in step with its own database."""

    def __init__(self, parts: Components, taken: Snapshot, recording: Recording) -> None:
        assert recording.database is not None
        self.parts, self.taken, self.recording = parts, taken, recording
        self.sync = BudgetSync(recording.database, parts.services.limits, lambda: taken)

    async def spend(self, key: bytes, usd: float) -> None:
        """Spend so much, and wait until that is on record."""
        caller = self.taken.authenticate(key)
        assert caller is not None
        limits = self.parts.services.limits
        grant = await limits.admit(caller.scopes, Demand())
        await limits.settle(grant, 0, round(usd * 1e9))
        self.recording.record(paid(caller.name, usd), None)
        gauges = self.recording.gauges
        before = 0 if (found := gauges()) is None else found.written
        await until(lambda: (found := gauges()) is not None and found.written > before, "it", 30)

    async def spent(self, key: bytes) -> int:
        caller = self.taken.authenticate(key)
        assert caller is not None
        (level,) = await self.parts.services.limits.status(caller.scopes, exact=True)
        assert level.budget is not None
        return level.budget.spent


@asynccontextmanager
async def one_of_two(folder: Path, text: str) -> AsyncIterator[OneOfTwo]:
    config = parse(text, "test", os.environ)
    recording = Recording(config, folder)
    async with trio.open_nursery() as nursery:
        with trio.fail_after(PATIENCE):
            await recording.start(nursery)
        parts = Components(config, Lifecycle(), recording, nursery)
        await parts.start()
        yield OneOfTwo(parts, parts.adopt(config, callers_of(config)), recording)
        await parts.finish()
        nursery.cancel_scope.cancel()
    recording.close()


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
