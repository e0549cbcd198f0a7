"""What the caller is told when no provider's answer can be shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from ...core.records.record import EndReason
from ...core.routing.attempts import Stop
from ...core.routing.backoff import Rng
from ...core.routing.causes import Cause
from ...core.routing.deployment import Deployment
from ...core.routing.target import Skipped, SkipReason
from ...errors import (
    GatewayError,
    Overloaded,
    ProvidersFailed,
    ProvidersRateLimited,
    ProvidersTimedOut,
    ProvidersUnavailable,
    UpstreamError,
)
from ..outcomes import Failed

_TIMEOUTS: Final = {
    Cause.CONNECT_TIMEOUT: EndReason.CONNECT_TIMEOUT,
    Cause.FIRST_EVENT_TIMEOUT: EndReason.FIRST_EVENT_TIMEOUT,
    Cause.IDLE_TIMEOUT: EndReason.IDLE_TIMEOUT,
    Cause.TOTAL_TIMEOUT: EndReason.TOTAL_TIMEOUT,
}
# A refusal of the request itself is shown as it came.
RELAYED: Final = frozenset({Cause.REJECTED, Cause.CONTEXT_LENGTH, Cause.CONTENT_POLICY})
# What only concerns the operator: addresses, and what a provider says about our key.
_INTERNAL: Final = frozenset(
    {
        Cause.AUTH_FAILED,
        Cause.CONNECT_FAILED,
        Cause.CERTIFICATE_REFUSED,
        Cause.CONNECT_TIMEOUT,
        Cause.CONNECTION_LOST,
        Cause.PROTOCOL_VIOLATION,
    }
)


def verdict(
    stop: Stop,
    failures: Sequence[tuple[Deployment, Failed]],
    skipped: Sequence[Skipped] = (),
    now: float = 0.0,
) -> tuple[UpstreamError, EndReason]:
    """Return the error that sums up `failures`, and how the request ended by it.

    504 if the last to fail ran out of time, or if nothing else ever happened; 429 if every
    provider said so, since a wait cures that; 502 for everything else.
    """
    last = failures[-1][1].cause
    causes = {failed.cause for _, failed in failures}
    message = f"all providers failed: {_list(failures)}"
    if last in _TIMEOUTS and (stop is Stop.OUT_OF_TIME or causes <= _TIMEOUTS.keys()):
        return ProvidersTimedOut(message), _TIMEOUTS[last]
    if causes == {Cause.RATE_LIMITED}:
        waits = [failed.retry_after for _, failed in failures if failed.retry_after]
        # One that was passed over, since it is limited as well, may be the first to be back.
        waits += [
            each.until - now
            for each in skipped
            if each.why is SkipReason.RATE_LIMITED and each.until
        ]
        limited = ProvidersRateLimited(message, retry_after=min(waits, default=None))
        if any(each.why is SkipReason.RETRY_BUDGET for each in skipped):
            limited.worth_a_retry = False
        return limited, EndReason.PROVIDERS_FAILED
    return ProvidersFailed(message), EndReason.PROVIDERS_FAILED


def unavailable(stop: Stop, skipped: Sequence[Skipped], now: float, rng: Rng) -> GatewayError:
    """Return the error for a request that no deployment was asked for, and when to come back."""
    if stop is Stop.OUT_OF_TIME and not skipped:
        return ProvidersTimedOut("the time was up before a provider could be asked")
    times = [each.until for each in skipped if each.until is not None]
    wait = max(0.0, min(times) - now) if times else None
    reasons = {each.why for each in skipped}
    if reasons == {SkipReason.RATE_LIMITED}:
        return ProvidersRateLimited("all providers are rate limited", retry_after=wait)
    if reasons == {SkipReason.KEYS_REFUSED}:
        message = "the gateway has no key that a provider of this model takes"
        return ProvidersUnavailable(message, code="auth_unavailable", retry_after=wait)
    if reasons == {SkipReason.BUSY}:
        message = "the providers of this model have as much to do as they may"
        return Overloaded(message, retry_after=wait if wait else 1.0 + 4.0 * rng())
    message = "no provider of this model is healthy at the moment"
    return ProvidersUnavailable(message, retry_after=wait)


def _list(failures: Sequence[tuple[Deployment, Failed]]) -> str:
    """Return the failures in a line, repeated ones once."""
    counts = Counter(_describe(deployment, failed) for deployment, failed in failures)
    return "; ".join(
        said if count == 1 else f"{said}, {count} times" for said, count in counts.items()
    )


def _describe(deployment: Deployment, failed: Failed) -> str:
    if failed.cause in _INTERNAL:
        return f"{deployment.name}: {failed.cause.value}"
    return f"{deployment.name}: {failed.cause.value} ({failed.message})"
