"""What stands before an attempt: breakers, keys, retry budgets, a provider's own limits."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
import structlog
import trio
from structlog.testing import LogCapture
from trio.testing import MockClock

from gateway.config.callers import Caller
from gateway.core.limits.ledger import Scope, ScopeLimits
from gateway.core.routing.attempts import RetryPolicy
from gateway.core.routing.breaker.states import BreakerState
from gateway.core.routing.call import Call
from gateway.core.routing.causes import Cause, Skipped, SkipReason
from gateway.core.routing.retry_budget import RetryBudgetPolicy
from gateway.lifecycle import Lifecycle
from gateway.proxy.attempts.lease import LAGGING
from gateway.proxy.options import ClientOptions
from gateway.proxy.traffic.control import TrafficControl
from gateway.state import health_log, key_verdicts
from gateway.transport_errors import ConnectFailed, ConnectionLost, ConnectTimeout, UpstreamFailure
from tests.rounds import rounds

from ..scripts import (
    DONE,
    EOF,
    SILENCE,
    STOP,
    Head,
    Play,
    ScriptedClient,
    ScriptedResponse,
    ScriptedUpstream,
    Step,
    chunk,
    fails,
    ok,
    status,
)
from ..world import KEY, State, World, body, deployment

ONCE = RetryPolicy(max_attempts=1)
MANY = rounds(few=200, many=1000)
# A first event at once, the end ten seconds later.
LONG: list[Step] = [(0, Head()), (0, chunk("hi")), (10, STOP + DONE), (0, EOF)]


class Answering(ScriptedUpstream):
    """Plays the same for every call to a provider."""

    def __init__(self, plays: Mapping[str, Sequence[Step]]) -> None:
        super().__init__([])
        self._by_provider = plays

    async def request(self, call: Call) -> ScriptedResponse:
        self._plays.append(Play(call.origin.host, self._by_provider[call.origin.host]))
        return await super().request(call)


@pytest.fixture
def visits(monkeypatch: pytest.MonkeyPatch) -> LogCapture:
    capture = LogCapture()
    logger = structlog.wrap_logger(None, processors=[structlog.stdlib.add_log_level, capture])
    for module in (key_verdicts, health_log):
        monkeypatch.setattr(module, "_log", logger)
    return capture


async def asked_for(
    state: State, *plays: tuple[str, Sequence[Step]], routes: Any = ("a",), **more: Any
) -> World:
    """Serve one request with what `state` knows already."""
    world = World(plays, routes=list(routes), state=state, retry=more.pop("retry", ONCE), **more)
    await world.run()
    return world


def by(name: str) -> dict[str, Any]:
    """Let a request be that of the caller `name`."""
    digest = hashlib.sha256(KEY).digest()
    caller = Caller(name=name, digest=digest, models=frozenset(), beginnings=("",))
    return {"callers": (caller,)}


async def failing(state: State, times: int, **more: Any) -> None:
    """Let a provider fail, and two callers meet that in turn."""
    for number in range(times):
        await asked_for(state, ("a", status(503)), **by(f"failing {number % 2}"), **more)


async def all_at_once(worlds: Sequence[World], apart: float = 0.0) -> None:
    """Serve the requests of all, `apart` seconds from one another."""
    async with trio.open_nursery() as nursery:
        for number, world in enumerate(worlds):

            async def serve(world: World = world, at: float = number * apart) -> None:
                await trio.sleep(at)
                await world.exchange()

            nursery.start_soon(serve)


# Breakers...


async def test_after_five_failures_in_a_row_the_next_goes_elsewhere(
    autojump_clock: MockClock,
) -> None:
    state = State()
    await failing(state, 4)
    # The fifth is still sent there.
    world = await asked_for(state, ("a", status(503)), ("b", ok()), routes="ab", retry=None)
    assert world.causes == ["server_error", "ok"]
    world = await asked_for(state, ("b", ok()), routes="ab", retry=None)
    assert world.causes == ["ok"]
    assert world.client.headers[b"x-gateway-attempts"] == b"1"
    assert trio.current_time() == 0


async def test_when_all_are_open_the_caller_is_told_at_once_and_when_to_come_back(
    autojump_clock: MockClock,
) -> None:
    state = State()
    await failing(state, 5)
    await trio.sleep(0.2)
    world = await asked_for(state)
    assert trio.current_time() == 0.2
    assert (world.client.status, world.client.error["code"]) == (503, "no_healthy_upstream")
    # Two a second are let through where there is nothing else to ask.
    assert world.client.headers[b"retry-after"] == b"1"
    assert world.client.headers[b"retry-after-ms"] == b"300"
    assert world.client.headers[b"x-should-retry"] == b"true"
    assert world.client.headers[b"x-gateway-attempts"] == b"0"
    assert [(each.provider, each.reason) for each in world.record.skipped] == [
        ("a", "circuit_open")
    ]
    assert world.record.end_reason == "providers_failed"
    # It was the truth.
    await trio.sleep(0.3)
    world = await asked_for(state, ("a", ok()))
    assert world.causes == ["ok"]


async def test_of_several_open_breakers_the_first_to_let_one_through_is_told(
    autojump_clock: MockClock,
) -> None:
    state = State()
    await failing(state, 5)
    await trio.sleep(0.2)
    for _ in range(5):
        await asked_for(state, ("b", status(503)), routes="b")
    await trio.sleep(0.1)
    world = await asked_for(state, routes="ab")
    assert world.client.headers[b"retry-after-ms"] == b"200"


async def test_each_that_is_refused_is_told_a_later_turn(autojump_clock: MockClock) -> None:
    state = State()
    await failing(state, 5)
    worlds = [World([], routes=["a"], state=state, retry=ONCE) for _ in range(12)]
    await all_at_once(worlds)
    waits = sorted(int(world.client.headers[b"retry-after-ms"]) for world in worlds)
    assert waits == [500, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 4500, 5000, 5000, 5000]


@pytest.mark.slow
async def test_the_last_one_left_is_asked_at_a_throttled_rate(autojump_clock: MockClock) -> None:
    """All routes of a model are down, its fallback too: two a second are sent to the first."""
    state = State()
    for route in "ab":
        for number in range(5):
            await asked_for(state, (route, status(503)), routes=route, **by(f"caller {number}"))
    upstream = Answering({"a": status(503), "b": status(503)})
    # Four seconds, and two afterwards.
    count = rounds(200, 1000)
    apart = 4 / count
    worlds = [World([], routes=["a", "b"], state=state, retry=ONCE) for _ in range(count)]
    for world in worlds:
        world.upstream = upstream
    await all_at_once(worlds, apart=apart)
    assert Counter(provider for _, provider in upstream.called) == {"a": 7, "b": 7}
    assert Counter(world.client.status for world in worlds) == {502: 14, 503: count - 14}
    # And as soon as one of them is well, all are served.
    upstream._by_provider = {"a": ok(), "b": status(503)}
    began = trio.current_time()
    worlds = [World([], routes=["a", "b"], state=state, retry=ONCE) for _ in range(count // 2)]
    for world in worlds:
        world.upstream = upstream
    await all_at_once(worlds, apart=apart)
    served = [number for number, world in enumerate(worlds) if world.client.status == 200]
    assert trio.current_time() - began < 3
    assert served[-(count // 4) :] == [*range(count // 4, count // 2)]


async def test_one_with_an_alternative_is_left_alone(autojump_clock: MockClock) -> None:
    state = State()
    await failing(state, 5)
    for _ in range(10):
        await trio.sleep(0.45)
        world = await asked_for(state, ("b", ok()), routes="ab")
        assert world.causes == ["ok"]


@pytest.mark.soak
@pytest.mark.parametrize("routes", ["a", "ab"])
async def test_however_many_at_the_instant_of_half_open_make_one_call(
    autojump_clock: MockClock, routes: str
) -> None:
    state = State()
    await failing(state, 5)
    await trio.sleep(5)
    upstream = Answering({"a": ok(after=1), "b": ok(after=1)})
    worlds = [World([], routes=list(routes), state=state) for _ in range(MANY)]
    for world in worlds:
        world.upstream = upstream
    await all_at_once(worlds)
    called = [provider for _, provider in upstream.called]
    assert called.count("a") == 1
    assert called.count("b") == (MANY - 1 if routes == "ab" else 0)
    statuses = [world.client.status for world in worlds]
    assert statuses.count(503) == (0 if routes == "ab" else MANY - 1)
    assert statuses.count(200) == (MANY if routes == "ab" else 1)
    assert trio.current_time() == 6
    assert all(target.in_flight == 0 for target in state.health.targets)
    if routes == "a":
        refused = next(world for world in worlds if world.client.status == 503)
        # When the probe ends nobody knows; a second is a fair guess.
        assert refused.client.headers[b"retry-after"] == b"1"


async def test_a_probe_proves_with_its_first_event(autojump_clock: MockClock) -> None:
    state = State()
    await failing(state, 5)
    await trio.sleep(5)
    upstream = Answering({"a": LONG})
    worlds = [World([], routes=["a"], state=state) for _ in range(3)]
    for world in worlds:
        world.upstream = upstream
    # Each of them lasts ten seconds, and yet the next one need not wait for it.
    await all_at_once(worlds, apart=0.5)
    assert upstream.called == [(5, "a"), (5.5, "a"), (6, "a")]
    assert trio.current_time() == 16
    (target,) = state.health.targets
    assert target.breaker.state(16) is BreakerState.CLOSED
    assert target.breaker.opens == 1


async def test_a_failed_probe_opens_again(autojump_clock: MockClock) -> None:
    state = State()
    await failing(state, 5)
    await trio.sleep(5)
    await failing(state, 1)
    (target,) = state.health.targets
    assert state.health.check(target, 15) is None
    skipped = state.health.check(target, 14.9)
    assert skipped == Skipped(SkipReason.CIRCUIT_OPEN, 15)


async def test_a_probe_whose_caller_leaves_gives_the_next_its_turn(
    autojump_clock: MockClock,
) -> None:
    state = State()
    await failing(state, 5)
    await trio.sleep(5)
    client = ScriptedClient(body(), leaves_at=6)
    await asked_for(state, ("a", ok(after=9)), client=client)
    assert trio.current_time() == 6
    world = await asked_for(state, ("a", ok()))
    assert world.causes == ["ok"]


async def served_to(state: State, how: str) -> None:
    """Serve a request that says nothing about its provider, in one of several ways."""
    now = trio.current_time()
    if how == "leaves":
        client = ScriptedClient(body(), leaves_at=now + 0.1)
        world = await asked_for(state, ("a", ok(after=1)), client=client)
        assert world.causes == ["client_gone"]
    elif how == "leaves later":
        client = ScriptedClient(body(), leaves_at=now + 0.1)
        world = await asked_for(state, ("a", LONG), client=client)
        assert world.causes == ["client_gone"]
    elif how == "stalls":
        client = ScriptedClient(body(), stalls=1)
        world = await asked_for(state, ("a", LONG), client=client)
        assert world.causes == ["client_gone"]
        assert world.record.end_reason == "send_timeout"
    else:
        world = World([("a", ok(after=1))], state=state, retry=ONCE)
        await world.run_and_end_at(0.1)
        assert world.causes == ["shutdown"]


@pytest.mark.parametrize("how", ["leaves", "leaves later", "stalls", "shutdown"])
async def test_what_says_nothing_of_the_provider_never_counts(
    autojump_clock: MockClock, how: str
) -> None:
    state = State()
    for _ in range(30):
        await served_to(state, how)
    (target,) = state.health.targets
    assert target.breaker.closed
    # It is no success either: four failures before it and one after are five in a row.
    await failing(state, 4)
    await served_to(state, how)
    assert target.breaker.opens == 0
    await failing(state, 1)
    assert target.breaker.opens == 1


@pytest.mark.parametrize("code", [400, 404, 422])
async def test_a_refusal_of_the_request_says_nothing_to_the_breaker(
    autojump_clock: MockClock, code: int
) -> None:
    state = State()
    await failing(state, 4)
    (target,) = state.health.targets
    # Neither a failure, nor the success that would begin the count anew...
    for _ in range(20):
        await asked_for(state, ("a", status(code)))
    assert target.breaker.opens == 0
    await failing(state, 1)
    assert target.breaker.opens == 1
    # ...nor a proof that closes it again.
    await trio.sleep(30)
    for _ in range(3):
        await asked_for(state, ("a", status(code)))
    assert not target.breaker.closed


@pytest.mark.parametrize("steps", [SILENCE, LONG], ids=["before", "after the first event"])
async def test_a_caller_in_haste_never_opens_a_breaker(
    autojump_clock: MockClock, steps: list[Step]
) -> None:
    state = State()
    for _ in range(30):
        world = World([("a", steps)], state=state, retry=ONCE)
        await world.run(asked=ClientOptions(timeout=0.001))
        assert world.causes == ["total_timeout"]
    (target,) = state.health.targets
    assert target.breaker.closed
    assert target.health.consecutive_failures == 0
    # And hides no failures.
    await failing(state, 4)
    world = World([("a", steps)], state=state, retry=ONCE)
    await world.run(asked=ClientOptions(timeout=0.001))
    assert target.breaker.opens == 0
    await failing(state, 1)
    assert target.breaker.opens == 1


@pytest.mark.parametrize("asked", [ClientOptions(single=True), ClientOptions(timeout=30)])
async def test_who_cannot_afford_it_is_no_probe_while_another_is_well(
    autojump_clock: MockClock, asked: ClientOptions
) -> None:
    state = State()
    await failing(state, 5)
    await trio.sleep(5)
    for _ in range(3):
        world = World([("b", ok())], routes=["a", "b"], state=state)
        await world.run(asked=asked)
        assert world.causes == ["ok"]
    # Whoever can, still is one.
    world = await asked_for(state, ("a", status(503)), ("b", ok()), routes="ab", retry=None)
    assert world.causes == ["server_error", "ok"]
    # And where nobody is known to be well it is as good a try as any.
    await trio.sleep(10)
    world = World([("a", ok())], state=state)
    await world.run(asked=asked)
    assert world.causes == ["ok"]


async def test_a_failed_probe_takes_no_attempt_from_its_request(
    autojump_clock: MockClock,
) -> None:
    state = State()
    await failing(state, 5)
    await trio.sleep(5)
    # The only attempt that it has is with one that is well.
    world = await asked_for(state, ("a", status(503)), ("b", ok()), routes="ab")
    assert world.causes == ["server_error", "ok"]
    # A failure of that one counts.
    await trio.sleep(10)
    world = await asked_for(state, ("a", status(503)), ("b", status(503)), routes="abc")
    assert (world.client.status, world.causes) == (502, ["server_error"] * 2)


@pytest.mark.parametrize("code", [401, 429])
async def test_the_fault_of_a_key_never_opens_a_breaker(
    autojump_clock: MockClock, code: int
) -> None:
    state = State()
    for _ in range(10):
        await asked_for(state, ("a", status(code, (b"retry-after", b"0.5"))))
        await trio.sleep(700)
    (target,) = state.health.targets
    assert target.breaker.closed


async def test_a_stream_that_breaks_after_its_first_event_counts(
    autojump_clock: MockClock,
) -> None:
    state = State()
    broken: list[Step] = [(0, Head()), (0, chunk("hi")), (0, ConnectionLost("reset"))]
    for number in range(5):
        await asked_for(state, ("a", broken), **by(f"caller {number % 2}"))
    (target,) = state.health.targets
    assert not target.breaker.closed


@pytest.mark.parametrize(("lag", "counts"), [(LAGGING, True), (LAGGING + 0.01, False)])
async def test_while_the_gateway_itself_is_late_nothing_counts(
    autojump_clock: MockClock, lag: float, counts: bool
) -> None:
    state = State()
    for number in range(5):
        who = by(f"caller {number % 2}")
        world = World([("a", status(503))], state=state, retry=ONCE, **who)
        world.traffic.lag.value = lag
        await world.run()
    (target,) = state.health.targets
    assert target.breaker.closed is not counts


# Keys...


def keys_of(world: World) -> list[bytes]:
    """Return the keys of the calls, in their order."""
    return [dict(call.headers)[b"authorization"] for _, call in world.upstream.calls]


def with_keys(*keys: bytes, provider: str = "a") -> Any:
    return deployment(provider, keys=keys)


async def test_keys_are_used_in_turn(autojump_clock: MockClock) -> None:
    state, route = State(), with_keys(b"k1", b"k2", b"k3")
    used = []
    for _ in range(6):
        used += keys_of(await asked_for(state, ("a", ok()), routes=[route]))
    assert used == [b"k1", b"k2", b"k3"] * 2


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (401, b"wrong key sk-secret-1"),
        (402, b"Insufficient Balance of sk-secret-1"),
        (403, b"Your account sk-secret-1 has been suspended"),
    ],
)
async def test_a_refused_key_is_followed_by_another_at_once_and_set_aside(
    autojump_clock: MockClock, visits: LogCapture, code: int, words: bytes
) -> None:
    state, route = State(), with_keys(b"sk-secret-1", b"sk-secret-2")
    said = b'{"error":{"message":"%b"}}' % words
    world = await asked_for(
        state, ("a", status(code, body=said)), ("a", ok()), routes=[route], retry=None
    )
    assert trio.current_time() == 0
    assert world.causes == ["auth_failed" if code == 401 else "account_refused", "ok"]
    assert [row.wait_ms for row in world.record.attempts] == [0, 0]
    assert keys_of(world) == [b"sk-secret-1", b"sk-secret-2"]
    (entry,) = visits.entries
    assert entry["log_level"] == "error"
    assert (entry["deployment"], entry["seconds"]) == ("a/real", 30)
    # What names the key is its label, which tests take from the key itself.
    assert "sk-secret" not in entry["error"]
    for _ in range(3):
        world = await asked_for(state, ("a", ok()), routes=[route])
        assert keys_of(world) == [b"sk-secret-2"]
    await trio.sleep(30)
    used = []
    for _ in range(2):
        used += keys_of(await asked_for(state, ("a", ok()), routes=[route]))
    assert sorted(used) == [b"sk-secret-1", b"sk-secret-2"]


@pytest.mark.parametrize(("code", "everywhere"), [(401, True), (403, False)])
async def test_a_key_may_be_refused_for_one_deployment_only(
    autojump_clock: MockClock, code: int, everywhere: bool
) -> None:
    state, small = State(), with_keys(b"k1")
    large = msgspec.structs.replace(small, model="large")
    await asked_for(state, ("a", status(code)), routes=[small])
    played = [] if everywhere else [("a", ok())]
    world = await asked_for(state, *played, routes=[large])
    assert world.client.status == (503 if everywhere else 200)


@pytest.mark.parametrize("code", [402, 403])
async def test_a_key_is_set_aside_by_the_third_refusal_in_a_row(
    autojump_clock: MockClock, visits: LogCapture, code: int
) -> None:
    """It may be about this one request: too long for what is left, or a firewall's dislike."""
    state, route = State(), with_keys(b"k1")
    refused = ("a", status(code))
    # An answer in between begins the count anew.
    for number, play in enumerate((refused, refused, ("a", ok()), refused, refused)):
        world = await asked_for(state, play, routes=[route], **by(f"caller {number % 2}"))
        # Until then the caller is told the provider's words: they may be about its request.
        assert world.client.status == (200 if play[1] is not refused[1] else code)
    # Of those in a row the first is logged.
    assert [entry["seconds"] for entry in visits.entries] == [0] * 2
    assert {entry["event"] for entry in visits.entries} == {"provider refuses a key"}
    world = await asked_for(state, refused, routes=[route])
    assert world.client.status == 502
    assert visits.entries[-1]["seconds"] == 30
    assert visits.entries[-1]["event"] == "provider refuses a key; it is set aside"
    world = await asked_for(state, routes=[route])
    assert world.client.error["code"] == "auth_unavailable"
    # One more when it is back is the fourth in a row.
    await trio.sleep(30)
    await asked_for(state, refused, routes=[route])
    world = await asked_for(state, routes=[route])
    assert world.client.headers[b"retry-after"] == b"60"


@pytest.mark.parametrize("keys", [(b"k1",), (b"k1", b"k2")])
@pytest.mark.parametrize("code", [402, 403])
async def test_one_caller_takes_no_key_from_the_others(
    autojump_clock: MockClock, visits: LogCapture, code: int, keys: tuple[bytes, ...]
) -> None:
    state, route = State(), with_keys(*keys)
    for number in range(10):
        # Each key is tried once for each request, and no more.
        world = await asked_for(
            state,
            *[("a", status(code))] * len(keys),
            routes=[route],
            retry=None,
            client=ScriptedClient(body(seed=number)),
            **by("one"),
        )
        assert (world.client.status, world.causes) == (code, ["auth_failed"] * len(keys))
        assert world.client.error["message"] == "no"
        assert sorted(keys_of(world)) == sorted(keys)
    used = []
    for _ in keys:
        used += keys_of(await asked_for(state, ("a", ok()), routes=[route], **by("other")))
    assert sorted(used) == sorted(keys)
    assert [entry["seconds"] for entry in visits.entries] == [0] * len(keys)


async def test_without_tokens_each_body_speaks_for_itself(autojump_clock: MockClock) -> None:
    """One body again and again says nothing; the third of several sets the only key aside."""
    state = State()
    world = World([("a", status(403))], state=state, retry=ONCE)
    nobody = msgspec.structs.replace(world.snapshot, callers={})

    async def ask(play: Sequence[Step] | None, number: int) -> int | None:
        client = ScriptedClient(body(seed=number))
        plays = [] if play is None else [("a", play)]
        world = World(plays, routes=["a"], state=state, retry=ONCE, client=client)
        world.snapshot = msgspec.structs.replace(nobody, models=world.snapshot.models)
        await world.run(key=None)
        return client.status

    for _ in range(5):
        assert await ask(status(403), 1) == 403
    assert await ask(status(403), 2) == 502
    assert await ask(None, 3) == 503


async def test_a_refusal_of_the_request_is_one_of_the_key_no_more(
    autojump_clock: MockClock,
) -> None:
    """Whoever says that a prompt is bad has let the key in."""
    state = State()
    for number, code in enumerate((403, 403, 400, 403, 403)):
        await asked_for(state, ("a", status(code)), **by(f"caller {number % 2}"))
    await asked_for(state, ("a", ok()))


async def test_the_only_key_is_set_aside_at_once_if_it_is_not_known(
    autojump_clock: MockClock,
) -> None:
    state = State()
    await asked_for(state, ("a", status(401)))
    world = await asked_for(state)
    assert world.client.error["code"] == "auth_unavailable"


@pytest.mark.parametrize("code", [402, 403])
@pytest.mark.parametrize("keys", [(b"k1",), (b"k1", b"k2")])
async def test_a_family_never_loses_a_key_by_one_of_its_models(
    autojump_clock: MockClock, keys: tuple[bytes, ...], code: int
) -> None:
    """What is known of its keys is of all its models, and callers choose which one is asked."""
    state = State()
    family = msgspec.structs.replace(with_keys(*keys), pattern="real-*")
    for _ in range(10):
        world = await asked_for(state, ("a", status(code)), routes=[family])
        assert world.causes == ["auth_failed"]
    used = []
    for _ in keys:
        used += keys_of(await asked_for(state, ("a", ok()), routes=[family]))
    assert sorted(used) == list(keys)
    # 401 is about the key, whatever the model.
    for _ in keys:
        await asked_for(state, ("a", status(401)), routes=[family])
    world = await asked_for(state, routes=[family])
    assert world.client.error["code"] == "auth_unavailable"


async def test_bad_keys_do_not_use_up_the_attempts_while_a_route_is_left(
    autojump_clock: MockClock,
) -> None:
    routes = [with_keys(b"k1", b"k2", b"k3"), with_keys(b"k4", provider="b")]
    world = await asked_for(
        State(), *[("a", status(401))] * 2, ("b", ok()), routes=routes, retry=RetryPolicy()
    )
    assert keys_of(world) == [b"k1", b"k2", b"k4"]
    assert trio.current_time() == 0


@pytest.mark.parametrize("header", [(b"retry-after", b"0"), (b"retry-after-ms", b"0")])
@pytest.mark.parametrize("keys", [(b"k1",), (b"k1", b"k2")])
async def test_who_is_limited_for_no_time_is_followed_by_the_next_route(
    autojump_clock: MockClock, keys: tuple[bytes, ...], header: tuple[bytes, bytes]
) -> None:
    """The same key, free again at once, is not another one."""
    routes = [with_keys(*keys), with_keys(b"k9", provider="b")]
    plays = [("a", status(429, header))] * len(keys)
    world = await asked_for(State(), *plays, ("b", ok()), routes=routes, retry=RetryPolicy())
    assert world.causes == ["rate_limited"] * len(keys) + ["ok"]
    assert keys_of(world) == [*keys, b"k9"]
    assert trio.current_time() == 0


async def test_a_limited_key_rests_and_the_next_is_used_at_once(
    autojump_clock: MockClock, visits: LogCapture
) -> None:
    state, route = State(), with_keys(b"k1", b"k2")
    limited = status(429, (b"retry-after", b"20"))
    world = await asked_for(state, ("a", limited), ("a", ok()), routes=[route], retry=None)
    assert trio.current_time() == 0
    assert world.causes == ["rate_limited", "ok"]
    assert keys_of(world) == [b"k1", b"k2"]
    assert [entry["seconds"] for entry in visits.entries] == [20]
    await trio.sleep(19.9)
    for _ in range(2):
        world = await asked_for(state, ("a", ok()), routes=[route])
        assert keys_of(world) == [b"k2"]
    await trio.sleep(0.1)
    world = await asked_for(state, ("a", ok()), routes=[route])
    assert keys_of(world) == [b"k1"]


async def test_when_all_keys_are_limited_the_shortest_wait_is_told(
    autojump_clock: MockClock,
) -> None:
    state, route = State(), with_keys(b"k1", b"k2")
    world = await asked_for(
        state,
        ("a", status(429, (b"retry-after", b"90"))),
        ("a", status(429, (b"retry-after", b"70"))),
        routes=[route],
        retry=None,
    )
    assert trio.current_time() == 0
    assert world.client.status == 429
    assert world.client.headers[b"retry-after"] == b"70"
    assert world.causes == ["rate_limited", "rate_limited"]
    # And whoever comes next is told without a call.
    await trio.sleep(30)
    world = await asked_for(state, routes=[route])
    assert (world.client.status, world.client.error["code"]) == (429, "rate_limit_exceeded")
    assert world.client.headers[b"retry-after"] == b"40"
    assert world.client.headers[b"x-should-retry"] == b"true"
    assert world.record.end_reason == "providers_failed"


async def test_a_key_that_rests_since_an_earlier_request_may_be_the_first_to_be_back(
    autojump_clock: MockClock,
) -> None:
    state, route = State(), with_keys(b"k1", b"k2")
    limited = status(429, (b"retry-after", b"70"))
    await asked_for(state, ("a", limited), routes=[route])
    await trio.sleep(65)
    limited = status(429, (b"retry-after", b"90"))
    world = await asked_for(state, ("a", limited), routes=[route])
    assert keys_of(world) == [b"k2"]
    assert world.client.status == 429
    assert world.client.headers[b"retry-after"] == b"5"


async def test_a_provider_that_is_limited_already_may_be_the_first_to_be_back(
    autojump_clock: MockClock,
) -> None:
    state = State()
    await asked_for(state, ("b", status(429, (b"retry-after", b"80"))), routes="b")
    await trio.sleep(60)
    limited = status(429, (b"retry-after", b"70"))
    world = await asked_for(state, ("a", limited), routes="ab", retry=None)
    assert world.client.status == 429
    assert world.client.headers[b"retry-after"] == b"20"


async def test_when_all_keys_are_refused_nobody_is_asked(autojump_clock: MockClock) -> None:
    state, route = State(), with_keys(b"k1", b"k2")
    world = await asked_for(
        state, ("a", status(401)), ("a", status(401)), routes=[route], retry=None
    )
    assert world.client.status == 502
    await trio.sleep(10)
    world = await asked_for(state, routes=[route])
    assert (world.client.status, world.client.error["code"]) == (503, "auth_unavailable")
    assert world.client.headers[b"retry-after"] == b"20"
    assert world.record.end_reason == "providers_failed"


async def test_no_more_keys_are_tried_than_attempts_are_allowed(
    autojump_clock: MockClock,
) -> None:
    route = with_keys(b"k1", b"k2", b"k3", b"k4")
    world = await asked_for(State(), *[("a", status(401))] * 3, routes=[route], retry=RetryPolicy())
    assert world.client.status == 502
    assert keys_of(world) == [b"k1", b"k2", b"k3"]


# Retry budgets...


def frugal(**policy: Any) -> State:
    policy = {"per_second": 0, **policy}
    return State(retry=RetryPolicy(budget=RetryBudgetPolicy(**policy)))


async def test_without_a_budget_the_first_error_stands(autojump_clock: MockClock) -> None:
    state = frugal()
    world = await asked_for(state, ("a", status(503)), retry=None)
    assert trio.current_time() == 0.25
    assert (world.client.status, world.causes) == (502, ["server_error"])
    assert world.client.error["message"] == "all providers failed: a/real: server_error (503 no)"
    assert world.client.headers[b"x-should-retry"] == b"false"
    (target,) = state.health.targets
    assert target.retries.exhausted == 1


async def test_first_attempts_earn_later_ones(autojump_clock: MockClock) -> None:
    state = frugal(ratio=0.2)
    for _ in range(9):
        await asked_for(state, ("a", ok()))
    # Ten first attempts are worth two later ones.
    world = await asked_for(state, *[("a", status(503))] * 3, retry=RetryPolicy(max_attempts=9))
    assert world.causes == ["server_error"] * 3
    world = await asked_for(state, ("a", status(503)), retry=RetryPolicy(max_attempts=9))
    assert world.causes == ["server_error"]


async def test_a_limited_provider_without_a_budget_is_no_reason_to_retry(
    autojump_clock: MockClock,
) -> None:
    state = frugal()
    await failing(state, 2)
    # The budget counts for what is not served well.
    world = await asked_for(
        state, ("a", status(429, (b"retry-after", b"1"))), retry=RetryPolicy(base=0)
    )
    assert world.client.status == 429
    assert world.client.headers[b"x-should-retry"] == b"false"


async def test_a_fallback_to_a_steady_deployment_is_never_refused(
    autojump_clock: MockClock,
) -> None:
    state = frugal(ratio=0, concurrent_ratio=0, concurrent_min=0)
    for _ in range(4):
        world = await asked_for(state, ("a", status(503)), ("b", ok()), routes="ab", retry=None)
        assert world.causes == ["server_error", "ok"]
    assert trio.current_time() == 0


async def test_a_client_s_own_retry_earns_nothing(autojump_clock: MockClock) -> None:
    state = frugal(ratio=1)
    for repeated in (True, False):
        for _ in range(3):
            world = World([("a", ok())], state=state)
            await world.run(asked=ClientOptions(repeated=repeated))
            assert world.causes == ["ok"]
        world = World([("a", status(503))] * (1 if repeated else 3), state=state)
        # It spends what there is.
        await world.run(asked=ClientOptions(repeated=True))
        await trio.sleep(90)


async def test_one_attempt_is_all_that_some_callers_want(autojump_clock: MockClock) -> None:
    world = World([("a", status(503))], routes=["a", "b"])
    await world.run(asked=ClientOptions(single=True))
    assert (world.client.status, world.causes) == (502, ["server_error"])


async def test_one_attempt_may_go_to_the_second_if_the_first_was_not_asked(
    autojump_clock: MockClock,
) -> None:
    state = State()
    await failing(state, 5)
    world = World([("b", ok())], routes=["a", "b"], state=state)
    await world.run(asked=ClientOptions(single=True))
    assert world.causes == ["ok"]


# A provider's limits...


def scopes(**limits: ScopeLimits) -> dict[str, Scope]:
    return {name: Scope(f"provider:{name}", each) for name, each in limits.items()}


async def test_a_provider_beyond_its_requests_is_passed_over(autojump_clock: MockClock) -> None:
    state, limits = State(), scopes(a=ScopeLimits(rpm=2))
    for provider in "aab":
        world = await asked_for(state, (provider, ok()), routes="ab", provider_scopes=limits)
        assert world.causes == ["ok"]
    await trio.sleep(30)
    await asked_for(state, ("a", ok()), routes="ab", provider_scopes=limits)


async def test_the_only_provider_beyond_its_requests_is_busy(autojump_clock: MockClock) -> None:
    state, limits = State(), scopes(a=ScopeLimits(rpm=2))
    for _ in range(2):
        await asked_for(state, ("a", ok()), provider_scopes=limits)
    await trio.sleep(12)
    world = await asked_for(state, provider_scopes=limits)
    assert (world.client.status, world.client.error["code"]) == (503, "overloaded")
    assert world.client.headers[b"retry-after"] == b"18"
    assert world.record.end_reason == "rejected"
    assert trio.current_time() == 12


async def test_a_provider_s_tokens_are_reserved_and_settled(autojump_clock: MockClock) -> None:
    state, limits = State(), scopes(a=ScopeLimits(tpm=1000))
    first = World(
        [("a", ok(after=1))],
        client=ScriptedClient(body(max_tokens=900)),
        state=state,
        provider_scopes=limits,
    )
    second = World(
        [("b", ok())],
        client=ScriptedClient(body(max_tokens=900)),
        routes=["a", "b"],
        state=state,
        provider_scopes=limits,
    )
    await all_at_once([first, second], apart=0.5)
    assert (first.causes, second.causes) == (["ok"], ["ok"])
    # It took 120: there is room for another one.
    client = ScriptedClient(body(max_tokens=850))
    await asked_for(state, ("a", ok()), client=client, provider_scopes=limits)
    assert state.limits.ledger.held() == 0


async def test_a_refused_attempt_gives_back_what_it_took_of_its_provider(
    autojump_clock: MockClock,
) -> None:
    """The budget for retries is asked after the limits, and says no."""
    state, limits = frugal(), scopes(a=ScopeLimits(rpm=2))
    await asked_for(state, ("a", status(503)), retry=None, provider_scopes=limits)
    world = await asked_for(state, ("a", status(503)), retry=None, provider_scopes=limits)
    assert world.causes == ["server_error"]


def sharing(worlds: Sequence[World], limit: int) -> TrafficControl:
    """Let all of `worlds` be of one process, with so many at once for each provider."""
    traffic = TrafficControl(Lifecycle())
    for name in "ab":
        traffic.provider(name).limit = limit
    for world in worlds:
        world.traffic = traffic
    return traffic


async def test_who_finds_a_provider_busy_waits_for_its_turn(autojump_clock: MockClock) -> None:
    state, upstream = State(), Answering({"a": ok(after=1)})
    worlds = [World([], routes=["a"], state=state) for _ in range(3)]
    ends: list[float] = []
    traffic = sharing(worlds, 1)
    for world in worlds:
        world.upstream = upstream

    async def serve(world: World, at: float) -> None:
        await trio.sleep(at)
        await world.exchange()
        ends.append(trio.current_time())
        assert world.client.status == 200
        assert world.causes == ["ok"]

    async with trio.open_nursery() as nursery:
        for number, world in enumerate(worlds):
            nursery.start_soon(serve, world, number * 0.125)
    assert upstream.called == [(0, "a"), (1, "a"), (2, "a")]
    assert ends == [1, 2, 3]
    assert [slots.held for slots in traffic] == [0, 0, 0]


@pytest.mark.parametrize("routes", ["a", "ab"])
async def test_who_waits_too_long_goes_elsewhere_or_home(
    autojump_clock: MockClock, routes: str
) -> None:
    state, upstream = State(), Answering({"a": ok(after=10), "b": ok()})
    worlds = [World([], routes=list(routes), state=state) for _ in range(2)]
    traffic = sharing(worlds, 1)
    for world in worlds:
        world.upstream = upstream
    await all_at_once(worlds, apart=0.5)
    client = worlds[1].client
    if routes == "ab":
        assert upstream.called == [(0, "a"), (2.5, "b")]
        assert client.status == 200
        assert client.headers[b"x-gateway-attempts"] == b"1"
    else:
        assert upstream.called == [(0, "a")]
        assert (client.status, client.error["code"]) == (503, "overloaded")
        assert client.finished_at == 2.5
        assert client.headers[b"retry-after"] == b"3"
    assert [slots.held for slots in traffic] == [0, 0, 0]


async def test_who_waited_asks_the_breaker_again(autojump_clock: MockClock) -> None:
    state = State()
    await failing(state, 4)
    upstream = Answering({"a": status(503, after=1)})
    worlds = [World([], routes=["a"], state=state, retry=ONCE) for _ in range(2)]
    sharing(worlds, 1)
    for world in worlds:
        world.upstream = upstream
    await all_at_once(worlds, apart=0.5)
    # What failed while the second was waiting has opened it.
    assert upstream.called == [(0, "a")]
    assert worlds[1].client.error["code"] == "no_healthy_upstream"
    assert worlds[1].client.finished_at == 1


async def test_a_drain_ends_the_wait(autojump_clock: MockClock) -> None:
    world = World([], routes=["a"])
    slots = world.traffic.provider("a")
    slots.limit = 1
    assert slots.acquire_nowait()

    async def drain() -> None:
        await trio.sleep(1)
        world.lifecycle.start_drain()
        slots.release()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drain)
        await world.run()
    assert trio.current_time() == 1
    assert (world.client.status, world.client.error["code"]) == (503, "server_shutting_down")
    assert world.record.end_reason == "server_shutting_down"


# One caller does not hurt the others...


def refusal(message: str) -> bytes:
    return msgspec.json.encode({"error": {"message": message, "code": None}})


XAI = msgspec.json.encode(
    {
        "code": "The caller does not have permission to execute the specified operation",
        "error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO",
    }
)
TOO_LARGE = refusal("Request too large for m on tokens per min (TPM): Limit 30000, Requested 60000")
UNAFFORDABLE = refusal(
    "This request requires more credits, or fewer max_tokens. You requested up to 32000 tokens, "
    "but can only afford 27342."
)
IMAGE = refusal("image input is not supported - hint: you may need to provide the mmproj")


@pytest.mark.parametrize("keys", [(b"k1",), (b"k1", b"k2")])
@pytest.mark.parametrize(
    ("code", "said", "cause"),
    [
        (403, XAI, "content_policy"),
        (402, UNAFFORDABLE, "request_too_large"),
        (429, TOO_LARGE, "request_too_large"),
        (500, IMAGE, "unsupported"),
    ],
)
async def test_a_refusal_of_the_request_is_relayed_and_touches_neither_key_nor_breaker(
    autojump_clock: MockClock, code: int, said: bytes, cause: str, keys: tuple[bytes, ...]
) -> None:
    state, route = State(), with_keys(*keys)
    for number in range(10):
        world = await asked_for(
            state,
            ("a", status(code, body=said)),
            routes=[route],
            retry=None,
            client=ScriptedClient(body(seed=number)),
        )
        assert world.causes == [cause]
        assert (world.client.status, world.client.text) == (code, said)
        assert world.record.end_reason == "provider_rejected"
        # openai-python would repeat what it is told with these.
        expected = b"false" if code in (429, 500) else None
        assert world.client.headers.get(b"x-should-retry") == expected
    used = []
    for _ in keys:
        used += keys_of(await asked_for(state, ("a", ok()), routes=[route]))
    assert sorted(used) == list(keys)
    assert trio.current_time() == 0


@pytest.mark.parametrize(("code", "said"), [(429, TOO_LARGE), (500, IMAGE), (402, UNAFFORDABLE)])
async def test_what_one_deployment_cannot_take_another_may(
    autojump_clock: MockClock, code: int, said: bytes
) -> None:
    plays = ("a", status(code, body=said)), ("b", ok())
    world = await asked_for(State(), *plays, routes="ab", retry=None)
    assert world.client.status == 200
    assert trio.current_time() == 0


@pytest.mark.parametrize("code", [500, 502, 503])
@pytest.mark.parametrize("bodies", [1, 3])
async def test_a_caller_whose_requests_fail_is_kept_out_and_no_other(
    autojump_clock: MockClock, code: int, bodies: int
) -> None:
    state, left = State(), 0
    for number in range(4):
        client = ScriptedClient(body(seed=number % bodies))
        plays = [("a", status(code))] * 3
        world = World(plays, routes=["a"], state=state, client=client, **by("one"))
        await world.run(all_played=False)
        left += world.client.status == 503
    assert left == 2
    (target,) = state.health.targets
    assert target.breaker.opens == 0
    # It is shown as that caller finds it until another one is answered.
    assert target.status(trio.current_time()).state == "open"
    world = await asked_for(state, ("a", ok()), **by("other"))
    assert world.client.status == 200
    assert target.status(trio.current_time()).state == "closed"
    # Other requests of the caller are served if all that failed were one and the same.
    client = ScriptedClient(body(seed=99))
    plays = [("a", ok())] if bodies == 1 else []
    world = await asked_for(state, *plays, client=client, **by("one"))
    assert world.client.status == (200 if bodies == 1 else 503)
    # And all of them when it is well again.
    await trio.sleep(6)
    for _ in range(3):
        world = await asked_for(state, ("a", ok()), client=ScriptedClient(body()), **by("one"))
        assert world.client.status == 200


async def test_others_without_another_route_come_ten_at_a_time_until_one_is_answered(
    autojump_clock: MockClock,
) -> None:
    state = State()
    for _ in range(5):
        await asked_for(state, ("a", status(500)), **by("one"))
    upstream = Answering({"a": LONG})
    worlds = [World([], routes=["a"], state=state, **by(f"other {n}")) for n in range(20)]
    for world in worlds:
        world.upstream = upstream
    upstream._by_provider = {"a": [(1, Head()), *LONG[1:]]}
    # Where there is no other route ten at once are let through.
    await all_at_once(worlds[:15])
    statuses = [world.client.status for world in worlds[:15]]
    assert Counter(statuses) == {200: 10, 503: 5}
    refused = next(world for world in worlds[:15] if world.client.status == 503)
    assert refused.client.headers[b"retry-after"] == b"5"
    await all_at_once(worlds[15:])
    assert {world.client.status for world in worlds[15:]} == {200}


async def test_a_trial_whose_caller_leaves_gives_the_next_its_turn(
    autojump_clock: MockClock,
) -> None:
    state = State()
    for _ in range(5):
        await asked_for(state, ("a", status(500)), **by("one"))
    client = ScriptedClient(body(), leaves_at=0.5)
    await asked_for(state, ("a", ok(after=9)), client=client, **by("other"))
    world = await asked_for(state, ("a", ok()), **by("other"))
    assert world.client.status == 200


async def test_a_dead_provider_is_left_alone_with_the_second_caller(
    autojump_clock: MockClock,
) -> None:
    state = State()
    for _ in range(5):
        await asked_for(state, ("a", status(500)), **by("one"))
    await asked_for(state, ("a", status(500)), **by("two"))
    for name in ("one", "two", "three"):
        world = await asked_for(state, **by(name))
        assert world.client.error["code"] == "no_healthy_upstream"


async def test_without_tokens_the_second_body_that_fails_opens_it(
    autojump_clock: MockClock,
) -> None:
    state = State()
    for number in (1, 1, 1, 1, 2):
        world = World(
            [("a", status(500))],
            routes=["a"],
            state=state,
            retry=ONCE,
            client=ScriptedClient(body(seed=number)),
        )
        world.snapshot = msgspec.structs.replace(world.snapshot, callers={})
        await world.run(key=None)
    (target,) = state.health.targets
    assert target.breaker.opens == 1


@pytest.mark.parametrize("fault", [ConnectFailed("refused"), ConnectTimeout("silence")])
async def test_a_provider_that_cannot_be_reached_is_left_alone_whoever_asks(
    autojump_clock: MockClock, fault: UpstreamFailure
) -> None:
    state = State()
    for _ in range(5):
        await asked_for(state, ("a", fails(fault)), **by("one"))
    world = await asked_for(state, **by("two"))
    assert world.client.error["code"] == "no_healthy_upstream"


async def test_geminis_own_wait_is_obeyed(autojump_clock: MockClock) -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}
    error = {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED", "details": [info]}
    said = msgspec.json.encode([{"error": error}])
    state = State()
    world = await asked_for(state, ("a", status(429, body=said)))
    assert world.client.headers[b"retry-after"] == b"37"
    await trio.sleep(36.9)
    world = await asked_for(state)
    assert world.client.status == 429
    await trio.sleep(0.1)
    await asked_for(state, ("a", ok()))


@pytest.mark.parametrize(
    "asked", [b"31536000", b"1e300", b"Fri, 31 Dec 2999 23:59:59 GMT", b"86400"]
)
async def test_no_provider_takes_a_key_away_for_longer_than_some_minutes(
    autojump_clock: MockClock, asked: bytes
) -> None:
    state = State()
    world = await asked_for(state, ("a", status(429, (b"retry-after", asked))))
    assert world.client.headers[b"retry-after"] == b"300"
    await trio.sleep(300)
    await asked_for(state, ("a", ok()))


# Callers that leave a silent provider...


async def left_after(state: State, seconds: float, who: str, **more: Any) -> World:
    client = ScriptedClient(body(**more), leaves_at=trio.current_time() + seconds)
    return await asked_for(state, ("a", SILENCE), routes="ab", client=client, **by(who))


async def test_a_provider_that_hangs_is_seen_by_those_who_leave_it(
    autojump_clock: MockClock, visits: LogCapture
) -> None:
    state = State()
    for number in range(10):
        world = await left_after(state, 5, f"caller {number % 3}")
        assert world.causes == ["abandoned"]
        assert world.record.end_reason == "client_gone"
    # One line for all of them.
    (entry,) = visits.entries
    assert entry["event"] == "a caller left a provider that takes longer than usual"
    assert (entry["deployment"], entry["waited"]) == ("a/real", 5.0)
    target = next(iter(state.health.targets))
    assert target.breaker.opens == 1
    assert target.health.consecutive_failures == 0
    assert target.health.failures[Cause.ABANDONED] == 10
    world = await asked_for(state, ("b", ok()), routes="ab")
    assert world.client.status == 200


async def test_one_caller_that_always_leaves_keeps_out_itself(autojump_clock: MockClock) -> None:
    state = State()
    for number in range(10):
        await left_after(state, 5, "one", seed=number)
    target = next(iter(state.health.targets))
    assert target.breaker.opens == 0
    world = await asked_for(state, ("b", ok()), routes="ab", **by("one"))
    assert world.client.status == 200
    # Where there is a choice others go there, too, until somebody is answered here.
    world = await asked_for(state, ("a", ok()), **by("other"))
    assert world.client.status == 200
    assert (await asked_for(state, ("a", ok()), routes="ab", **by("other"))).causes == ["ok"]


@pytest.mark.parametrize(("usual", "cause"), [(0.1, "abandoned"), (6.0, "client_gone")])
async def test_longer_than_usual_is_what_counts(
    autojump_clock: MockClock, usual: float, cause: str
) -> None:
    state = State()
    await asked_for(state, ("a", ok(after=usual)), routes="ab")
    world = await left_after(state, 5, "one")
    assert world.causes == [cause]
