from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.lifecycle import Lifecycle, Phase

Act = Callable[[Lifecycle], None]
STEPS: dict[Phase, Act] = {
    Phase.RUNNING: Lifecycle.ready,
    Phase.RETIRING: Lifecycle.retire,
    Phase.DRAINING: Lifecycle.start_drain,
    Phase.ENDING: Lifecycle.end_requests,
}


def nothing() -> None:
    """Be an end that does nothing."""


def test_it_starts_at_the_start() -> None:
    lifecycle = Lifecycle()
    assert lifecycle.phase is Phase.STARTING
    assert not lifecycle.leaving
    assert repr(lifecycle) == "<Lifecycle starting, 0 in flight>"


@pytest.mark.parametrize("first", STEPS)
@pytest.mark.parametrize("second", STEPS)
def test_it_never_goes_back(first: Phase, second: Phase) -> None:
    lifecycle = Lifecycle()
    STEPS[first](lifecycle)
    STEPS[second](lifecycle)
    order = list(Phase)
    assert lifecycle.phase is max(first, second, key=order.index)
    leaving = {Phase.RETIRING, Phase.DRAINING, Phase.ENDING}
    assert lifecycle.leaving is (lifecycle.phase in leaving)
    assert lifecycle.taking is (lifecycle.phase in {Phase.RUNNING, Phase.RETIRING})


def test_exchanges_are_counted_also_when_they_fail() -> None:
    lifecycle = Lifecycle()
    counts: list[int] = []

    def fail() -> None:
        with lifecycle.exchange(nothing):
            counts.append(lifecycle.in_flight)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert counts == [1]
    assert lifecycle.in_flight == 0


def test_the_end_reaches_who_is_there_and_who_comes() -> None:
    lifecycle = Lifecycle()
    ended: list[str] = []
    with lifecycle.exchange(lambda: ended.append("early")):
        lifecycle.start_drain()
        assert ended == []
        lifecycle.end_requests()
        assert ended == ["early"]
        with lifecycle.exchange(lambda: ended.append("late")):
            assert ended == ["early", "late"]
    lifecycle.end_requests()
    assert ended == ["early", "late"]


def test_an_exchange_may_leave_while_others_are_ended() -> None:
    lifecycle = Lifecycle()
    ended: list[str] = []
    first = lifecycle.exchange(nothing)
    second = lifecycle.exchange(lambda: ended.append("second"))
    with second:
        first.__enter__()
        first.__exit__(None, None, None)
        lifecycle.end_requests()
    assert ended == ["second"]


def test_who_retires_refuses_nothing_that_waits_unless_it_is_told_to_drain() -> None:
    told: list[str] = []
    lifecycle = Lifecycle()
    lifecycle.when_draining(lambda: told.append("drain"))
    lifecycle.when_leaving(lambda: told.append("leaving"))
    lifecycle.ready()
    assert not told
    lifecycle.retire()
    lifecycle.leave()
    assert (lifecycle.phase, told) == (Phase.RETIRING, ["leaving"])
    lifecycle.start_drain()
    assert (lifecycle.phase, told) == (Phase.DRAINING, ["leaving", "drain"])
    other = Lifecycle()
    other.ready()
    other.leave()
    assert other.phase is Phase.DRAINING
