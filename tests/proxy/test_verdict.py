from __future__ import annotations

import pytest

from gateway.core.routing.attempts import Stop
from gateway.core.routing.causes import Cause
from gateway.core.routing.deployment import Deployment
from gateway.errors import ProvidersFailed, ProvidersRateLimited, ProvidersTimedOut
from gateway.proxy.attempt import Failed
from gateway.proxy.verdict import verdict

from .world import deployment

A, B = deployment("a"), deployment("b")
BUSY = Failed(Cause.SERVER_ERROR, "503 busy", 503)
LIMITED = Failed(Cause.RATE_LIMITED, "429 slow down", 429, retry_after=20.0)
SILENT = Failed(Cause.FIRST_EVENT_TIMEOUT, "no content within 60 s")
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
