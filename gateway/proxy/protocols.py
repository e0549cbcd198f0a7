"""What the proxy needs of the edges, so that it knows no ASGI, no HTTP library and no store."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from ..core.limits.ledger import Demand, Grant, LimitRefusal, LimitStatus, Scope
from ..core.records.record import Record
from ..core.records.traceparent import Trace
from ..core.routing.attempts import RetryPolicy
from ..core.routing.backoff import Rng
from ..core.routing.breaker import BreakerPolicy, Permit
from ..core.routing.call import Call
from ..core.routing.health import Sample
from ..core.routing.target import Target
from ..errors import GatewayError

HeaderPairs = Sequence[tuple[bytes, bytes]]


class UpstreamResponse(Protocol):
    """A provider's answer whose head has arrived. The caller owns it and must `aclose` it."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> HeaderPairs:
        """Name and value pairs as received, names in lower case."""
        ...

    async def receive_some(self) -> bytes:
        """Return some of the body, or b"" once it has ended as it should.

        Raises `ConnectionLost` when it ends early and `ProtocolViolation` when its framing
        is wrong. Cancelled in between, only `aclose` is left to do.
        """
        ...

    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end, close it otherwise.

        Idempotent, and prompt even in a cancelled scope.
        """
        ...


class Upstream(Protocol):
    """Makes calls to providers."""

    async def request(self, call: Call) -> UpstreamResponse:
        """Send `call` and return its answer once the head has arrived.

        Has no deadline of its own but `call.connect_timeout`: the caller brings a cancel scope.
        Raises `UpstreamFailure`.
        """
        ...


class Client(Protocol):
    """The caller's side of one request.

    Writing raises `SendStalled` when the caller reads nothing any more. That the caller has
    left is no failure of a write: it is what `wait_gone` returns for.
    """

    @property
    def status(self) -> int | None:
        """Return the status that was sent, which commits the answer; None before."""
        ...

    async def read_body(self, limit: int, seconds: float) -> bytes:
        """Return the request's body. Raises BodyTooLarge, BodyTimeout, ClientGone."""
        ...

    async def wait_gone(self) -> None:
        """Return when the caller has left, but not because the answer is complete."""
        ...

    async def begin(self, status: int, headers: HeaderPairs) -> None:
        """Send the head of an answer."""
        ...

    async def send(self, data: bytes) -> None:
        """Send a piece of the answer."""
        ...

    async def keep_alive(self, data: bytes) -> None:
        """Send `data`, which means nothing, to show that the answer goes on."""
        ...

    async def finish(self, data: bytes) -> None:
        """Send the last piece; the answer is complete."""
        ...

    async def reply(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        """Send a whole answer of known length."""
        ...

    async def refuse(self, error: GatewayError) -> None:
        """Answer with `error` in the caller's dialect; nothing has been sent before."""
        ...


class Recorder(Protocol):
    """Takes records. Must neither wait nor fail: a full disk is not the caller's problem."""

    def record(self, record: Record, trace: Trace | None) -> None:
        """Take what is known of a request that has ended. `trace` is None if nobody traces."""
        ...


class Tracer(Protocol):
    """Gives requests their place in a trace."""

    def begin(self, pairs: HeaderPairs) -> Trace:
        """Return the trace of a request with these headers, whose names are in lower case."""
        ...

    def span_id(self) -> str:
        """Draw the id of an attempt's span."""
        ...


class State(Protocol):
    """What is short-lived and shared: limits, breakers, health. Perhaps with other processes.

    What a request needs leave for is awaited, since a shared store has to be asked. What is
    only reported is not: it must neither wait nor fail, and a shared store queues it. A
    `Target` is what this process knows of a deployment; a shared store keeps it up to date.
    Times are Trio's seconds, `epoch` is Unix time.
    """

    @property
    def targets(self) -> Iterable[Target]:
        """Return all that is known of deployments, to look at."""
        ...

    async def admit(
        self, scopes: Sequence[Scope], demand: Demand, now: float, epoch: float
    ) -> Grant | LimitRefusal:
        """Check all limits of `scopes` in one step and reserve `demand`, or charge nothing."""
        ...

    def recall(self, scope: Scope, spent: int, epoch: float) -> None:
        """Take note that `spent` nano-dollars of a budget's window are on record already."""
        ...

    def release(self, grant: Grant) -> None:
        """End the lease, though what was used is not known yet. Idempotent."""
        ...

    def settle(self, grant: Grant, tokens: int, cost: int, now: float, epoch: float) -> None:
        """Replace the reserve by what was used, and end the lease. Idempotent."""
        ...

    def void(self, grant: Grant, now: float, epoch: float) -> None:
        """Take the grant back as if it had never been. Idempotent."""
        ...

    def standing(self, scope: Scope, now: float) -> LimitStatus:
        """Return what is left in `scope`; charges nothing."""
        ...

    async def enter(self, target: Target, now: float) -> Permit | None:
        """Begin an attempt on `target`; None if its breaker refuses it."""
        ...

    def prove(self, target: Target, now: float, rng: Rng) -> None:
        """Say that an attempt let through as a probe has been answered; it goes on as others."""
        ...

    def leave(
        self,
        target: Target,
        permit: Permit,
        sample: Sample,
        now: float,
        rng: Rng,
        *,
        retry_after: float | None = None,
        pool: Sequence[Target] = (),
        counts: bool = True,
    ) -> None:
        """End it, with what it has shown. `pool` are all the targets it was chosen from."""
        ...

    def configure(self, breaker: BreakerPolicy, retry: RetryPolicy) -> None:
        """Take new policies; what has been learned stays."""
        ...

    def retain(self, targets: Collection[Target], scopes: Collection[str]) -> None:
        """Forget all but these: no configuration knows the others any more."""
        ...
