"""What a ledger that processes share hands over, and what the one that follows makes of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.core.limits.budget import Budget
from gateway.core.limits.ledger import Demand, Scope, ScopeLimits
from gateway.core.limits.ledger_state import LedgerState
from gateway.core.limits.operations import (
    AdmitCall,
    Admitted,
    BeatCall,
    EndCall,
    GrantEnding,
    GrantHolding,
    NotAdmitted,
    RenewCall,
    ScopeLevel,
    StatusCall,
)
from gateway.core.limits.sharing import SharedLedger

NOW, EPOCH = 100.0, 1_800_000_000.0
A = Scope("token:a", ScopeLimits(rpm=60, tpm=600, max_concurrent=2), Budget(usd=1.0, window="day"))
TOTAL = Scope("team:t", ScopeLimits(), Budget(usd=2.0, window="total"))
BOTH = (A, TOTAL)
# The next program's clock began anew.
LATER, PAUSE = 7.0, 3.0


def admit(ledger: SharedLedger, id: str, now: float = NOW, holder: object = "w") -> Any:
    call = AdmitCall(id, BOTH, Demand(tokens=100, cost=400, bounded=False), 60.0)
    return ledger.call(call, holder, now, EPOCH)


def settle(ledger: SharedLedger, id: str, cost: int, now: float) -> None:
    ending = GrantEnding(GrantHolding(id, BOTH, (), True), "settle", 100, cost)
    ledger.call(EndCall((ending,)), "w", now, EPOCH)


def levels(ledger: SharedLedger, now: float) -> list[ScopeLevel]:
    found = ledger.call(StatusCall(BOTH), "w", now, EPOCH)
    assert isinstance(found, list)
    return found


@pytest.fixture
def pair() -> tuple[SharedLedger, SharedLedger]:
    """Return a ledger with one grant that has ended and one under way, and its successor."""
    old, new = SharedLedger(), SharedLedger()
    old.call(BeatCall("p", 20.0), "w", NOW, EPOCH)
    admit(old, "g1")
    settle(old, "g1", 777, NOW)
    admit(old, "g2")
    wire = msgspec.msgpack.encode(old.state(NOW))
    new.take_over(msgspec.msgpack.decode(wire, type=LedgerState), LATER, EPOCH)
    return old, new


def test_nothing_is_forgotten(pair: tuple[SharedLedger, SharedLedger]) -> None:
    old, new = pair
    assert new.held() == old.held() == 2
    for before, after in zip(levels(old, NOW + PAUSE), levels(new, LATER + PAUSE), strict=True):
        assert after.requests == pytest.approx(before.requests)
        assert after.tokens == pytest.approx(before.tokens)
        assert (after.spent, after.reserved) == (before.spent, before.reserved) == (777, 777)
    assert new.call(BeatCall("q", 20.0), "w", LATER + PAUSE, EPOCH) == 2


def test_what_has_ended_ends_no_second_time(pair: tuple[SharedLedger, SharedLedger]) -> None:
    """A worker whose answer was lost tells it again."""
    _, new = pair
    settle(new, "g1", 777, LATER)
    settle(new, "g2", 5, LATER)
    settle(new, "g2", 5, LATER)
    assert [(each.spent, each.reserved) for each in levels(new, LATER)] == [(782, 0)] * 2
    assert new.held() == 0


def test_a_holder_takes_its_grants_up_again(pair: tuple[SharedLedger, SharedLedger]) -> None:
    _, new = pair
    # A worker that dies before it says anything has its place until the lease is over.
    new.gone("w")
    assert new.held() == 2
    holding = GrantHolding("g2", BOTH, (), True)
    new.call(RenewCall((holding,), 60.0), "w", LATER, EPOCH)
    new.gone("w")
    assert new.held() == 0
    assert [each.reserved for each in levels(new, LATER)] == [0, 0]


def test_a_grant_that_nobody_renews_expires(pair: tuple[SharedLedger, SharedLedger]) -> None:
    _, new = pair
    assert isinstance(admit(new, "g3", LATER), Admitted)
    assert isinstance(admit(new, "g4", LATER + 30.0), NotAdmitted)
    assert isinstance(admit(new, "g5", LATER + 61.0), Admitted)


def test_what_is_said_in_another_way_is_nothing() -> None:
    state = msgspec.msgpack.decode(msgspec.msgpack.encode({"more": 1}), type=LedgerState)
    new = SharedLedger()
    new.take_over(state, LATER, EPOCH)
    assert new.held() == 0
