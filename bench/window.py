"""What one load run is, and what it counted: the structs that pass between the processes."""

from __future__ import annotations

import msgspec


class Plan(msgspec.Struct, frozen=True):
    """One load run, complete: read by the load client as JSON from its standard input.

    `request` is the text of the whole HTTP request. The run starts its connections over `ramp`
    seconds, waits `warm_up` more, then counts for `seconds` or until `requests` are answered (0:
    no such limit).
    """

    port: int
    request: str
    model: str
    connections: int
    events: int
    ramp: float
    warm_up: float
    seconds: float
    requests: int = 0


class Spread(msgspec.Struct, frozen=True):
    """A distribution in microseconds."""

    p50: float
    p99: float

    @classmethod
    def of(cls, nanoseconds: list[int]) -> Spread | None:
        """Return the spread of some durations, None if there are none."""
        if not nanoseconds:
            return None
        ordered = sorted(nanoseconds)
        last = len(ordered) - 1
        return cls(ordered[last // 2] / 1e3, ordered[round(last * 0.99)] / 1e3)


class Counted(msgspec.Struct, frozen=True):
    """What happened inside the counted window; errors also before it.

    `first` is from a request's sending to its first event (or whole answer, not streamed),
    `delay` from the provider's sending of an event to its arrival, `whole` to the answer's end.
    A `reconnect` is a kept-alive connection that the server closed between two requests: allowed.
    """

    seconds: float
    requests: int
    events: int
    errors: dict[str, int]
    reconnects: int
    first: Spread | None
    delay: Spread | None
    whole: Spread | None


class Tally:
    """Collects what becomes `Counted`."""

    def __init__(self) -> None:
        self.counting = False
        self.requests = 0
        self.events = 0
        self.reconnects = 0
        self.errors: dict[str, int] = {}
        self.first: list[int] = []
        self.delay: list[int] = []
        self.whole: list[int] = []

    def error(self, what: str) -> None:
        self.errors[what] = self.errors.get(what, 0) + 1

    def counted(self, seconds: float) -> Counted:
        return Counted(
            seconds=seconds,
            requests=self.requests,
            events=self.events,
            errors=self.errors,
            reconnects=self.reconnects,
            first=Spread.of(self.first),
            delay=Spread.of(self.delay),
            whole=Spread.of(self.whole),
        )
