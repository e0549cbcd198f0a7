from __future__ import annotations

import contextlib
import gc
import hashlib
import math
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec
import pytest
import structlog
import trio
from structlog.testing import LogCapture
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.config.callers import Caller
from gateway.core.cache.answers import ModelCache
from gateway.core.limits.ledger import Demand, Grant, LimitRefusal, LimitStatus, Scope, ScopeLimits
from gateway.core.records.record import EndReason
from gateway.core.routing.timeouts import Timeouts
from gateway.proxy import reservation
from gateway.proxy.reservation import (
    LEASE_SECONDS,
    RENEW_EVERY,
    SETTLE_TIMEOUT,
    Reservation,
    Reservations,
)
from gateway.state.limits import MemoryLimits
from gateway.stops import stops

from ..stopping import stopped_at
from .scripts import DONE, EOF, STOP, Head, ScriptedClient, Step, chunk, ok
from .test_cancellation import play
from .world import KEY, State, World, body

SCOPE = Scope("token:t", ScopeLimits(rpm=100, tpm=10_000, max_concurrent=1))
WHO = Caller(
    name="t",
    digest=hashlib.sha256(KEY).digest(),
    models=frozenset(),
    beginnings=("",),
    scopes=(SCOPE,),
    limited=True,
)
PROVIDERS = {"a": Scope("provider:a", ScopeLimits(rpm=100, tpm=10_000))}


class RemoteLimits(MemoryLimits):
    """Limits somewhere else: each answer takes `delay` seconds, and `broken` calls fail."""

    waits = True

    def __init__(self, delay: float = 0.25) -> None:
        super().__init__()
        self.delay = delay
        self.broken: frozenset[str] = frozenset()
        self.calls: list[str] = []

    async def admit(
        self, scopes: Sequence[Scope], demand: Demand, expires_in: float = math.inf
    ) -> Grant | LimitRefusal:
        await self._ask("admit")
        return await super().admit(scopes, demand, expires_in)

    async def release(self, grant: object) -> None:
        await self._ask("release")
        await super().release(grant)

    async def settle(self, grant: object, tokens: int, cost: int) -> None:
        await self._ask("settle")
        await super().settle(grant, tokens, cost)

    async def void(self, grant: object) -> None:
        await self._ask("void")
        await super().void(grant)

    async def renew(self, grants: Sequence[object], expires_in: float) -> None:
        await self._ask("renew")
        await super().renew(grants, expires_in)

    async def status(self, scopes: Sequence[Scope], *, exact: bool = False) -> list[LimitStatus]:
        await self._ask("status")
        return await super().status(scopes)

    async def _ask(self, what: str) -> None:
        self.calls.append(what)
        await trio.sleep(self.delay)
        if what in self.broken:
            raise ConnectionError("the store is away")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> LogCapture:
    capture = LogCapture()
    logger = structlog.wrap_logger(None, processors=[structlog.stdlib.add_log_level, capture])
    monkeypatch.setattr(reservation, "_log", logger)
    return capture


async def reserved(limits: RemoteLimits) -> Reservation:
    granted = await limits.admit([SCOPE], Demand(tokens=100))
    assert isinstance(granted, Grant)
    return Reservation(limits, granted)


async def test_each_call_is_made_once(autojump_clock: MockClock) -> None:
    limits = RemoteLimits()
    held = await reserved(limits)
    for _ in range(2):
        await held.release()
    for _ in range(2):
        await held.settle(40, 0)
    await held.void()
    await held.release()
    assert limits.calls == ["admit", "release", "settle"]


@pytest.mark.parametrize("how", ["release", "settle", "void"])
async def test_the_limits_are_told_even_by_one_who_is_cancelled(
    autojump_clock: MockClock, log: LogCapture, how: str
) -> None:
    limits = RemoteLimits()
    held = await reserved(limits)
    with trio.CancelScope() as scope:
        scope.cancel()
        await (held.settle(1, 0) if how == "settle" else getattr(held, how)())
    assert limits.ledger.held() == 0
    assert log.entries == []


async def test_limits_that_hang_hold_nobody_up_for_long(
    autojump_clock: MockClock, log: LogCapture
) -> None:
    limits = RemoteLimits()
    held = await reserved(limits)
    limits.delay = math.inf
    before = trio.current_time()
    await held.settle(1, 0)
    assert trio.current_time() == before + SETTLE_TIMEOUT
    assert [entry["log_level"] for entry in log.entries] == ["warning"]


async def test_limits_that_fail_take_neither_answer_nor_record(
    autojump_clock: MockClock, log: LogCapture
) -> None:
    state, limits = State(), RemoteLimits()
    state.limits = limits
    limits.broken = frozenset({"release", "settle"})
    world = World([("a", ok())], state=state, callers=[WHO])
    await world.exchange()
    assert (world.client.status, world.record.end_reason) == (200, EndReason.COMPLETE)
    assert [entry["log_level"] for entry in log.entries] == ["error", "error"]
    # The lease is lost, but not for ever.
    assert limits.ledger.held() == 1


def remote() -> World:
    state = State()
    state.limits = RemoteLimits()
    return World(
        [("a", ok(after=1))],
        client=ScriptedClient(body(), body_at=1),
        state=state,
        callers=[WHO],
        provider_scopes=PROVIDERS,
    )


async def test_a_request_over_limits_elsewhere(autojump_clock: MockClock) -> None:
    world = remote()
    await world.run()
    assert isinstance(world.state.limits, RemoteLimits)
    assert sorted(world.state.limits.calls) == ["admit"] * 2 + ["release"] + ["settle"] * 2 + [
        "status"
    ]
    left = world.state.limits.ledger.status(SCOPE, trio.current_time())
    assert left.tokens is not None
    assert world.client.headers[b"x-ratelimit-limit-tokens"] == b"10000"


@pytest.mark.parametrize("way", ["leaves", "cancelled", "shutdown"])
def test_nothing_is_left_with_limits_elsewhere_however_a_request_ends(way: str) -> None:
    make: Callable[[], World] = remote
    _, steps, _ = play(make, way, 10**9, 0)
    for at in range(1, steps + 1):
        world, _, leftovers = play(make, way, at, 0)
        where = f"{way} at step {at} of {steps}"
        assert not leftovers, where
        assert len(world.records.all) == 1, where
        ledger = world.state.limits.ledger
        assert ledger.held() == 0, where
        assert [slots for slots in world.traffic if slots.held or slots.waiting] == [], where
        assert [target.in_flight for target in world.state.health.targets] == [0], where


# Leases...

ONE = Scope("token:one", ScopeLimits(max_concurrent=1))
LONG = 10 * LEASE_SECONDS


def one_at_a_time() -> Caller:
    return msgspec.structs.replace(WHO, scopes=(ONE,))


async def has_place(limits: MemoryLimits) -> bool:
    """Say whether another request would be let in."""
    found = await limits.admit([ONE], Demand())
    if isinstance(found, Grant):
        await limits.void(found)
    return isinstance(found, Grant)


@contextlib.asynccontextmanager
async def kept(world: World) -> AsyncIterator[MemoryLimits]:
    """Let the reservations of `world` be leases; at its end none must be left."""
    limits = world.state.limits
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.traffic.reservations.keep, limits)
        await wait_all_tasks_blocked()
        yield limits
        nursery.cancel_scope.cancel()
    assert limits.ledger.held() == 0


def slow_stream() -> World:
    steps: list[Step] = [(0, Head()), *[(50, chunk("hi"))] * 24, (0, STOP), (0, DONE), (0, EOF)]
    return World([("a", steps)], callers=[one_at_a_time()], timeouts=Timeouts(total=0))


def slow_reader() -> World:
    """Return a request whose caller takes its time with the last write, behind all deadlines."""
    client = ScriptedClient(body(), pauses={1: LONG})
    steps: list[Step] = [(0, Head()), (0, chunk("hi")), (0, STOP), (0, DONE), (0, EOF)]
    return World(
        [("a", steps)], callers=[one_at_a_time()], client=client, timeouts=Timeouts(total=0)
    )


@pytest.mark.parametrize("make", [slow_stream, slow_reader])
async def test_a_request_keeps_its_place_for_as_long_as_it_lives(
    autojump_clock: MockClock, make: Callable[[], World]
) -> None:
    world = make()
    async with kept(world) as limits, trio.open_nursery() as nursery:
        nursery.start_soon(world.exchange)
        for _ in range(20):
            await trio.sleep(LONG / 20 - 1)
            assert not await has_place(limits)
        await trio.sleep(LONG / 5)
        assert await has_place(limits)
    assert world.record.end_reason is EndReason.COMPLETE


@pytest.mark.parametrize("coalesce", [False, True])
async def test_an_answer_from_the_cache_keeps_its_place_too(
    autojump_clock: MockClock, coalesce: bool
) -> None:
    """No provider's deadline bounds it."""
    world = World(
        [("a", ok())],
        callers=[one_at_a_time()],
        cache=ModelCache(ttl=10_000, coalesce=coalesce),
        timeouts=Timeouts(total=10),
    )
    async with kept(world) as limits, trio.open_nursery() as nursery:
        await nursery.start(world.cache.flights.run)
        await world.exchange()
        world.client = ScriptedClient(body(), pauses={1: LONG})
        assert await has_place(limits)
        async with trio.open_nursery() as requests:
            requests.start_soon(world.exchange)
            for _ in range(20):
                await trio.sleep(LONG / 20 - 1)
                assert not await has_place(limits)
        assert await has_place(limits)
        assert [record.end_reason for record in world.records.all] == ["complete", "cached"]
        nursery.cancel_scope.cancel()


async def test_a_stop_of_the_process_ends_no_lease(autojump_clock: MockClock) -> None:
    world = slow_reader()
    async with stopped_at(autojump_clock, 100, LONG / 2), kept(world) as limits:
        stops().add(limits)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.exchange)
            await trio.sleep(100.5)
            assert trio.current_time() > LONG / 2
            assert not await has_place(limits)


async def test_what_is_forgotten_is_free_again_within_a_lease(autojump_clock: MockClock) -> None:
    world = World([], callers=[one_at_a_time()])
    async with kept(world) as limits:
        reservations = world.traffic.reservations
        granted = await limits.admit([ONE], Demand(), reservations.seconds)
        assert not isinstance(granted, LimitRefusal)
        held = reservations.hold(limits, granted)
        del granted
        await trio.sleep(LONG)
        assert not await has_place(limits)
        del held
        gc.collect()
        await trio.sleep(LEASE_SECONDS)
        assert await has_place(limits)


async def test_limits_that_cannot_be_asked_are_asked_again(autojump_clock: MockClock) -> None:
    limits, reservations = RemoteLimits(), Reservations()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reservations.keep, limits)
        await wait_all_tasks_blocked()
        granted = await limits.admit([ONE], Demand(), reservations.seconds)
        assert not isinstance(granted, LimitRefusal)
        held = reservations.hold(limits, granted)
        limits.delay = math.inf
        await trio.sleep(2 * RENEW_EVERY)
        limits.delay = 0.25
        await trio.sleep(LONG)
        assert not await has_place(limits)
        await held.void()
        assert await has_place(limits)
        nursery.cancel_scope.cancel()
