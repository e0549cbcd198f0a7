from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence

import pytest
import structlog
import trio
from structlog.testing import LogCapture
from trio.testing import MockClock

from gateway.config.callers import Caller
from gateway.core.limits.ledger import Demand, Grant, LimitRefusal, LimitStatus, Scope, ScopeLimits
from gateway.core.records.record import EndReason
from gateway.proxy import reservation
from gateway.proxy.reservation import SETTLE_TIMEOUT, Reservation
from gateway.state.limits import MemoryLimits

from .scripts import ScriptedClient, ok
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

    async def status(self, scopes: Sequence[Scope]) -> list[LimitStatus]:
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
