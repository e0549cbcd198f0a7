"""What a caller is told when its request fails, by whatever has made it fail."""

from __future__ import annotations

import structlog

from ..core.limits.shedding import come_back
from ..core.routing.backoff import Rng
from ..errors import GatewayError, InternalError, Overloaded, out_of_memory

_log = structlog.get_logger(__name__)


def told(exc: Exception, request_id: str, rng: Rng) -> GatewayError:
    """Return the error to show; the log gets what is our own fault. Called where `exc` is handled.

    A lack of memory is a shortage and no mistake: it is over with some of the requests under way.
    """
    if isinstance(exc, GatewayError):
        return exc
    if out_of_memory(exc):
        _log.error("no memory left for a request", request_id=request_id)
        return Overloaded("the gateway has no memory left for this", retry_after=come_back(rng))
    _log.exception("request failed", request_id=request_id)
    return InternalError("the gateway made a mistake; its log has more")
