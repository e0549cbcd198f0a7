"""A request that can go to one deployment alone, and so makes one attempt."""

from __future__ import annotations

from typing import Final

import msgspec
import trio

from ...core.routing.call import Call
from ...core.routing.causes import Cause, Skipped, Stop
from ...core.routing.deployment import Credential, Deployment
from ...core.routing.timeouts import deadline
from ...providers.direct import DirectProvider
from ..attempts.answer_headers import refusal_headers
from ..attempts.verdict import unavailable, verdict
from ..exchange import Exchange
from ..outcomes import BY_CAUSE, Failed
from .attempt import OURS, AttemptTerms, Passage, PassedCall
from .headers import to_provider

# To a caller it would say that its own key is wrong.
_OUR_KEY: Final = 401


async def pass_on(exchange: Exchange, passed: PassedCall, until: float) -> None:
    """Make the call and answer the caller, by `until` in Trio's time.

    Raises a GatewayError where no answer is to be shown, and SendStalled.
    """
    exchange.routed = True
    deployment, pool = passed.deployment, (passed.target,)
    until = min(deadline(exchange.started, deployment.timeouts.total), until)
    outcome = await Passage(exchange, passed, AttemptTerms(until, pool)).run()
    if isinstance(outcome, Skipped):
        exchange.settlement.skip(deployment, outcome.why.value)
        now, rng = trio.current_time(), exchange.services.rng
        raise unavailable(Stop.EXHAUSTED, [(deployment, outcome)], now, rng)
    if isinstance(outcome, Failed):
        await _show(exchange, passed, outcome)


async def _show(exchange: Exchange, passed: PassedCall, failed: Failed) -> None:
    """Answer with a provider's refusal as it came, or raise what sums up the failure."""
    deployment = passed.deployment
    if failed.cause in BY_CAUSE:
        raise exchange.stopped()
    if failed.status == _OUR_KEY:
        failed = msgspec.structs.replace(failed, cause=Cause.AUTH_FAILED)
    if failed.answer is not None and failed.cause not in OURS:
        headers = refusal_headers(deployment, failed, limited=exchange.caller.limited)
        await passed.body.stop()
        await exchange.relay_rejection(deployment, failed.answer, failed.message, headers)
        return
    timed_out = failed.cause is Cause.TOTAL_TIMEOUT
    stop = Stop.OUT_OF_TIME if timed_out else Stop.EXHAUSTED
    error, reason = verdict(stop, [(deployment, failed)])
    exchange.settlement.end(reason, error.message)
    raise error


def direct_call(
    exchange: Exchange,
    direct: DirectProvider,
    deployment: Deployment,
    credential: Credential,
    method: str,
    target: bytes,
) -> Call:
    """Describe the call to `target` of a provider; its body is still on its way."""
    own = (*credential.plain_headers, *deployment.forwarded(exchange.headers))
    return Call(
        origin=deployment.origin,
        method=method.encode("ascii"),
        target=target,
        headers=(
            *to_provider(exchange.headers, own, direct.headers),
            (b"x-client-request-id", exchange.request_id),
        ),
        body=b"",
        connect_timeout=deployment.timeouts.connect,
        unlike=True,
    )
