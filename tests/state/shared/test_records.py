from __future__ import annotations

from typing import Any

import pytest

from gateway.core.limits.budget import Budget
from gateway.core.limits.ledger import Scope, ScopeLimits
from gateway.core.limits.operations import CorrectCall, SpendingCounted, StoreFailed
from gateway.state.shared.records import SpendingCheck
from gateway.state.shared.share import KnownLevel

SCOPE = Scope("token:a", ScopeLimits(), Budget(usd=1.0, window="day"))
DAY = 86_400.0


class Place:
    """What a store does with corrections, of one budget."""

    def __init__(self) -> None:
        self.spent = 0
        self.away = False
        self.databases = 1

    async def ask(self, call: CorrectCall) -> list[SpendingCounted]:
        if self.away:
            raise StoreFailed("away")
        before = self.spent
        (record,) = call.records
        self.spent = max(before - record.excess, record.spent)
        return [SpendingCounted(self.spent, before, record.spent, self.databases)]


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def check(place: Place) -> SpendingCheck:
    link: Any = place
    return SpendingCheck(link, {}, lambda: 0.0)


async def look(
    check: SpendingCheck, on_record: int, *, starts: float = DAY, lags: bool = False
) -> None:
    await check.compare([(SCOPE, on_record)], starts, lags=lags)


async def test_what_was_lost_is_counted_again_at_once(place: Place, check: SpendingCheck) -> None:
    await look(check, 700)
    assert place.spent == 700
    place.spent = 5  # the server was emptied
    await look(check, 800)
    assert place.spent == 800


async def test_what_is_too_much_for_long_is_taken_back_to_the_nano_dollar(
    place: Place, check: SpendingCheck, capfd: pytest.CaptureFixture[str]
) -> None:
    place.spent, on_record = 1_000_000_123, 1_000_000_000
    for _ in range(3):
        await look(check, on_record)
        # It goes on being spent and recorded meanwhile.
        place.spent += 10
        on_record += 10
        assert place.spent - on_record == 123
    await look(check, on_record)
    # The records are newer than the count that they are compared with.
    assert place.spent - on_record == 10
    assert "corrected by what is on record" in capfd.readouterr().out
    for _ in range(3):
        await look(check, on_record)
    assert place.spent == on_record
    for _ in range(10):
        await look(check, on_record)
    assert place.spent == on_record


async def test_what_is_not_on_record_yet_is_not_taken_back(
    place: Place, check: SpendingCheck
) -> None:
    """The count is always ahead by what is not written yet; each look finds the last one's."""
    for number in range(20):
        on_record = place.spent
        place.spent += 100 + number
        await look(check, on_record)
    assert place.spent == sum(100 + number for number in range(20))


async def test_nothing_is_lowered_while_records_wait_in_a_journal(
    place: Place, check: SpendingCheck
) -> None:
    place.spent = 500
    for _ in range(10):
        await look(check, 100, lags=True)
    assert place.spent == 500
    # And the looks of that time count for nothing.
    for _ in range(2):
        await look(check, 100)
    assert place.spent == 500


async def test_nothing_is_lowered_while_others_have_records_as_well(
    place: Place, check: SpendingCheck, capfd: pytest.CaptureFixture[str]
) -> None:
    place.spent, place.databases = 500, 2
    for _ in range(10):
        await look(check, 100)
    assert place.spent == 500
    said = capfd.readouterr().out
    assert said.count("gateways with another database") == 1
    assert "`prefix`" in said
    # Alone again it takes as many looks as ever.
    place.databases = 1
    for _ in range(2):
        await look(check, 100)
    assert place.spent == 500
    await look(check, 100)
    assert place.spent == 100


async def test_another_window_begins_anew(place: Place, check: SpendingCheck) -> None:
    place.spent = 500
    for _ in range(3):
        await look(check, 100)
    await look(check, 100, starts=2 * DAY)
    assert place.spent == 500


async def test_what_is_on_record_is_known_while_nobody_can_be_asked(place: Place) -> None:
    levels: dict[str, KnownLevel] = {}
    link: Any = place
    check = SpendingCheck(link, levels, lambda: 3.0)
    place.away = True
    await look(check, 400)
    assert levels["token:a"].now(3.0).spent == 400
    await look(check, 300)
    assert levels["token:a"].now(3.0).spent == 400
