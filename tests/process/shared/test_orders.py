"""How a process follows what operators order of deployments, with a real database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import trio

from gateway.config.callers import Caller
from gateway.config.schema import DebugLog
from gateway.control import capturing, deployments
from gateway.control.changes import Actor
from gateway.core.capture.capture import Capture, CapturedRequest
from gateway.core.routing.breaker.policy import BreakerPolicy
from gateway.core.routing.causes import Cause, Skipped, SkipReason
from gateway.core.routing.entered import Entered
from gateway.core.routing.health import Sample
from gateway.core.routing.target import Target
from gateway.process.shared.following import callers_of_grants
from gateway.process.shared.orders import Orders
from gateway.proxy.capture import CaptureLog
from gateway.proxy.in_flight import InFlight
from gateway.state.health import LocalHealth
from gateway.store.control.grants import KeyGrant
from gateway.store.engine.database import Database
from tests.proxy.world import deployment

from ...store.migrated import migrated_database

NOW: Final = 1_790_000_000.0
A: Final = deployment("a")
KNOWN: Final = {A.state_key}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = migrated_database(tmp_path)
    yield found
    found.close()


def order(database: Database, operation: Any, *arguments: Any, now: float = NOW) -> None:
    database.write_now(
        lambda connection: operation(connection, A.state_key, *arguments, KNOWN, Actor("root", now))
    )


def why_not(health: LocalHealth, target: Target, now: float) -> SkipReason | None:
    skipped = health.check(target, now)
    assert isinstance(skipped, Skipped | None)
    return None if skipped is None else skipped.why


async def test_a_drain_ends_by_itself_and_survives_a_reload(database: Database) -> None:
    health, clock = LocalHealth(), [NOW]
    orders = Orders(database, health, InFlight(), lambda: clock[0])
    target = health.target(A)
    assert await orders.refresh()
    now = trio.current_time()
    assert why_not(health, target, now) is None
    order(database, deployments.drain, 60.0, "")
    assert await orders.refresh()
    assert why_not(health, target, now) is SkipReason.DRAINED
    assert health.enter(target, A, now) == Skipped(SkipReason.DRAINED)
    assert not target.available(now)
    (status,) = health.status(now)
    assert status.drained is not None
    assert status.drained == pytest.approx(60, abs=5)
    # A reload forgets the deployment and finds it again.
    health.retain([])
    again = health.target(A)
    assert again is not target
    assert why_not(health, again, now) is SkipReason.DRAINED
    # The database may be away by then.
    database.barred = "away"
    assert not await orders.refresh()
    assert why_not(health, again, now + 61) is None
    assert isinstance(health.enter(again, A, now + 61), Entered)


async def test_it_can_be_ended_and_one_that_begins_later_knows(database: Database) -> None:
    order(database, deployments.drain, 60.0, "")
    health = LocalHealth()
    target = health.target(A)
    orders = Orders(database, health, InFlight(), lambda: NOW)
    await orders.refresh()
    now = trio.current_time()
    assert why_not(health, target, now) is SkipReason.DRAINED
    order(database, deployments.enable)
    await orders.refresh()
    assert why_not(health, target, now) is None


async def test_a_reset_closes_the_breaker_once(database: Database) -> None:
    def fail(times: int, now: float) -> None:
        for _ in range(times):
            entered = health.enter(target, A, now)
            assert isinstance(entered, Entered), entered
            health.leave(entered, Sample(Cause.CONNECT_FAILED, 0.1), now, lambda: 0.5)

    health = LocalHealth(BreakerPolicy())
    target = health.target(A)
    # Reset before this process began: it was another breaker.
    order(database, deployments.reset)
    orders = Orders(database, health, InFlight(), lambda: NOW)
    now = trio.current_time()
    fail(5, now)
    await orders.refresh()
    assert why_not(health, target, now) is SkipReason.CIRCUIT_OPEN
    order(database, deployments.reset)
    await orders.refresh()
    assert why_not(health, target, now) is None
    # Four more are no five in a row, and nothing is reset a second time.
    now += 1
    fail(4, now)
    assert why_not(health, target, now) is None
    fail(1, now)
    order(database, deployments.drain, 60.0, "")
    order(database, deployments.enable)
    await orders.refresh()
    assert why_not(health, target, now) is SkipReason.CIRCUIT_OPEN


async def test_a_key_is_captured_for_a_while(database: Database) -> None:
    captures, clock = CaptureLog(Sink(), lambda: 0.5), [NOW]
    captures.configure(DebugLog(tokens=("app",), errors_only=True, redact=("user",)))
    orders = Orders(database, LocalHealth(), InFlight(), lambda: clock[0], captures)
    await orders.refresh()
    assert not captures.selects("other", "m")
    database.write_now(
        lambda c: capturing.start(c, "other", 0.5, "", lambda _: True, Actor("root", NOW))
    )
    await orders.refresh()
    assert captures.selects("other", "m")
    assert not captures.selects("third", "m")
    # Whatever comes of a request, and with what is to be redacted redacted.
    request = CapturedRequest(
        request_id="r", time=0.0, token="other", model="m", method="POST", target="/",
        headers=(), body=b"{}", arrived=trio.current_time(),
    )  # fmt: skip
    capture = captures.begin(request)
    assert capture is not None
    assert not capture.policy.errors_only
    assert [path.text for path in capture.policy.paths] == ["user"]
    capture.release()
    # A reload changes nothing of it, a database that is away neither, and it ends by itself.
    captures.configure(DebugLog())
    database.barred = "away"
    assert not await orders.refresh()
    assert captures.selects("other", "m")
    await trio.sleep(0.5)
    assert not captures.selects("other", "m")
    database.barred = None
    database.write_now(
        lambda c: capturing.start(c, "other", 60, "", lambda _: True, Actor("root", NOW))
    )
    await orders.refresh()
    assert captures.selects("other", "m")
    database.write_now(lambda c: capturing.stop(c, "other", Actor("root", NOW)))
    await orders.refresh()
    assert not captures.selects("other", "m")


def test_a_grant_may_what_its_key_may_and_no_longer() -> None:
    key = Caller(name="app", digest=b"k", models=frozenset({"m"}), expires=NOW + 5)
    old = msgspec.structs.replace(key, digest=b"o", expires=NOW)
    grant = KeyGrant(digest=b"g", token="app", until=NOW + 600, granted_to="ann")
    none = KeyGrant(digest=b"n", token="none", until=NOW + 600)
    found = callers_of_grants([grant, none], [old, msgspec.structs.replace(key, expires=None)])
    (made,) = found.values()
    assert (made.digest, made.expires, made.granted_to) == (b"g", NOW + 600, "ann")
    assert made.models == key.models
    (made,) = callers_of_grants([grant], [key]).values()
    assert made.expires == NOW + 5
    blocked = msgspec.structs.replace(key, expires=0.0, blocked=True)
    (made,) = callers_of_grants([grant], [blocked]).values()
    assert (made.expires, made.blocked) == (0.0, True)
    assert callers_of_grants([], [key]) == {}


class Sink:
    def put(self, capture: Capture) -> None:
        capture.release()
