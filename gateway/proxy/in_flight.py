"""The exchanges under way in one process, so that they can be looked at.

An exchange is in this list from its first byte until it is settled. Nothing is written here on
the way: what an exchange is doing is read from it when the list is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final, Protocol

import msgspec

from ..core.dialects.base import StreamRewriter
from ..core.records.record import Record

_MICRO: Final = 1_000_000


class ObservableExchange(Protocol):
    """What of an `Exchange` is shown. `started` is in Trio's seconds."""

    @property
    def started(self) -> float: ...

    @property
    def record(self) -> Record: ...

    def cancel(self) -> None:
        """Stop it for an operator; its caller is told."""
        ...

    @property
    def rewriter(self) -> StreamRewriter | None:
        """Return the rewriter of the stream that is being relayed; None before one."""
        ...

    @property
    def shared(self) -> bool:
        """Say whether this is a call that several callers wait for, and no caller itself."""
        ...


class InFlightRow(msgspec.Struct, frozen=True):
    """One exchange under way. What is not known yet is None.

    `token` is the caller's name, and `provider` and `provider_model` are the deployment that is
    asked now: None before the first attempt, and while the exchange waits for the next one.
    `attempts` counts those that have begun, `events` what the stream has brought so far. A call
    that several callers `shared` has the token and the request id of the first of them. `started`
    is microseconds.
    """

    request_id: str
    token: str | None
    client_ip: str | None
    model: str | None
    stream: bool
    provider: str | None
    provider_model: str | None
    attempts: int
    events: int
    age_s: float
    shared: bool
    started: int


class InFlight:
    """Exchanges in the order in which they came."""

    def __init__(self) -> None:
        # A dict keeps the order, which a set does not.
        self._exchanges: dict[ObservableExchange, None] = {}

    def __repr__(self) -> str:
        return f"<InFlight {len(self)} exchanges>"

    def __len__(self) -> int:
        return len(self._exchanges)

    def enter(self, exchange: ObservableExchange) -> None:
        self._exchanges[exchange] = None

    def leave(self, exchange: ObservableExchange) -> None:
        """Forget an exchange. Idempotent."""
        self._exchanges.pop(exchange, None)

    def cancel(self, request_id: str) -> list[Record]:
        """Stop the callers' requests of that id, and return what is known of them.

        A call that several wait for ends when the last of them has left.
        """
        found = [
            each
            for each in self._exchanges
            if not each.shared and each.record.request_id == request_id
        ]
        for exchange in found:
            exchange.cancel()
        return [exchange.record for exchange in found]

    def rows(
        self, now: float, limit: int, after: tuple[int, str] | None = None
    ) -> Iterator[InFlightRow]:
        """Yield the `limit` oldest as they are at `now`, in Trio's seconds, oldest first.

        With `after` of those that come after the one that started then and has that id.
        """
        wanted = (each for each in self._exchanges if after is None or _place(each) > after)
        for exchange in islice(wanted, limit):
            yield _row(exchange, now)


def _row(exchange: ObservableExchange, now: float) -> InFlightRow:
    record, rewriter = exchange.record, exchange.rewriter
    provider, model = _asked_now(record)
    return InFlightRow(
        request_id=record.request_id,
        token=record.token,
        client_ip=record.client,
        model=record.model,
        stream=record.stream,
        provider=provider,
        provider_model=model,
        attempts=len(record.attempts),
        events=record.events if rewriter is None else rewriter.events,
        age_s=round(now - exchange.started, 3),
        shared=exchange.shared,
        started=_place(exchange)[0],
    )


def _place(exchange: ObservableExchange) -> tuple[int, str]:
    """Return what the list is in the order of."""
    record = exchange.record
    return round(record.time * _MICRO), record.request_id


def _asked_now(record: Record) -> tuple[str | None, str | None]:
    if record.provider is not None:
        # Its answer is on the way to the caller.
        return record.provider, record.provider_model
    if record.attempts:
        latest = record.attempts[-1]
        # An attempt that has failed has a cause, and the next may still be waiting for its turn.
        if latest.cause is None:
            return latest.provider, latest.model
    return None, None
