"""What the proxy needs of the edges, so that it knows no ASGI, no HTTP library and no store."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Protocol, TypeAlias

from ..core.limits.ledger import Demand, LimitRefusal, LimitStatus, Scope
from ..core.records.record import Record
from ..core.records.traceparent import Trace
from ..core.routing.attempts import RetryPolicy
from ..core.routing.backoff import Rng
from ..core.routing.blame.source import Source
from ..core.routing.breaker.policy import BreakerPolicy
from ..core.routing.call import Call
from ..core.routing.causes import Skipped
from ..core.routing.deployment import Deployment
from ..core.routing.entered import Entered
from ..core.routing.health import DeploymentStatus, Sample
from ..core.routing.target import Target
from ..errors import GatewayError

HeaderPairs = Sequence[tuple[bytes, bytes]]
Pool = Sequence[Target]  # all that one request could be sent to
Spent = Iterable[tuple[Scope, int]]  # nano-dollars
# What `Limits` has admitted a request with. Each implementation has its own kind.
OpaqueGrant: TypeAlias = object


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

    Writing raises `SendStalled` when the caller reads nothing any more; not when it has left, for
    which `wait_gone` returns.
    """

    @property
    def status(self) -> int | None:
        """Return the status that was sent, which commits the answer; None before."""
        ...

    @property
    def sealed(self) -> bool:
        """Say whether the last write has begun, so that nothing can be said behind it."""
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
        """Take what is known of a request that has ended. `trace` is None without tracing."""
        ...


class Tracer(Protocol):
    """Gives requests their place in a trace."""

    def begin(self, pairs: HeaderPairs) -> Trace:
        """Return the trace of a request with these headers, whose names are in lower case."""
        ...

    def span_id(self) -> str:
        """Draw the id of an attempt's span."""
        ...


class Limits(Protocol):
    """Rates, concurrency and budgets of scopes. They may be shared with other processes.

    A shared store has to be asked, and goes by its server's clock. The implementation bounds its
    waits, and decides by itself while its store cannot be reached.

    A grant is opaque: what `admit` has returned is only given back to its `Limits`. `settle` and
    `void` end it. Each method does nothing for a grant that has ended, so a call may be repeated.
    """

    @property
    def waits(self) -> bool:
        """Say whether the end of a request may wait here. If not, it needs no shield."""
        ...

    async def admit(
        self, scopes: Sequence[Scope], demand: Demand, expires_in: float = math.inf
    ) -> OpaqueGrant | LimitRefusal:
        """Check all limits of `scopes` in one step and reserve `demand`, or charge nothing.

        A grant that is not renewed for `expires_in` seconds expires: it no longer counts against
        `max_concurrent`, and the cost that it reserved is given back. Its requests and tokens
        stay charged. It may still be settled. Cancelled, the call may leave a grant behind.
        """
        ...

    async def release(self, grant: OpaqueGrant) -> None:
        """End the lease: it no longer counts against `max_concurrent`. Its reserve stays."""
        ...

    async def settle(self, grant: OpaqueGrant, tokens: int, cost: int) -> None:
        """Replace the reserve by the tokens and nano-dollars used, and end the grant."""
        ...

    async def void(self, grant: OpaqueGrant) -> None:
        """Take the grant back as if it had never been."""
        ...

    async def renew(self, grants: Sequence[OpaqueGrant], expires_in: float) -> None:
        """Let `grants` expire so many seconds from now, unless they have ended or expired."""
        ...

    async def status(
        self, scopes: Sequence[Scope], *, exact: bool = False
    ) -> Sequence[LimitStatus]:
        """Return what is left of `scopes`, as last heard or `exact`, for which it may wait."""
        ...

    async def recall(self, spent: Spent, epoch: float, *, lags: bool = False) -> None:
        """Take note of what is on record as `spent` at `epoch`; `lags`: more is, not there yet."""
        ...

    async def retain(self, scopes: Collection[str]) -> None:
        """Forget all but these, by their keys, once nothing is under way in them. Never fails."""
        ...


class Health(Protocol):
    """What this process has learned of deployments: breakers, keys, retry budgets, latencies.

    Local, and so never awaited. Times are Trio's seconds.
    """

    def check(
        self, target: Target, now: float, source: Source | None = None, *, pool: Pool = ()
    ) -> Skipped | None:
        """Return why an attempt would not be let through; for before a wait. Counts as rejected.

        `source` is the caller and the body that it would be made for, `pool` what its request
        could be sent to: where there is nothing else, an open breaker is only a throttle.
        """
        ...

    def unavailable(
        self, target: Target, now: float, source: Source | None = None
    ) -> Skipped | None:
        """Return the same where no attempt is asked for; that counts as nothing."""
        ...

    def enter(
        self,
        target: Target,
        deployment: Deployment,
        now: float,
        *,
        later: bool = False,
        hedge: bool = False,
        source: Source | None = None,
        pool: Pool = (),
    ) -> Entered | Skipped:
        """Begin an attempt, with one of the deployment's keys, or say what is in the way.

        `later` says that it is not its request's first attempt, so that the retry budget must
        allow it; a first one adds to the budget. `hedge` says that another attempt is under way:
        it may not go beyond the budget. `pool` is as in `check`. What was entered must `leave`.
        """
        ...

    def answered(self, entered: Entered, now: float, rng: Rng) -> None:
        """Take note of an attempt's first event. One let through as a probe is none any more."""
        ...

    def leave(
        self,
        entered: Entered,
        sample: Sample,
        now: float,
        rng: Rng,
        *,
        pool: Pool = (),
        counts: bool = True,
    ) -> None:
        """End an attempt, with what it has shown of deployment and key.

        `pool` are all the targets that it was chosen from. Without `counts` it shows nothing:
        the gateway was slow itself.
        """
        ...

    def abandoned(self, entered: Entered, seconds: float, *, whole: bool) -> bool:
        """Say whether `seconds` without a first event are longer than usual for the deployment.

        `whole` says that a whole answer was asked for, and no stream.
        """
        ...

    def has_another_key(self, entered: Entered, now: float) -> bool:
        """Say whether it has a usable key beside the attempt's, not refused to the same body."""
        ...

    def key_refused(self, entered: Entered) -> bool:
        """Say whether the attempt's key is known as one that the provider does not take."""
        ...

    def keys_rest(self, entered: Entered, now: float) -> float | None:
        """Return for how many seconds no key of the deployment can be used; None if one can."""
        ...

    def usual_first_event(self, target: Target) -> float | None:
        """Return the 95th percentile of seconds to the first event; None with too few samples."""
        ...

    def probe_succeeded(self, provider: str, now: float) -> None:
        """Let open breakers of the provider's deployments try their next request at once."""
        ...

    def probe_failed(self, provider: str, now: float, rng: Rng) -> None:
        """Open the breakers of all the provider's deployments."""
        ...

    def status(self, now: float) -> Sequence[DeploymentStatus]:
        """Return what reports and metrics show of each deployment."""
        ...

    def configure(self, breaker: BreakerPolicy, retry: RetryPolicy) -> None:
        """Take new policies; what has been learned stays."""
        ...

    def retain(self, targets: Collection[Target]) -> None:
        """Forget all but these: no configuration knows the others any more."""
        ...
