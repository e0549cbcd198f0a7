"""An exchange cancelled at every step it takes, three ways; afterwards nothing may be left.

The steps are Trio's: an instrument counts them and strikes before the k-th. Trio shuffles the
tasks that are ready at once, so its dice are seeded, as Hypothesis does, and some are tried.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gateway.config.callers import Caller
from gateway.core.limits.budget import Budget
from gateway.core.limits.ledger import Scope, ScopeLimits
from gateway.core.records.record import EndReason
from gateway.core.routing.hedging import HedgeCap, HedgePolicy

from ..rounds import rounds, swept
from .scripts import DONE, EOF, JSON, STOP, Head, Play, ScriptedClient, Step, chunk, status
from .striker import Striker
from .traffic.sharers import RemoteLimits, Sharer
from .world import KEY, World, body

STREAM: list[Step] = [
    (1, Head()),
    (1, chunk("hi")),
    (0, chunk("there")),
    (20, chunk("again")),
    (0, STOP),
    (1, DONE),
    (0.1, EOF),
]
ANSWER: list[Step] = [(1, Head(200, (JSON,))), (1, b'{"choices":'), (1, b"[{}]}"), (0, EOF)]
FAILED = status(503, after=1)


def streamed() -> World:
    return World([Play("a", STREAM, connect=1)], client=ScriptedClient(body(), body_at=1))


def streamed_slowly() -> World:
    pauses = {1: 1.0, 2: 30.0, 3: 1.0, 4: 1.0, 5: 1.0}
    return World([("a", STREAM)], client=ScriptedClient(body(), pauses=pauses))


def retried() -> World:
    return World([("a", FAILED), ("a", STREAM)])


def answered() -> World:
    client = ScriptedClient(body(stream=False), body_at=1, pauses={1: 1.0})
    return World([Play("a", ANSWER, connect=1)], client=client)


def answered_after_all() -> World:
    return World([("a", FAILED), ("a", ANSWER)], stream=False)


def refused() -> World:
    return World([("a", status(400, after=1))])


def given_up() -> World:
    return World([("a", FAILED)] * 3)


# Hedged, and limited in every way...

LIMITED = Caller(
    name="limited",
    digest=hashlib.sha256(KEY).digest(),
    models=frozenset(),
    beginnings=("",),
    scopes=(
        Scope(
            "token:limited",
            ScopeLimits(rpm=9, tpm=9999, max_concurrent=1),
            Budget(usd=1.0, window="total"),
        ),
    ),
    limited=True,
)


def raced(*plays: Play, stream: bool = True) -> World:
    world = World(
        plays,
        stream=stream,
        callers=[LIMITED],
        provider_scopes={
            name: Scope(f"provider:{name}", ScopeLimits(rpm=9, tpm=9999, max_concurrent=1))
            for name in "ab"
        },
        hedge=HedgePolicy(after=1.0),
        hedge_cap=HedgeCap(),
    )
    for slots in (world.traffic.everyone, world.traffic.provider("a"), world.traffic.provider("b")):
        slots.limit = 1
    return world


SLOW: list[Step] = [(3, Head()), (3, chunk("late")), (1, DONE), (0, EOF)]
SLOW_ANSWER: list[Step] = [(4, Head(200, (JSON,))), (4, b"{}"), (0, EOF)]


def raced_and_overtaken() -> World:
    return raced(Play("a", SLOW), Play("b", STREAM))


def raced_and_won() -> World:
    return raced(Play("a", STREAM), Play("b", SLOW))


def raced_whole() -> World:
    return raced(Play("a", SLOW_ANSWER), Play("b", ANSWER), stream=False)


def raced_and_won_whole() -> World:
    return raced(Play("a", ANSWER), Play("b", SLOW_ANSWER), stream=False)


def raced_to_a_draw() -> World:
    """Let both commit in the same tick."""
    return raced(Play("a", STREAM, connect=1), Play("b", STREAM))


def raced_after_a_failure() -> World:
    return raced(Play("a", status(503, after=2)), Play("b", STREAM))


def raced_with_shared_places() -> World:
    """Let the places be those of several processes, and ask for them along with other limits."""
    world = raced(Play("a", SLOW), Play("b", STREAM))
    limits = RemoteLimits(0.5)
    world.state.limits = limits
    world.traffic = Sharer(limits, 1, lifecycle=world.lifecycle).traffic
    for name in "ab":
        world.traffic.provider(name).limit = 1
    return world


RACES = [
    raced_and_overtaken,
    raced_with_shared_places,
    raced_and_won,
    raced_whole,
    raced_and_won_whole,
    raced_to_a_draw,
    raced_after_a_failure,
]
EXCHANGES = [
    streamed,
    streamed_slowly,
    retried,
    answered,
    answered_after_all,
    refused,
    given_up,
    *RACES,
]


def play(make: Callable[[], World], way: str, at: int, seed: int) -> tuple[World, int, set[Any]]:
    """Run one exchange, struck at step `at`; return it, its steps, and what tasks are left."""
    striker = Striker(at)
    world: World | None = None
    leftovers: set[Any] = set()

    async def main() -> None:
        nonlocal world
        world = made = make()

        def cancel() -> None:
            made.in_flight.cancel("req_1")

        task = trio.lowlevel.current_task()
        with trio.CancelScope() as scope:
            strikes = {
                "leaves": world.client.leave,
                "cancelled": scope.cancel,
                "shutdown": world.lifecycle.end_requests,
                "operator": cancel,
            }
            striker.strike = strikes[way]
            await world.exchange()
        striker.strike = None
        leftovers.update(child for nursery in task.child_nurseries for child in nursery.child_tasks)

    # What Hypothesis registers for the same purpose (its `register_random`).
    dice: random.Random = trio._core._run._r
    dice.seed(seed)
    trio.run(main, clock=MockClock(autojump_threshold=0), instruments=[striker])
    assert world is not None
    return world, striker.steps, leftovers


ENDS = {
    "leaves": {EndReason.CLIENT_GONE},
    "cancelled": {EndReason.SHUTTING_DOWN},
    "shutdown": {EndReason.SHUTTING_DOWN},
    "operator": {EndReason.CANCELLED},
}


TOLD = {"shutdown": b"server_shutting_down", "operator": b"cancelled_by_operator"}


@pytest.mark.slow
@pytest.mark.parametrize("way", ENDS)
@pytest.mark.parametrize("make", EXCHANGES)
def test_nothing_is_left_of_an_exchange_cancelled_at_any_step(
    make: Callable[[], World], way: str
) -> None:
    never = 10**9
    turn = list(ENDS).index(way)
    for seed in range(rounds(1, 3)):
        untouched, steps, _ = play(make, way, never, seed)
        usual = untouched.record.end_reason
        untouched.check()
        assert steps > 10
        seen: set[EndReason] = set()
        for at in swept(steps, turn):
            world, _, leftovers = play(make, way, at, seed)
            where = f"{way} at step {at} of {steps}, seed {seed}"
            try:
                world.check(all_played=False)
            except AssertionError as exc:
                exc.add_note(where)
                raise
            assert not leftovers, where
            record, client = world.record, world.client
            seen.add(record.end_reason)
            assert record.end_reason in ENDS[way] | {usual}, where
            if record.end_reason is EndReason.CLIENT_GONE:
                assert client.finished_at is None, where
                assert b"error" not in client.text, where
            if way in TOLD and record.end_reason in ENDS[way]:
                # A caller that still listens is told, unless the last write was under way.
                assert client.status in {200, 503}, where
                told = TOLD[way] in client.text
                assert told or client.sealed or not record.stream, where
            for target in world.state.health.targets:
                assert target.breaker.closed, where
            if make in RACES:
                _check_settled(world, where)
            for name, health in world.health.items():
                blamed = sum(row.cause == "server_error" for row in record.attempts)
                assert health.consecutive_failures <= blamed, (where, name)
        # The sweep did hit something, and what came too late changed nothing.
        assert seen == ENDS[way] | {usual}


def _check_settled(world: World, where: str) -> None:
    """Hold that what the limits have reserved became what was used, and no more."""
    record = world.record
    paid = sum(row.cost_nano_usd or 0 for row in record.attempts)
    assert (record.cost_nano_usd or 0) == paid, where
    assert len(record.attempts) == len(world.upstream.calls), where
    for row in record.attempts:
        # No provider here reports its usage: whatever was not refused has an estimate, be it that
        # it lost, that it was cut off with the request, or that it came to its end.
        assert (row.cause == "server_error") == (row.cost_nano_usd is None), where
    accounts = {account.scope.key: account for account in world.state.limits.ledger}
    spending = accounts["token:limited"].spending if "token:limited" in accounts else None
    if spending is not None:
        assert (spending.reserved, spending.spent) == (0, paid), where
