"""What the caller is told when no provider's answer can be shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from ..core.record import EndReason
from ..core.routing.attempts import Stop
from ..core.routing.causes import Cause
from ..core.routing.deployment import Deployment
from ..errors import ProvidersFailed, ProvidersRateLimited, ProvidersTimedOut, UpstreamError
from .attempt import Failed

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
        Cause.CONNECT_FAILED,
        Cause.CONNECT_TIMEOUT,
        Cause.CONNECTION_LOST,
        Cause.PROTOCOL_VIOLATION,
    }
)


def verdict(
    stop: Stop, failures: Sequence[tuple[Deployment, Failed]]
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
        limited = ProvidersRateLimited(message, retry_after=min(waits, default=None))
        return limited, EndReason.PROVIDERS_FAILED
    return ProvidersFailed(message), EndReason.PROVIDERS_FAILED


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
