from __future__ import annotations

import pytest

from gateway.core.routing.causes import Cause, Skipped, SkipReason, Stop
from gateway.core.routing.deployment import Deployment
from gateway.errors import Overloaded, ProvidersFailed, ProvidersRateLimited, ProvidersTimedOut
from gateway.proxy.attempts.verdict import unavailable, verdict
from gateway.proxy.outcomes import Failed

from ..world import deployment

A, B = deployment("a"), deployment("b")
BUSY = Failed(Cause.SERVER_ERROR, "503 busy", 503)
LIMITED = Failed(Cause.RATE_LIMITED, "429 slow down", 429, retry_after=20.0)
SILENT = Failed(Cause.FIRST_EVENT_TIMEOUT, "no content within 60 s")
OURS = Failed(Cause.LOCAL_SHORTAGE, "could not connect to 10.0.0.7:8000: too many open files")
REFUSED = Failed(Cause.CONNECT_FAILED, "10.0.0.7:8000 refused the connection")


@pytest.mark.parametrize(
    ("stop", "failures", "error", "reason"),
    [
        (Stop.EXHAUSTED, [(A, BUSY)], ProvidersFailed, "providers_failed"),
        (Stop.OUT_OF_TIME, [(A, BUSY)], ProvidersFailed, "providers_failed"),
        (Stop.EXHAUSTED, [(A, SILENT)], ProvidersTimedOut, "first_event_timeout"),
        (Stop.OUT_OF_TIME, [(A, BUSY), (B, SILENT)], ProvidersTimedOut, "first_event_timeout"),
        (Stop.EXHAUSTED, [(A, BUSY), (B, SILENT)], ProvidersFailed, "providers_failed"),
        (Stop.EXHAUSTED, [(A, LIMITED), (B, LIMITED)], ProvidersRateLimited, "providers_failed"),
        (Stop.OUT_OF_TIME, [(A, LIMITED)], ProvidersRateLimited, "providers_failed"),
        (Stop.EXHAUSTED, [(A, LIMITED), (B, BUSY)], ProvidersFailed, "providers_failed"),
        (Stop.EXHAUSTED, [(A, OURS)], Overloaded, "rejected"),
        (Stop.EXHAUSTED, [(A, OURS), (B, BUSY)], Overloaded, "rejected"),
        (Stop.EXHAUSTED, [(A, LIMITED), (B, OURS)], Overloaded, "rejected"),
        (Stop.OUT_OF_TIME, [(A, OURS), (B, SILENT)], Overloaded, "rejected"),
    ],
)
def test_who_is_to_blame(
    stop: Stop, failures: list[tuple[Deployment, Failed]], error: type[Exception], reason: str
) -> None:
    found, ended = verdict(stop, failures)
    assert type(found) is error
    assert ended == reason


def test_the_message_says_each_failure_once_and_no_addresses() -> None:
    error, _ = verdict(Stop.EXHAUSTED, [(A, BUSY), (B, REFUSED), (A, BUSY)])
    assert error.message == (
        f"all providers failed: {A.name}: server_error (503 busy), 2 times; "
        f"{B.name}: connect_failed"
    )


@pytest.mark.parametrize("why", SkipReason)
def test_the_message_says_in_general_words_who_was_not_asked(why: SkipReason) -> None:
    error, _ = verdict(Stop.EXHAUSTED, [(A, BUSY)], [(A, Skipped(why)), (B, Skipped(why))])
    said, _, others = error.message.partition("; not asked: ")
    assert said == f"all providers failed: {A.name}: server_error (503 busy)"
    # One that has failed is no news, and of the other nothing is told but the kind of reason.
    name, _, words = others.partition(": ")
    assert name == B.name
    assert words.replace(" ", "").isalpha()


def test_a_503_says_why_there_is_no_provider() -> None:
    skipped = [(A, Skipped(SkipReason.CIRCUIT_OPEN)), (B, Skipped(SkipReason.BUSY))]
    error = unavailable(Stop.EXHAUSTED, skipped, 10.0, lambda: 0.5)
    assert error.message == (
        "no provider of this model is healthy at the moment "
        f"({A.name}: paused after failures; {B.name}: busy)"
    )


def test_a_shortage_of_ours_is_worth_a_retry_and_tells_no_addresses() -> None:
    error, _ = verdict(Stop.EXHAUSTED, [(A, OURS)], rng=lambda: 0.25)
    assert (error.status, error.code, error.retry_after) == (503, "overloaded", 2.0)
    assert error.should_retry is None
    assert "10.0.0.7" not in error.message


# Nobody was asked, or not everybody...


@pytest.mark.parametrize(
    ("skipped", "status", "code", "wait", "retry"),
    [
        ([Skipped(SkipReason.CIRCUIT_OPEN, 12.5)], 503, "no_healthy_upstream", 2.5, True),
        ([Skipped(SkipReason.CIRCUIT_OPEN, 90.0)], 503, "no_healthy_upstream", 80.0, False),
        ([Skipped(SkipReason.CIRCUIT_OPEN)], 503, "no_healthy_upstream", None, False),
        ([Skipped(SkipReason.CIRCUIT_OPEN, 9.0)], 503, "no_healthy_upstream", 0.0, True),
        (
            [Skipped(SkipReason.CIRCUIT_OPEN, 20.0), Skipped(SkipReason.RATE_LIMITED, 14.0)],
            503,
            "no_healthy_upstream",
            4.0,
            True,
        ),
        (
            [Skipped(SkipReason.RATE_LIMITED, 20.0), Skipped(SkipReason.RATE_LIMITED, 14.0)],
            429,
            "rate_limit_exceeded",
            4.0,
            True,
        ),
        ([Skipped(SkipReason.KEYS_REFUSED, 40.0)], 503, "auth_unavailable", 30.0, True),
        ([Skipped(SkipReason.BUSY, 12.0), Skipped(SkipReason.BUSY)], 503, "overloaded", 2.0, None),
        ([Skipped(SkipReason.BUSY)], 503, "overloaded", 3.0, None),
        (
            [Skipped(SkipReason.OVER_LIMIT, 12.0), Skipped(SkipReason.BUSY)],
            503,
            "overloaded",
            2.0,
            None,
        ),
        ([Skipped(SkipReason.RETRY_BUDGET)], 503, "no_healthy_upstream", None, False),
    ],
)
def test_nobody_was_asked(
    skipped: list[Skipped], status: int, code: str, wait: float | None, retry: bool | None
) -> None:
    error = unavailable(Stop.EXHAUSTED, [(A, each) for each in skipped], 10.0, lambda: 0.5)
    assert (error.status, error.code, error.retry_after) == (status, code, wait)
    assert error.should_retry is retry


def test_there_was_no_time_to_ask_anybody() -> None:
    error = unavailable(Stop.OUT_OF_TIME, [], 10.0, lambda: 0.5)
    assert isinstance(error, ProvidersTimedOut)
    assert (error.status, error.code, error.retry_after) == (504, "upstream_timeout", None)
    # Who was passed over says more than the clock.
    skipped = [(A, Skipped(SkipReason.CIRCUIT_OPEN, 12.5))]
    error = unavailable(Stop.OUT_OF_TIME, skipped, 10.0, lambda: 0.5)
    assert (error.status, error.code, error.retry_after) == (503, "no_healthy_upstream", 2.5)


def test_no_time_was_left_to_ask_anybody() -> None:
    error = unavailable(Stop.OUT_OF_TIME, [], 10.0, lambda: 0.5)
    assert (error.status, error.code, error.should_retry) == (504, "upstream_timeout", False)


def test_one_that_was_passed_over_may_be_the_first_to_be_back() -> None:
    passed = [
        (B, Skipped(SkipReason.RATE_LIMITED, 15.0)),
        (B, Skipped(SkipReason.RATE_LIMITED)),
    ]
    error, _ = verdict(Stop.EXHAUSTED, [(A, LIMITED)], passed, now=10.0)
    assert (error.retry_after, error.should_retry) == (5.0, True)
    # What keeps an open breaker shut is another matter.
    opened = [(B, Skipped(SkipReason.CIRCUIT_OPEN, 15.0))]
    error, _ = verdict(Stop.EXHAUSTED, [(A, LIMITED)], opened, now=10.0)
    assert error.retry_after == 20.0


def test_without_a_retry_budget_no_wait_is_worth_it() -> None:
    spent = [(A, Skipped(SkipReason.RETRY_BUDGET))]
    error, _ = verdict(Stop.EXHAUSTED, [(A, LIMITED)], spent, now=10.0)
    assert (error.status, error.retry_after, error.should_retry) == (429, 20.0, False)
