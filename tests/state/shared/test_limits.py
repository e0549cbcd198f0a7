from __future__ import annotations

import random
import time
from typing import Any

import pytest
import trio

from gateway.core.limits.budget import Budget
from gateway.core.limits.ledger import (
    Demand,
    LimitKind,
    LimitRefusal,
    LimitStatus,
    Scope,
    ScopeLimits,
)
from gateway.core.limits.operations import (
    AdmitCall,
    Admitted,
    CarriedUse,
    CarryCall,
    CorrectCall,
    EndCall,
    GrantEnding,
    GrantHolding,
    NotAdmitted,
    RenewCall,
    ScopeCharge,
    ScopeLevel,
    SpendingCounted,
    SpendingOnRecord,
    StatusCall,
)
from gateway.state.limits import MemoryLimits
from gateway.state.shared.limits import SharedLimits
from gateway.state.shared.store import LimitStore

from ...rounds import rounds
from .conftest import SharedPlace, told, until

DAY = Budget(usd=1e-6, window="day")  # a thousand nano-dollars
KEY = Scope("token:a", ScopeLimits(rpm=6, tpm=600, max_concurrent=3), DAY)
TEAM = Scope("team:t", ScopeLimits(rpm=8))
LEASE = 60.0
NOTHING = Demand()


def scope(
    name: str = "token:a",
    rpm: int | None = None,
    tpm: int | None = None,
    most: int | None = None,
    budget: Budget | None = None,
) -> Scope:
    return Scope(name, ScopeLimits(rpm, tpm, most), budget)


async def asked(
    limits: SharedLimits | MemoryLimits, scopes: tuple[Scope, ...], demand: Demand = NOTHING
) -> Any:
    return await limits.admit(scopes, demand, LEASE)


def kind_of(answer: object) -> LimitKind | None:
    return answer.kind if isinstance(answer, LimitRefusal) else None


async def exact(limits: SharedLimits, of: Scope) -> LimitStatus:
    await told(limits)
    return (await limits.status([of], exact=True))[0]


LIMITED = {
    "requests": (scope(rpm=5), Demand(), 5),
    "tokens": (scope(tpm=500), Demand(100), 5),
    "concurrent": (scope(most=5), Demand(), 5),
    "budget": (scope(budget=DAY), Demand(cost=200), 5),
    "too large": (scope(tpm=500), Demand(501), 0),
    "total budget": (scope(budget=Budget(usd=1e-6, window="total")), Demand(cost=500), 2),
}


@pytest.mark.parametrize("case", LIMITED)
async def test_refuses_in_the_words_of_a_single_process(place: SharedPlace, case: str) -> None:
    limited, demand, most = LIMITED[case]
    memory = MemoryLimits()
    async with place.process() as one, place.process() as two:
        for number in range(most):
            assert kind_of(await asked((one, two)[number % 2], (limited,), demand)) is None
            assert kind_of(await asked(memory, (limited,), demand)) is None
        for each in (one, two):
            found, expected = (
                await asked(each, (limited,), demand),
                await asked(memory, (limited,), demand),
            )
            assert (found.scope, found.kind, found.message) == (
                expected.scope,
                expected.kind,
                expected.message,
            )
            if expected.retry_after is None:
                assert found.retry_after is None
            else:
                assert found.retry_after == pytest.approx(expected.retry_after, abs=5.0)


async def test_a_refusal_charges_nothing(place: SharedPlace) -> None:
    scopes = (scope(rpm=100, tpm=1000, most=10, budget=DAY), scope("team:t", rpm=2))
    async with place.process() as limits:
        for _ in range(2):
            await asked(limits, scopes, Demand(10, 10))
        before = await exact(limits, scopes[0])
        for _ in range(20):
            refusal = await asked(limits, scopes, Demand(10, 10))
            assert refusal.scope == scopes[1]
        after = await exact(limits, scopes[0])
    assert before.requests is not None
    assert after.requests is not None
    assert before.requests.remaining == after.requests.remaining == 98
    assert after.tokens is not None
    assert after.tokens.remaining >= 980
    assert after.budget is not None
    assert (after.budget.spent, after.budget.reserved) == (0, 20)


async def test_what_was_used_takes_the_place_of_the_reserve(place: SharedPlace) -> None:
    limited = scope(rpm=100, tpm=60_000_000, most=1, budget=DAY)
    async with place.process() as limits:
        grant = await asked(limits, (limited,), Demand(30_000_000, 400))
        assert kind_of(await asked(limits, (limited,))) is LimitKind.CONCURRENT
        await limits.settle(grant, 10_000_000, 123)
        await limits.settle(grant, 10_000_000, 123)
        await limits.void(grant)
        await limits.release(grant)
        status = await exact(limits, limited)
        assert status.budget is not None
        assert (status.budget.spent, status.budget.reserved) == (123, 0)
        assert status.tokens is not None
        assert 49_000_000 <= status.tokens.remaining <= 60_000_000
        grant = await asked(limits, (limited,), Demand(0, 400))
        await limits.void(grant)
        await limits.void(grant)
        status = await exact(limits, limited)
        assert status.budget is not None
        assert (status.budget.spent, status.budget.reserved) == (123, 0)
        assert status.requests is not None
        assert status.requests.remaining == 99


async def test_a_lease_that_is_released_keeps_what_is_reserved(place: SharedPlace) -> None:
    limited = scope(most=1, budget=DAY)
    async with place.process() as limits:
        grant = await asked(limits, (limited,), Demand(cost=400))
        await limits.release(grant)
        await told(limits)
        second = await asked(limits, (limited,), Demand(cost=1))
        assert kind_of(second) is None
        status = await exact(limits, limited)
        assert status.budget is not None
        assert status.budget.reserved == 401
        # Renewed, it gets no new lease.
        await limits.renew([grant, second], LEASE)
        await limits.settle(second, 0, 0)
        await told(limits)
        assert kind_of(await asked(limits, (limited,))) is None


async def test_unbounded_requests_reserve_what_is_usual(place: SharedPlace) -> None:
    limited = scope(budget=DAY)
    async with place.process() as limits:
        await limits.settle(await asked(limits, (limited,)), 0, 320)
        await told(limits)
        await asked(limits, (limited,), Demand(cost=5, bounded=False))
        status = await exact(limits, limited)
        assert status.budget is not None
        assert (status.budget.spent, status.budget.reserved) == (320, 320)


async def test_headers_come_from_the_last_answer(place: SharedPlace) -> None:
    async with place.process() as limits:
        await asked(limits, (KEY, TEAM), Demand(60, 10))
        found = (await limits.status([KEY, TEAM]))[0]
        assert found.requests is not None
        assert (found.requests.limit, found.requests.remaining) == (6, 5)
        assert found.tokens is not None
        assert found.tokens.remaining == 540
        assert found.budget is not None
        assert (found.budget.limit, found.budget.left) == (1000, 990)
        nobody = (await limits.status([scope("token:b", rpm=7)]))[0]
        assert nobody.requests is not None
        assert nobody.requests.remaining == 7


async def test_asking_for_a_part_of_the_limits_changes_none(place: SharedPlace) -> None:
    async with place.process() as limits:
        for _ in range(3):
            await asked(limits, (KEY,))
        budget = (await limits.status([scope(budget=DAY)], exact=True))[0]
        assert budget.budget is not None
        status = await exact(limits, KEY)
        assert status.requests is not None
        assert status.requests.remaining == 3


# What is told twice, late, or never...


async def ended(store: LimitStore, how: str, *grants: GrantHolding, cost: int = 0) -> None:
    endings = tuple(GrantEnding(each, how, 0, cost) for each in grants)  # type: ignore[arg-type]
    await store.call(EndCall(endings))


async def level(store: LimitStore, of: Scope) -> ScopeLevel:
    found: list[ScopeLevel] = await store.call(StatusCall((of,)))
    return found[0]


async def test_every_call_counts_once(place: SharedPlace) -> None:
    store, scopes = place.store(), (scope(rpm=60, tpm=600, most=5, budget=DAY),)
    async with store.connected():
        call = AdmitCall("g1", scopes, Demand(100, 50), LEASE)
        first = await store.call(call)
        assert isinstance(first, Admitted)
        again = await store.call(call)
        assert again.charges == first.charges
        found = await level(store, scopes[0])
        assert found.requests == pytest.approx(1.0, abs=0.9)
        assert found.reserved == 50
        holding = GrantHolding("g1", scopes, tuple(first.charges), True)
        for _ in range(3):
            await ended(store, "settle", holding, cost=70)
        await ended(store, "void", holding)
        await store.call(RenewCall((holding,), LEASE))
        found = await level(store, scopes[0])
        assert (found.spent, found.reserved) == (70, 0)
        for number in range(5):
            await store.call(AdmitCall(f"h{number}", scopes, Demand(), LEASE))
        assert isinstance(await store.call(AdmitCall("last", scopes, Demand(), LEASE)), NotAdmitted)


async def test_what_was_given_up_is_not_admitted_later(place: SharedPlace) -> None:
    """The question that nobody waits for any more may arrive after the word that it is void."""
    store, limited = place.store(), scope(most=1)
    async with store.connected():
        await ended(store, "void", GrantHolding("g", (limited,), (), True))
        with pytest.raises(Exception, match="given up"):
            await store.call(AdmitCall("g", (limited,), Demand(), LEASE))
        assert isinstance(await store.call(AdmitCall("h", (limited,), Demand(), LEASE)), Admitted)


@pytest.mark.measured
async def test_leases_and_reserves_expire(place: SharedPlace) -> None:
    store = place.store()
    leased, paid = scope(most=1), scope("token:b", budget=DAY)
    async with store.connected():
        call = AdmitCall("g", (leased, paid), Demand(cost=1000), 0.3)
        taken = await store.call(call)
        assert isinstance(taken, Admitted)
        for each in (leased, paid):
            call = AdmitCall("x", (each,), Demand(), LEASE)
            assert isinstance(await store.call(call), NotAdmitted)
        holding = GrantHolding("g", (leased, paid), tuple(taken.charges), True)
        await store.call(RenewCall((holding,), 0.6))
        await trio.sleep(0.4)
        assert isinstance(await store.call(AdmitCall("x", (leased,), Demand(), LEASE)), NotAdmitted)
        await trio.sleep(0.4)
        for number, each in enumerate((leased, paid)):
            call = AdmitCall(f"y{number}", (each,), Demand(), LEASE)
            assert isinstance(await store.call(call), Admitted)
        # Settled after all, it pays; and has no reserve to give back a second time.
        await ended(store, "settle", holding, cost=7)
        found = await level(store, paid)
        assert (found.spent, found.reserved) == (7, 0)


async def test_what_a_place_has_forgotten_is_put_back(place: SharedPlace) -> None:
    store, limited = place.store(), scope(most=1, budget=DAY)
    async with store.connected():
        holding = GrantHolding("g", (limited,), (ScopeCharge(0.0, 0.0, 30),), True)
        await store.call(RenewCall((holding,), LEASE))
        await store.call(RenewCall((holding,), LEASE))
        assert (await level(store, limited)).reserved == 30
        assert isinstance(
            await store.call(AdmitCall("h", (limited,), Demand(), LEASE)), NotAdmitted
        )
        await ended(store, "settle", holding, cost=5)
        found = await level(store, limited)
        assert (found.spent, found.reserved) == (5, 0)
        assert isinstance(await store.call(AdmitCall("i", (limited,), Demand(), LEASE)), Admitted)


async def test_what_was_let_through_alone_is_carried_over_once(place: SharedPlace) -> None:
    store, limited = place.store(), scope(rpm=60, tpm=60, budget=DAY)
    now = time.time()
    async with store.connected():
        used = CarriedUse(limited, ScopeLevel(20.0, 10.0), 15.0, 5.0, 300, now)
        for _ in range(2):
            await store.call(CarryCall("c1", (used,)))
        found = await level(store, limited)
        # The place knew nothing: it takes over what the scope was before, too.
        assert found.requests == pytest.approx(35.0, abs=3)
        assert found.tokens == pytest.approx(15.0, abs=3)
        assert found.spent == 300
        await store.call(CarryCall("c2", (used,)))
        found = await level(store, limited)
        assert found.requests == pytest.approx(50.0, abs=3)
        assert found.spent == 600
        old = CarriedUse(limited, ScopeLevel(), 0.0, 0.0, 300, now - 2 * 86_400)
        await store.call(CarryCall("c3", (old,)))
        assert (await level(store, limited)).spent == 600


async def test_counts_follow_the_records(place: SharedPlace) -> None:
    store, limited = place.store(), scope(budget=Budget(usd=5_000_000, window="total"))
    now = time.time()

    async def corrected(spent: int, excess: int = 0) -> SpendingCounted:
        call = CorrectCall((SpendingOnRecord(limited, spent, now, excess),))
        found: list[SpendingCounted] = await store.call(call)
        return found[0]

    async with store.connected():
        # More than a float can hold to the nano-dollar.
        much = 4_000_000 * 10**9 + 1
        assert await corrected(much) == SpendingCounted(much, 0, much)
        assert await corrected(much - 5) == SpendingCounted(much, much, much - 5)
        await store.call(AdmitCall("g", (limited,), Demand(), LEASE))
        await ended(store, "settle", GrantHolding("g", (limited,), (), True), cost=3)
        assert (await level(store, limited)).spent == much + 3
        assert await corrected(much, 3) == SpendingCounted(much, much + 3, much)
        # Another process has found the same.
        assert await corrected(much - 3, 3) == SpendingCounted(much, much, much - 3)


async def test_of_another_window_nothing_is_taken_over(place: SharedPlace) -> None:
    store, limited = place.store(), scope(budget=DAY)
    async with store.connected():
        old = SpendingOnRecord(limited, 900, time.time() - 86_400)
        found: list[SpendingCounted] = await store.call(CorrectCall((old,)))
        assert found == [SpendingCounted(0, 0, 900)]


async def test_limits_that_change_keep_what_is_used(place: SharedPlace) -> None:
    store = place.store()
    async with store.connected():
        for number in range(30):
            await store.call(AdmitCall(f"g{number}", (scope(rpm=60),), Demand(), LEASE))
        half = (await level(store, scope(rpm=60))).requests
        assert half == pytest.approx(30, abs=3)
        call = AdmitCall("h", (scope(rpm=600),), Demand(), LEASE)
        answer = await store.call(call)
        assert isinstance(answer, Admitted)
        assert answer.levels[0].requests == pytest.approx(30, abs=3)


async def test_many_at_once_never_pass_a_limit(place: SharedPlace) -> None:
    """Two processes, any order of all that can happen; counts of the places agree to the end."""
    limited = (scope(rpm=10_000, most=4, budget=Budget(usd=1e-3, window="total")),)
    rng = random.Random(15)
    spent, most, under_way = 0, 0, 0
    async with place.process() as one, place.process() as two:

        async def requests() -> None:
            nonlocal spent, most, under_way
            for _ in range(rounds(15, 150)):
                limits = rng.choice((one, two))
                grant = await asked(limits, limited, Demand(cost=rng.randrange(1000)))
                if isinstance(grant, LimitRefusal):
                    assert grant.kind is LimitKind.CONCURRENT
                    await trio.sleep(0.001)
                    continue
                under_way += 1
                most = max(most, under_way)
                await trio.sleep(rng.random() * 0.003)
                under_way -= 1
                if rng.random() < 0.2:
                    await limits.void(grant)
                else:
                    cost = rng.randrange(1000)
                    spent += cost
                    await limits.settle(grant, 1, cost)

        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(requests)
        assert most <= 4
        await told(one)
        status = await exact(two, limited[0])
        assert status.budget is not None
        assert (status.budget.spent, status.budget.reserved) == (spent, 0)
        for _ in range(4):
            assert kind_of(await asked(one, limited)) is None


async def test_a_request_that_is_cut_leaves_nothing_behind(place: SharedPlace) -> None:
    limited = (scope(most=2, rpm=1000),)
    async with place.process() as limits:
        for number in range(40):
            with trio.move_on_after(number * 0.0002):
                grant = await asked(limits, limited)
                if not isinstance(grant, LimitRefusal):
                    await limits.void(grant)
        await told(limits)
        for _ in range(2):
            assert kind_of(await asked(limits, limited)) is None


async def test_nothing_is_left_of_those_who_have_gone(place: SharedPlace) -> None:
    async with place.process() as stays:
        async with place.process() as goes:
            with trio.fail_after(30):
                while stays.link.processes < 2:
                    await stays.link._beat()
                    await trio.sleep(0.01)
            await goes.settle(await asked(goes, (KEY,), Demand(1, 1)), 1, 77)
        await stays.link._beat()
        assert stays.link.processes == 1
        status = await exact(stays, KEY)
        assert status.budget is not None
        assert status.budget.spent == 77


async def test_what_one_announces_all_others_hear(place: SharedPlace) -> None:
    heard: dict[str, list[bytes]] = {}
    async with place.process() as one, place.process() as two, place.process() as three:
        for name, each in (("one", one), ("two", two), ("three", three)):
            heard[name] = []
            each.hear(heard[name].append)
        # A subscription may take a moment longer than the first answer.
        with trio.fail_after(10):
            while not (heard["two"] and heard["three"]):
                one.announce(b"hello")
                await trio.sleep(0.01)
        for number in range(20):
            one.announce(b"%d" % number)
        news = [b"%d" % number for number in range(20)]
        await until(lambda: heard["two"][-1] == heard["three"][-1] == news[-1])
        for name in ("two", "three"):
            assert heard[name][-20:] == news
