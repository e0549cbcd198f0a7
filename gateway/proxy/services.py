"""What every exchange of a process shares."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..config.schema import Config
from ..config.snapshot import Snapshot
from ..core.routing.backoff import Rng
from ..lifecycle import Lifecycle
from .cache.response_cache import ResponseCache
from .capture import CaptureLog
from .in_flight import InFlight
from .protocols import Recorder, State, Tracer, Upstream
from .traffic.control import TrafficControl


@dataclass(frozen=True)
class Services:
    """The parts; `configure` is called with each configuration, the first and every reload's."""

    upstream: Upstream
    state: State
    traffic: TrafficControl
    cache: ResponseCache
    recorder: Recorder
    lifecycle: Lifecycle
    rng: Rng
    # None: nobody wants spans, and nobody wants any request whole.
    tracer: Tracer | None = None
    captures: CaptureLog | None = None
    in_flight: InFlight = field(default_factory=InFlight)

    def configure(self, config: Config, snapshot: Snapshot) -> None:
        """Let everything that outlives a reload follow `config`, of which `snapshot` was taken."""
        self.state.configure(config.breaker, config.retry)
        targets = {target for model in snapshot.models.everything() for target in model.targets}
        scopes = {scope.key for caller in snapshot.callers.values() for scope in caller.scopes}
        scopes |= {scope.key for scope in snapshot.anyone.scopes}
        scopes |= {scope.key for scope in snapshot.provider_scopes.values()}
        self.state.retain(targets, scopes)
        self.traffic.configure(config.limits, config.overload, config.providers)
        self.cache.store.adopt(config.cache)
        if self.captures is not None:
            self.captures.configure(config.debug_log)
