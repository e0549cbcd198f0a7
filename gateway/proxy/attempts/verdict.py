"""What the caller is told when no provider's answer can be shown."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Final

from ...core.limits.shedding import come_back
from ...core.records.record import EndReason
from ...core.routing.backoff import Rng
from ...core.routing.causes import UNABLE, Cause, Skipped, SkipReason, Stop
from ...core.routing.deployment import Deployment
from ...errors import (
    GatewayError,
    Overloaded,
    ProvidersFailed,
    ProvidersRateLimited,
    ProvidersTimedOut,
    ProvidersUnavailable,
)
from ..outcomes import Failed

_TIMEOUTS: Final = {
    Cause.CONNECT_TIMEOUT: EndReason.CONNECT_TIMEOUT,
    Cause.FIRST_EVENT_TIMEOUT: EndReason.FIRST_EVENT_TIMEOUT,
    Cause.IDLE_TIMEOUT: EndReason.IDLE_TIMEOUT,
    Cause.TOTAL_TIMEOUT: EndReason.TOTAL_TIMEOUT,
}
# What only concerns the operator: addresses, and what a provider says about our key.
_INTERNAL: Final = frozenset(
    {
        Cause.AUTH_FAILED,
        Cause.ACCOUNT_REFUSED,
        Cause.CONNECT_FAILED,
        Cause.CERTIFICATE_REFUSED,
        Cause.CONNECT_TIMEOUT,
        Cause.LOCAL_SHORTAGE,
        Cause.CONNECTION_LOST,
        Cause.STALE_CONNECTION,
        Cause.STALE_CREDENTIAL,
        Cause.PROTOCOL_VIOLATION,
    }
)


# General words: how the gateway stands with its providers is for the operator.
_WORDS: Final = {
    SkipReason.CIRCUIT_OPEN: "paused after failures",
    SkipReason.RATE_LIMITED: "rate limited",
    SkipReason.KEYS_REFUSED: "not available",
    SkipReason.BUSY: "busy",
    SkipReason.OVER_LIMIT: "at its limit",
    SkipReason.RETRY_BUDGET: "retried too often",
    SkipReason.DRAINED: "taken out by an operator",
    SkipReason.CANNOT_SERVE: "cannot serve this request",
    SkipReason.NO_IMAGES: "takes no images",
    SkipReason.NO_DOCUMENTS: "takes no documents",
    SkipReason.NO_AUDIO: "takes no audio",
    SkipReason.NO_TOOLS: "has no tools",
    SkipReason.NO_PARALLEL_TOOLS: "has no parallel tool calls",
    SkipReason.NO_STRUCTURED_OUTPUT: "has no structured output",
    SkipReason.NO_THINKING: "does not think",
    SkipReason.NO_STREAMING: "does not stream",
    SkipReason.CONTEXT_TOO_SMALL: "the prompt is too long for it",
    SkipReason.ANSWER_TOO_LONG: "the answer is too long for it",
    SkipReason.BODY_TOO_LARGE: "takes no request of that many bytes",
}

# A deployment that was gone past, and why.
GonePast = tuple[Deployment, Skipped]


def verdict(
    stop: Stop,
    failures: Sequence[tuple[Deployment, Failed]],
    skipped: Sequence[GonePast] = (),
    now: float = 0.0,
    rng: Rng = random.random,
) -> tuple[GatewayError, EndReason]:
    """Return the error that sums up `failures`, and how the request ended by it.

    503 and a time to come back if one could not be asked for want of something of our own;
    504 if the last to fail ran out of time, or if nothing else ever happened; 429 if every
    provider said so, since a wait cures that; 502 for everything else.
    """
    last = failures[-1][1].cause
    causes = {failed.cause for _, failed in failures}
    if Cause.LOCAL_SHORTAGE in causes:
        message = "the gateway can open no further connection; try again in a moment"
        return Overloaded(message, retry_after=come_back(rng)), EndReason.REJECTED
    message = f"all providers failed: {_list(failures)}{_not_asked(skipped, failures)}"
    if last in _TIMEOUTS and (stop is Stop.OUT_OF_TIME or causes <= _TIMEOUTS.keys()):
        return ProvidersTimedOut(message), _TIMEOUTS[last]
    if causes == {Cause.RATE_LIMITED}:
        waits = [failed.retry_after for _, failed in failures if failed.retry_after]
        # One that was passed over, since it is limited as well, may be the first to be back.
        waits += [
            each.until - now
            for _, each in skipped
            if each.why is SkipReason.RATE_LIMITED and each.until
        ]
        limited = ProvidersRateLimited(message, retry_after=min(waits, default=None))
        if any(each.why is SkipReason.RETRY_BUDGET for _, each in skipped):
            limited.worth_a_retry = False
        return limited, EndReason.PROVIDERS_FAILED
    return ProvidersFailed(message), EndReason.PROVIDERS_FAILED


def unavailable(stop: Stop, skipped: Sequence[GonePast], now: float, rng: Rng) -> GatewayError:
    """Return the error for a request that no deployment was asked for, and when to come back."""
    if stop is Stop.OUT_OF_TIME and not skipped:
        return ProvidersTimedOut("the time was up before a provider could be asked")
    times = [each.until for _, each in skipped if each.until is not None]
    wait = max(0.0, min(times) - now) if times else None
    # What a request does not fit has no part in when it may come back.
    reasons = {each.why for _, each in skipped} - UNABLE
    if reasons == {SkipReason.RATE_LIMITED}:
        return ProvidersRateLimited("all providers are rate limited", retry_after=wait)
    if reasons == {SkipReason.KEYS_REFUSED}:
        message = "the gateway has no key that a provider of this model takes"
        return ProvidersUnavailable(message, code="auth_unavailable", retry_after=wait)
    if reasons and reasons <= {SkipReason.BUSY, SkipReason.OVER_LIMIT}:
        message = "the providers of this model have as much to do as they may"
        return Overloaded(message, retry_after=wait if wait else 1.0 + 4.0 * rng())
    message = f"no provider of this model is healthy at the moment{_not_asked(skipped, ())}"
    return ProvidersUnavailable(message, retry_after=wait)


def _not_asked(skipped: Sequence[GonePast], failures: Sequence[tuple[Deployment, Failed]]) -> str:
    """Return who was gone past, without those that have failed before."""
    failed = {deployment.name for deployment, _ in failures}
    others = [
        f"{deployment.name}: {_WORDS[each.why]}"
        for deployment, each in skipped
        if deployment.name not in failed
    ]
    if not others:
        return ""
    return f"; not asked: {'; '.join(others)}" if failures else f" ({'; '.join(others)})"


def _list(failures: Sequence[tuple[Deployment, Failed]]) -> str:
    """Return the failures in a line, repeated ones once."""
    counts = Counter(_describe(deployment, failed) for deployment, failed in failures)
    return "; ".join(
        said if count == 1 else f"{said}, {count} times" for said, count in counts.items()
    )


def _describe(deployment: Deployment, failed: Failed) -> str:
    if failed.told:
        return f"{deployment.name}: {failed.cause.value} ({failed.told})"
    if failed.cause in _INTERNAL:
        return f"{deployment.name}: {failed.cause.value}"
    return f"{deployment.name}: {failed.cause.value} ({failed.message})"
