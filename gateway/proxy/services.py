"""What every exchange of a process shares."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..config.schema import Config
from ..config.snapshot import Snapshot
from ..core.dialects.keeping import ResponseKeeper
from ..core.limits.prompt_text import TokenCounter
from ..core.objects.kept import ObjectKeeper, ObjectsInMemory
from ..core.routing.backoff import Rng
from ..core.routing.balancing.homes import AnswerHomes
from ..lifecycle import Lifecycle
from .cache.response_cache import ResponseCache
from .capture import CaptureLog
from .in_flight import InFlight
from .protocols import Health, Limits, Recorder, Tracer
from .sessions.sockets import SocketOpener
from .sessions.spending import SessionSpending
from .traffic.control import TrafficControl
from .unserved import UnservedRequests


@dataclass(frozen=True)
class Services:
    """The parts; `configure` is called with each configuration, the first and every reload's."""

    upstream: SocketOpener
    limits: Limits
    health: Health
    traffic: TrafficControl
    cache: ResponseCache
    recorder: Recorder
    lifecycle: Lifecycle
    rng: Rng
    # None: no spans are wanted, and no debug log.
    tracer: Tracer | None = None
    captures: CaptureLog | None = None
    in_flight: InFlight = field(default_factory=InFlight)
    unserved: UnservedRequests = field(default_factory=UnservedRequests)
    homes: AnswerHomes = field(default_factory=AnswerHomes)
    objects: ObjectKeeper = field(default_factory=ObjectsInMemory)
    sessions: SessionSpending = field(default_factory=SessionSpending)
    # Where the gateway keeps responses itself. None: without a database it keeps none.
    responses: ResponseKeeper | None = None
    # Counts tokens where no provider does. None: the extra is not installed.
    tokens: TokenCounter | None = None
    # What calls of this gateway are known by, should they come back to it.
    instance: bytes = b""

    def configure(self, config: Config, snapshot: Snapshot) -> None:
        """Let everything that outlives a reload follow `config`, of which `snapshot` was taken."""
        self.health.configure(config.breaker, config.retry)
        self.health.retain(
            {target for model in snapshot.models.everything() for target in model.targets}
            | {each.target for each in snapshot.direct.made}
        )
        self.traffic.configure(config.limits, config.overload, config.providers)
        self.traffic.bodies.configure(config)
        self.cache.store.adopt(config.cache)
        if self.responses is not None:
            self.responses.configure(config.responses)
        if self.captures is not None:
            self.captures.configure(config.debug_log)

    async def forget_limits(self, snapshot: Snapshot) -> None:
        """Forget what was used of limits that `snapshot`, the one in use now, has no more."""
        scopes = {scope.key for caller in snapshot.callers.values() for scope in caller.scopes}
        scopes |= {scope.key for scope in snapshot.anyone.scopes}
        scopes |= {scope.key for scope in snapshot.provider_scopes.values()}
        await self.limits.retain(scopes)
