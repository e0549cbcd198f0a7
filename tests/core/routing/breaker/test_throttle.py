from __future__ import annotations

import math

import pytest

from gateway.core.routing.breaker.throttle import (
    FLOOR,
    GENEROSITY,
    LONGEST_TURN,
    MEMORY,
    Throttle,
    seen_so_far,
)


def throttle(good: float = 0.0, now: float = 0.0, not_before: float = -math.inf) -> Throttle:
    found = Throttle()
    found.begin(now, good, not_before)
    return found


def ask(subject: Throttle, now: float) -> bool:
    if subject.passes(now):
        subject.take(now)
        return True
    subject.refuse()
    return False


def asked(subject: Throttle, seconds: int, rate: int, *, good: float | None = None) -> float:
    """Return the share that passes of `rate` requests a second that end at once."""
    passed = 0
    for number in range(seconds * rate):
        now = number / rate
        if ask(subject, now):
            passed += 1
            subject.leave(now)
    return passed / (seconds * rate)


def test_the_floor_lets_two_a_second_pass_however_many_ask() -> None:
    assert asked(throttle(), 100, 1000) * 1000 == pytest.approx(FLOOR, rel=0.02)
    # And all of those that ask no oftener.
    assert asked(throttle(), 100, 2) >= 0.99


@pytest.mark.parametrize("good", [0.01, 0.02, 0.05, 0.09])
def test_beyond_that_in_proportion_to_what_succeeds(good: float) -> None:
    share = asked(throttle(good), 10, 1000)
    assert share == pytest.approx(GENEROSITY * good + FLOOR / 1000, abs=0.002)


@pytest.mark.parametrize("good", [0.1, 0.5, 0.7, 1.0])
def test_who_serves_a_tenth_gets_all(good: float) -> None:
    assert asked(throttle(good), 1, 1000) == 1.0


def test_each_under_way_makes_the_next_wait_longer() -> None:
    subject = throttle()
    times = [now / 100 for now in range(6000) if ask(subject, now / 100)]
    # 2 (1 + n) / FLOOR seconds apart: eleven in half a minute, and not 60.
    assert times[:4] == pytest.approx([0.5, 1.5, 3.0, 5.0], abs=0.02)
    assert sum(at < 30 for at in times) == 10
    assert subject.under_way == len(times) == 14
    # They end, and it is as before.
    for _ in times:
        subject.leave(60.0)
    assert ask(subject, 60.5)
    assert not ask(subject, 60.6)


def test_two_that_succeed_let_nearly_all_pass_again() -> None:
    subject = throttle()
    for _ in range(2):
        subject.note(failed=False)
    assert subject.good == pytest.approx(1 - (1 - 1 / MEMORY) ** 2)
    assert asked(subject, 1, 100) >= 0.95


def test_a_provider_that_was_well_and_is_down_is_soon_sent_little() -> None:
    subject, passed = throttle(1.0), 0
    for number in range(10_000):
        now = number / 1000
        if ask(subject, now):
            passed += 1
            subject.leave(now)
            subject.note(failed=True)
    # 45 until a tenth is left of the successes, and then ever fewer of ten thousand.
    assert 45 <= passed <= 200
    assert asked(subject, 10, 1000) < 0.005


def test_what_a_provider_asks_for_is_kept_by_the_floor() -> None:
    subject = throttle(not_before=60)
    assert not any(ask(subject, now) for now in range(60))
    assert ask(subject, 60)
    assert not subject.passes(60)
    assert throttle(0.2, not_before=60).passes(0)
    subject.wait_until(100)
    subject.wait_until(90)
    assert subject.retry_at(61) == 100
    assert not subject.passes(99.9)
    assert subject.passes(100)


def test_turns_are_told_one_after_another_and_kept() -> None:
    subject = throttle()
    told = []
    for _ in range(20):
        assert not ask(subject, 0)
        told.append(subject.retry_at(0))
    assert told[:4] == [0.5, 1.0, 1.5, 2.0]
    assert told[-1] == LONGEST_TURN
    # Who comes back when told passes, if they end at once.
    for at in sorted(set(told)):
        assert ask(subject, at)
        subject.leave(at)


def test_a_burst_passes_at_once() -> None:
    subject = Throttle(10.0)
    assert [ask(subject, 5.0) for _ in range(12)] == [True] * 10 + [False] * 2


@pytest.mark.parametrize(
    ("requests", "failures", "row", "good"),
    [(0, 0, 0, 0.0), (5, 5, 5, 0.0), (10, 3, 0, 0.7), (1000, 20, 20, 0.98 * 0.95**20)],
)
def test_what_it_begins_with(requests: int, failures: int, row: int, good: float) -> None:
    assert seen_so_far(requests, failures, row) == pytest.approx(good)


def test_repr_shows_the_share() -> None:
    assert repr(throttle(0.25)) == "<Throttle at 25%, 0 under way>"
