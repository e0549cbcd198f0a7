from __future__ import annotations

from typing import Any

from structlog.testing import capture_logs

from gateway.core.routing.breaker.policy import BreakerPolicy
from gateway.core.routing.causes import Cause
from gateway.core.routing.entered import Entered
from gateway.core.routing.health import Sample
from gateway.state.health import LocalHealth
from gateway.state.trouble_log import QUIET

from ..proxy.world import deployment

A = deployment("a")
WELL = Sample(None, 0.1, 0.1)
SICK = Sample(Cause.SERVER_ERROR, 0.1, status=503, error="503 busy")


def half() -> float:
    return 0.5


def events(logs: list[Any]) -> list[str]:
    return [each["event"] for each in logs]


class Deployed:
    def __init__(self, **policy: Any) -> None:
        self.health = LocalHealth(BreakerPolicy(**policy))
        self.target = self.health.target(A)

    def attempt(self, sample: Sample, now: float, *, counts: bool = True) -> None:
        entered = self.health.enter(self.target, A, now)
        assert isinstance(entered, Entered)
        if sample.first_event is not None:
            self.health.answered(entered, now, half)
        self.health.leave(entered, sample, now, half, counts=counts)


def test_the_first_of_a_series_and_its_end_are_logged() -> None:
    it = Deployed(consecutive_failures=50)
    with capture_logs() as logs:
        for now in range(4):
            it.attempt(SICK, now)
        it.attempt(WELL, 5)
        it.attempt(WELL, 6)
    assert [(each["event"], each["deployment"]) for each in logs] == [
        ("deployment fails", "a/real"),
        ("deployment answers again", "a/real"),
    ]
    assert (logs[0]["cause"], logs[0]["status"], logs[0]["error"]) == (
        *("server_error", 503, "503 busy"),
    )
    assert logs[1]["failures"] == 4


def test_one_that_comes_and_goes_does_not_fill_the_log() -> None:
    it = Deployed(enabled=False)
    with capture_logs() as logs:
        for number in range(int(QUIET) * 20):
            it.attempt(SICK, number / 10)
            it.attempt(WELL, number / 10)
    assert events(logs).count("deployment fails") == 2
    assert len(logs) == 4


def test_what_says_nothing_of_a_deployment_is_not_logged() -> None:
    it = Deployed()
    with capture_logs() as logs:
        it.attempt(Sample(Cause.CLIENT_GONE, 1), 1)
        it.attempt(Sample(Cause.REJECTED, 1), 1)
        it.attempt(Sample(Cause.STALE_CONNECTION, 1), 1)
        it.attempt(SICK, 2, counts=False)
        it.attempt(WELL, 3)
    assert logs == []


def test_each_transition_of_a_breaker_is_logged_once() -> None:
    it = Deployed(consecutive_failures=2, open_time=5, successes=2)
    with capture_logs() as logs:
        it.attempt(SICK, 0)
        it.attempt(SICK, 1)
        it.attempt(SICK, 7)
        it.attempt(WELL, 20)
        it.attempt(WELL, 21)
        it.attempt(WELL, 22)
    assert events(logs) == [
        "deployment fails",
        "circuit breaker opened",
        "circuit breaker half-open: one request tests it",
        "circuit breaker opened",
        "circuit breaker half-open: one request tests it",
        "deployment answers again",
        "circuit breaker closed",
    ]
    assert (logs[1]["seconds"], logs[1]["before"]) == (5, "closed")
    assert logs[3]["before"] == "half_open"


def test_a_probe_that_fails_opens_it_as_well() -> None:
    it = Deployed()
    with capture_logs() as logs:
        it.health.probe_failed("a", 1, half)
        it.health.probe_failed("a", 1.5, half)
    assert events(logs) == ["circuit breaker opened"]


def test_what_no_configuration_knows_is_forgotten() -> None:
    it = Deployed()
    with capture_logs():
        it.attempt(SICK, 1)
    it.health.retain(set())
    assert repr(it.health._trouble) == "<TroubleLog, 0 have failed, 0 are paused>"
