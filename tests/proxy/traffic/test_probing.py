from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

import msgspec
import pytest
import structlog
import trio
from structlog.testing import LogCapture
from trio.testing import MockClock, wait_all_tasks_blocked

from gateway.core.routing.breaker.policy import BreakerPolicy
from gateway.core.routing.breaker.states import BreakerState
from gateway.core.routing.call import Call, Origin
from gateway.core.routing.target import Target
from gateway.providers.registry import KINDS
from gateway.providers.settings import Probe, Provider
from gateway.proxy.traffic import probing
from gateway.proxy.traffic.probing import Probed, Probing
from gateway.state.health import LocalHealth
from gateway.upstream.http_client import http_client
from gateway.upstream.probe import probe
from gateway.upstream.transport import Transport

from ...providers.kinds.described import place_of
from ...upstream.servers import OK, read_request, serving
from ..world import deployment

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
POLICY: Final = Probe(interval=10, timeout=2, failures=3)


def half() -> float:
    """Make every jitter 1."""
    return 0.5


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> LogCapture:
    capture = LogCapture()
    logger = structlog.wrap_logger(None, processors=[capture])
    monkeypatch.setattr(probing, "_log", logger)
    return capture


def call_to(provider: str) -> Call:
    return Call(Origin("http", provider, 80), b"GET", b"/models", (), b"")


def probed(provider: str = "p", policy: Probe = POLICY) -> Probed:
    return Probed(provider, call_to(provider), policy)


class Checks:
    """Plays `results` of each provider, the last for ever: what is said, and how late."""

    def __init__(self, **results: Sequence[tuple[bool | None, float]]) -> None:
        self.made: list[tuple[float, str]] = []
        self.timeouts: set[float] = set()
        self.open = 0
        self._results = {provider: list(steps) for provider, steps in results.items()}

    async def __call__(self, call: Call, timeout: float) -> bool | None:
        host = call.origin.host
        self.made.append((trio.current_time(), host))
        self.timeouts.add(timeout)
        steps = self._results[host]
        result, seconds = steps.pop(0) if len(steps) > 1 else steps[0]
        self.open += 1
        try:
            await trio.sleep(seconds)
        finally:
            self.open -= 1
        return result

    def times(self, provider: str = "p") -> list[float]:
        return [round(at, 6) for at, host in self.made if host == provider]


class World:
    """Checks of providers whose targets are `P/a` and `P/b`."""

    def __init__(self, checks: Checks, breaker: BreakerPolicy | None = None) -> None:
        self.checks = checks
        self.health = LocalHealth(breaker)
        self.targets = [self.target(p, m) for p in ("p", "q") for m in ("a", "b")]
        self.probing = Probing(checks, self.health, half)

    def target(self, provider: str, model: str) -> Target:
        known = msgspec.structs.replace(deployment(provider), model=model)
        return self.health.target(known)

    def of(self, provider: str) -> list[Target]:
        return [each for each in self.health.targets if each.name.startswith(f"{provider}/")]

    def states(self, provider: str = "p") -> set[BreakerState]:
        now = trio.current_time()
        return {each.breaker.state(now) for each in self.of(provider)}


@contextlib.asynccontextmanager
async def running(world: World, *wanted: Probed) -> AsyncIterator[None]:
    world.probing.configure(wanted)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.probing.run)
        yield
        nursery.cancel_scope.cancel("the test is over")
    assert world.checks.open == 0


async def test_each_provider_is_checked_at_once_and_then_at_its_interval(
    autojump_clock: MockClock,
) -> None:
    world = World(Checks(p=[(True, 0)], q=[(True, 1)]))
    async with running(world, probed("p"), probed("q", Probe(interval=4, timeout=3))):
        await trio.sleep(12.5)
    assert world.checks.times("p") == [0, 10]
    assert world.checks.times("q") == [0, 5, 10]
    assert world.checks.timeouts == {2, 3}
    assert world.states() == world.states("q") == {CLOSED}


@pytest.mark.parametrize(("chance", "interval"), [(0.0, 9.0), (0.5, 10.0), (1.0, 11.0)])
async def test_intervals_have_a_jitter_of_a_tenth(
    autojump_clock: MockClock, chance: float, interval: float
) -> None:
    checks = Checks(p=[(True, 0)])
    world = World(checks)
    world.probing = Probing(checks, world.health, lambda: chance)
    async with running(world, probed()):
        await trio.sleep(25)
    assert checks.times() == [0, interval, 2 * interval]


async def test_so_many_failures_in_a_row_open_all_breakers_of_the_provider(
    autojump_clock: MockClock, log: LogCapture
) -> None:
    fails = (False, 0.0)
    world = World(Checks(p=[fails, fails, (True, 0), fails, (None, 0), fails, fails]))
    async with running(world, probed()):
        await trio.sleep(55)
        assert world.states() == {CLOSED}
        assert log.entries == []
        await trio.sleep(5.5)  # the third in a row, since one that says nothing counts for neither
        assert world.states() == {OPEN}
        assert world.states("q") == {CLOSED}
        assert log.entries == [
            {
                "event": "provider fails its health checks",
                "provider": "p",
                "failures": 3,
                "log_level": "warning",
            }
        ]


async def test_breakers_stay_open_while_checks_fail_and_let_one_try_when_one_succeeds(
    autojump_clock: MockClock, log: LogCapture
) -> None:
    results = [(False, 0.0)] * 9 + [(True, 0.0)]
    # Cools in 4 s, and in less than the interval however often it has opened.
    policy = BreakerPolicy(open_time=4, max_open_time=8)
    world = World(Checks(p=results), policy)
    breaker = world.targets[0].breaker
    async with running(world, probed()):
        for failure in range(2, 9):
            await trio.sleep_until(10 * failure + 0.5)
            assert world.states() == {OPEN}, failure
        assert breaker.opens == 7
        await trio.sleep_until(90.5)
        # No longer open for anybody to wait, but closed neither: requests decide.
        assert world.states() == {HALF_OPEN}
        assert breaker.opens == 7
        for _ in range(policy.successes):
            permit = breaker.enter(trio.current_time())
            assert permit is not None
            breaker.leave(permit, False, trio.current_time(), half)
        await trio.sleep_until(130)
        assert breaker.state(trio.current_time()) is CLOSED
    events = [(each["event"], each["log_level"]) for each in log.entries]
    assert events == [
        ("provider fails its health checks", "warning"),
        ("provider answers health checks again", "info"),
    ]


async def test_a_success_ends_the_open_time_of_what_requests_have_opened(
    autojump_clock: MockClock, log: LogCapture
) -> None:
    world = World(Checks(p=[(True, 0)]))
    breaker = world.targets[0].breaker
    async with running(world, probed()):
        await trio.sleep(9)
        breaker.trip(trio.current_time(), half)
        await trio.sleep(0.5)
        assert breaker.state(trio.current_time()) is OPEN
        await trio.sleep(1)
        assert breaker.state(trio.current_time()) is HALF_OPEN
    assert log.entries == []


async def test_a_slow_check_is_not_overtaken_by_the_next(autojump_clock: MockClock) -> None:
    world = World(Checks(p=[(False, 25)]))
    async with running(world, probed()):
        await trio.sleep(80)
    assert world.checks.times() == [0, 35, 70]


async def test_a_reload_stops_starts_and_restarts_only_what_has_changed(
    autojump_clock: MockClock,
) -> None:
    world = World(Checks(p=[(True, 0)], q=[(True, 0)]))
    async with running(world, probed("p")):
        await trio.sleep(4)
        world.probing.configure([probed("p"), probed("q")])
        await trio.sleep(12)  # 16: the first goes on at its own pace
        assert world.checks.times("p") == [0, 10]
        assert world.checks.times("q") == [4, 14]
        world.probing.configure([probed("p", Probe(interval=20)), probed("q")])
        await trio.sleep(10)  # 26
        assert world.checks.times("p") == [0, 10, 16]
        assert world.checks.times("q") == [4, 14, 24]
        world.probing.configure([])
        await trio.sleep(100)
        assert len(world.checks.made) == 6
        assert repr(world.probing) == "<Probing nothing>"
        world.probing.configure([probed("q")])
        await trio.sleep(1)
        assert world.checks.times("q")[3:] == [126]


async def test_a_check_under_way_ends_with_its_configuration(autojump_clock: MockClock) -> None:
    world = World(Checks(p=[(False, 1.9)], q=[(True, 0)]))
    async with running(world, probed("p", Probe(failures=1))):
        await trio.sleep(1)
        assert world.checks.open == 1
        world.probing.configure([probed("q")])
        await wait_all_tasks_blocked()
        assert world.checks.open == 0
        await trio.sleep(5)
        assert world.states() == {CLOSED}


async def test_two_reloads_at_once_end_with_the_last(autojump_clock: MockClock) -> None:
    world = World(Checks(p=[(True, 0)], q=[(True, 0)]))
    async with running(world):
        await trio.sleep(1)
        world.probing.configure([probed("p")])
        world.probing.configure([probed("q")])
        await trio.sleep(1)
    assert world.checks.made == [(1, "q")]


async def test_targets_are_those_of_the_moment(autojump_clock: MockClock) -> None:
    world = World(Checks(p=[(False, 0)]))
    world.health.retain([])
    async with running(world, probed()):
        await trio.sleep(25)
        world.target("p", "new")
        await trio.sleep(6)
        assert world.states() == {OPEN}


async def test_a_provider_that_breaks_and_recovers_over_tcp() -> None:
    answer = OK
    asked: list[bytes] = []

    async def handler(stream: trio.abc.Stream) -> None:
        while request := await read_request(stream):
            asked.append(request)
            if not answer:
                await trio.sleep_forever()
            await stream.send_all(answer)

    policy = Probe(path="/models?limit=1", interval=0.1, timeout=0.1, failures=2)
    health = LocalHealth(BreakerPolicy(open_time=60, max_open_time=60))
    found = health.target(deployment("p"))
    transport = Transport()
    checking = Probing(partial(probe, http_client(transport)), health, half)

    async def becomes(state: BreakerState) -> None:
        with trio.fail_after(10):
            while found.breaker.state(trio.current_time()) is not state:  # noqa: ASYNC110
                await trio.sleep(0.01)

    async with serving(handler) as server, trio.open_nursery() as nursery:
        provider = Provider(
            kind="openai",
            base_url=f"http://127.0.0.1:{server.port}/v1",
            api_key="sk-1",
            probe=policy,
        )
        call = KINDS[provider.kind].probe_call("p", provider, place_of(provider))
        checking.configure([Probed("p", call, policy)])
        nursery.start_soon(checking.run)
        with trio.fail_after(10):
            while len(asked) < 3:  # noqa: ASYNC110
                await trio.sleep(0.01)
        assert server.accepted == 1
        assert found.breaker.state(trio.current_time()) is CLOSED
        for broken in (b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n", b"", b"nonsense\r\n\r\n"):
            answer = broken
            await becomes(OPEN)
            answer = OK
            await becomes(HALF_OPEN)
        nursery.cancel_scope.cancel("the test is over")
    assert asked[0].startswith(b"GET /v1/models?limit=1 HTTP/1.1\r\n")
    assert b"\r\nauthorization: Bearer sk-1\r\n" in asked[0].lower().replace(b"bearer", b"Bearer")
    assert [stats.in_use for stats in transport.stats().values()] == [0]
    await transport.aclose()
