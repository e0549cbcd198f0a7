"""The rule of breakers as callers and providers see it, in the simulation of docs/states.md."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from bench.outage import RULES, Simulation, down, steadily
from gateway.core.routing.attempts import RetryPolicy
from gateway.core.routing.balancing.strategies import StrategyName
from gateway.core.routing.breaker.policy import BreakerPolicy

from ..rounds import rounds


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


# Without another route...


# One caller and twenty in turns, and both for each in a soak.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("share", "rate", "seconds", "callers"),
    [
        (share, rate, seconds, callers)
        for row, share in enumerate((0.1, 0.3, 0.5, 0.7))
        for column, (rate, seconds) in enumerate(((1, 600), (20, 120), (100, 30)))
        for last, callers in enumerate((1, 20))
        if rounds((row + column) % 2 == last, True)
    ],
)
def test_callers_are_served_as_often_as_the_provider_serves_at_least(
    share: float, rate: float, seconds: float, callers: int
) -> None:
    failing = {"a": steadily(share)}
    found = Simulation(failing, rate=rate, seconds=seconds, callers=callers).run()
    # Retries make it far more, but for the first second of many requests: failures are there
    # before the first success can be.
    assert found.share() >= 1 - share - (0.0 if share <= 0.5 else 0.03)


@pytest.mark.slow
def test_a_third_of_failures_opens_nothing_and_retries_make_up_for_most() -> None:
    found = Simulation({"a": steadily(0.3)}, rate=2, seconds=600).run()
    assert found.share() >= 0.93
    once = RetryPolicy(max_attempts=1)
    found = Simulation({"a": steadily(0.3)}, seconds=300, retry=once).run()
    assert found.share() == pytest.approx(0.7, abs=0.02)


def test_the_rule_before_this_one_made_it_worse() -> None:
    """So that the simulation shows what the rule is for."""
    found = Simulation({"a": steadily(0.3)}, rule="before", seconds=300).run()
    assert found.share() < 0.4


@pytest.mark.slow
@pytest.mark.parametrize("rate", [1, 20, 200])
@pytest.mark.parametrize("callers", [1, 20])
def test_a_provider_that_is_down_is_sent_two_a_second(rate: float, callers: int) -> None:
    simulation = Simulation({"a": steadily(1.0)}, rate=rate, seconds=30, callers=callers)
    found = simulation.run()
    # At first all that come before the fifth has failed, and its retries.
    assert found.called("a", 0, 2) <= 10 + 0.3 * rate + 2 * 2
    assert found.called("a", 2, 30) <= 2.1 * 28
    # The others are told at once, and when to come back.
    refused = [each for each in found.seen if each.refused]
    assert len(refused) >= len(found.seen) - found.called("a")
    for each in refused:
        assert each.over == each.at
        assert each.retry_after is not None
        assert 0 < each.retry_after < 5.0 + 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(rounds(1, 3)))
@pytest.mark.parametrize(
    ("rate", "callers"),
    [(2, 1), (20, 20), (200, 1), *rounds([], [(2, 20), (20, 1), (200, 20)])],
)
def test_all_are_served_within_seconds_of_a_recovery(rate: float, callers: int, seed: int) -> None:
    failing = {"a": down(10, 70)}
    simulation = Simulation(failing, rate=rate, seconds=90, callers=callers, seed=seed)
    found = simulation.run()
    assert found.share(20, 69) == 0.0
    assert found.share(75, 90) >= 0.99


@pytest.mark.slow
def test_a_silent_provider_is_sent_ever_fewer() -> None:
    """Its failures take a minute each, and so each of the few that pass keeps others waiting."""
    simulation = Simulation({"a": down(5, 300)}, rate=20, seconds=320, failed_seconds=60.0)
    found = simulation.run()
    assert found.called("a", 130, 300) < 60
    assert found.share(310, 320) == 1.0


# With another route...


@pytest.mark.parametrize("share", [0.3, 0.5, 1.0])
def test_with_another_route_all_are_served_and_the_failing_one_is_left_alone(share: float) -> None:
    failing = {"a": steadily(share), "b": steadily(0.0)}
    now, before = (Simulation(failing, rule=rule).run() for rule in reversed(RULES))
    assert now.share() == before.share() == 1.0
    assert now.called("a") <= 1.2 * before.called("a")
    if share >= 0.5:
        assert now.called("a", 10) < 0.1 * now.called("b", 10)


@pytest.mark.slow
def test_while_both_fail_the_better_one_is_what_counts() -> None:
    failing = {"a": steadily(1.0), "b": steadily(0.4)}
    found = Simulation(failing, seconds=300).run()
    assert found.share(10) >= 0.6


# How soon a route has its share again...


@pytest.mark.parametrize("size", rounds([3], [2, 3, 5]))
@pytest.mark.parametrize(
    ("strategy", "enabled"),
    [
        *(("lowest_latency", True), ("least_busy", True), ("round_robin", True)),
        *(("weighted", True), ("cheapest", True), ("lowest_latency", False)),
        *rounds(
            [],
            [
                ("least_busy", False),
                ("round_robin", False),
                ("weighted", False),
                ("cheapest", False),
            ],
        ),
    ],
)
@pytest.mark.slow
def test_a_route_that_failed_fast_has_its_whole_share_after_the_slow_start(
    strategy: StrategyName, enabled: bool, size: int
) -> None:
    failing = {"a": down(20, 30)} | {f"well {n}": steadily(0.0) for n in range(1, size)}
    simulation = Simulation(
        failing,
        rate=60 * size,
        seconds=65,
        strategy=strategy,
        breaker=BreakerPolicy(enabled=enabled),
    )
    closed = simulation.when(lambda now: now > 30 and simulation.targets[0].breaker.closed)
    found = simulation.run()

    def share(start: float, end: float) -> float:
        """Return what the first was sent, as a part of an equal share."""
        calls = {name: found.called(name, start, end) for name in failing}
        return calls["a"] / sum(calls.values()) * size

    (at,) = closed
    assert 30 <= at <= 30 + 18 + 3
    assert share(10, 20) == pytest.approx(1.0, abs=0.1)
    if enabled:
        assert 0.3 < share(at + 4, at + 6) < 0.8
    assert share(at + 9.5, at + 11.5) > 0.85
    assert share(at + 14, at + 16) == pytest.approx(1.0, abs=0.12)
