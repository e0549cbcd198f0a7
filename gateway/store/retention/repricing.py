"""Computes what requests of a time cost again, by the prices of now; the roll-ups stay in step.

In batches, each a transaction of its own: a row and what it adds to the roll-ups change together.
So one that is broken off leaves nothing half done, and a second run changes nothing more.

What is on record are the tokens that the provider reported. A request whose tokens were estimated,
or that has no price now, keeps what it had; so do the estimates of attempts that were lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, Table, func, select, update

from ...core.records.periods import DAY, HOUR, MINUTE
from ...core.records.pricing import Prices, cost
from ...core.records.usage import Usage
from ..engine.ids import first_id
from ..engine.schema import attempts, requests, rollups, team_rollups
from ..writing.rollup_rows import OTHER_MODELS

if TYPE_CHECKING:
    from ..engine.database import Database

_BATCH: Final = 500
_SECOND: Final = 1_000_000
_PERIODS: Final = (MINUTE, HOUR, DAY)
# Answers that are charged by tokens alone.
_OPERATIONS: Final = ("chat", "messages", "responses", "completions", "embeddings")

# By a request's model, provider and provider's model: the prices of now, None if there are none.
PricesOf = Callable[[str, str, str], Prices | None]


class Repriced(msgspec.Struct):
    """What was done: `kept` had no price, or tokens that were estimated."""

    requests: int = 0
    changed: int = 0
    kept: int = 0
    before_nano_usd: int = 0
    after_nano_usd: int = 0


class Span(NamedTuple):
    """From `since` to before `until`, in microseconds."""

    since: int
    until: int


class _Delta(NamedTuple):
    """Where a request stands in the roll-ups, and what changes there."""

    time: int
    model: str
    provider: str
    token: str
    status: int
    team: str
    nano_usd: int
    unknown: int


def reprice(
    database: Database, span: Span, prices_of: PricesOf, found: Repriced, *, dry: bool = False
) -> None:
    """Go over the requests of `span`; `dry` only says what would change.

    Raises StoreUnavailable; `found` then says what was done by then.
    """
    after = first_id(span.since) - 1
    while True:
        part, last = database.write_now(partial(_batch, span, after, prices_of, dry))
        for name in found.__struct_fields__:
            setattr(found, name, getattr(found, name) + getattr(part, name))
        if last is None:
            return
        after = last


def _batch(
    span: Span, after: int, prices_of: PricesOf, dry: bool, connection: Connection
) -> tuple[Repriced, int | None]:
    done = Repriced()
    chosen = (
        select(requests)
        .where(requests.c.id > after, requests.c.id < first_id(span.until))
        .order_by(requests.c.id)
        .limit(_BATCH)
    )
    rows = list(connection.execute(chosen))
    if not rows:
        return done, None
    estimated = _estimated(connection, [row.id for row in rows])
    deltas: list[_Delta] = []
    for row in rows:
        if row.cached or row.operation not in _OPERATIONS or row.provider is None:
            continue
        done.requests += 1
        new = _new_cost(row, prices_of, estimated)
        if new is None:
            done.kept += 1
            continue
        nano_usd, source = new
        done.before_nano_usd += row.cost_nano_usd or 0
        done.after_nano_usd += nano_usd
        if nano_usd == row.cost_nano_usd and source == row.price_source:
            continue
        done.changed += 1
        if not dry:
            changed = update(requests).where(requests.c.id == row.id)
            connection.execute(changed.values(cost_nano_usd=nano_usd, price_source=source))
            deltas.append(_delta(row, nano_usd))
    _put(connection, deltas)
    return done, rows[-1].id


def _estimated(connection: Connection, ids: list[int]) -> dict[int, int]:
    """Return what the attempts of each request were estimated to cost, beside its answer."""
    query = (
        select(attempts.c.request, func.sum(attempts.c.cost_nano_usd))
        .where(attempts.c.request.in_(ids), attempts.c.cost_nano_usd.is_not(None))
        .group_by(attempts.c.request)
    )
    return {request: int(nano_usd) for request, nano_usd in connection.execute(query)}


def _new_cost(
    row: Row[Any], prices_of: PricesOf, estimated: dict[int, int]
) -> tuple[int, str] | None:
    """Return what a request costs now and by which prices; None if it keeps what it has."""
    if row.input_tokens is None or row.counted_by not in (None, "provider"):
        return None
    prices = prices_of(row.model or "", row.provider, row.provider_model or "")
    if prices is None:
        return None
    usage = Usage(
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens or 0,
        cached_tokens=row.cached_tokens or 0,
        cache_write_tokens=row.cache_write_tokens or 0,
        cache_write_1h_tokens=row.cache_write_1h_tokens or 0,
        input_audio_tokens=row.input_audio_tokens or 0,
        input_image_tokens=row.input_image_tokens or 0,
        output_audio_tokens=row.output_audio_tokens or 0,
        output_image_tokens=row.output_image_tokens or 0,
    )
    nano_usd = cost(usage, prices)
    if nano_usd is None:
        return None
    return nano_usd + estimated.get(row.id, 0), prices.at(usage.input_tokens).source


def _delta(row: Row[Any], nano_usd: int) -> _Delta:
    return _Delta(
        time=row.time,
        model=row.model or "",
        provider=row.provider or "",
        token=row.token or "",
        status=row.status,
        team=row.team or "",
        nano_usd=nano_usd - (row.cost_nano_usd or 0),
        # It was counted among those whose cost is not known.
        unknown=-1 if row.cost_nano_usd is None else 0,
    )


def _put(connection: Connection, deltas: list[_Delta]) -> None:
    """Change the roll-ups, in the order in which all processes lock their rows."""
    for table, team in ((rollups, False), (team_rollups, True)):
        money: Counter[tuple[Any, ...]] = Counter()
        unknown: Counter[tuple[Any, ...]] = Counter()
        for each in deltas:
            if team and not each.team:
                continue
            for period in _PERIODS:
                start = each.time - each.time % (period * _SECOND)
                named = (each.team,) if team else ()
                key = (period, start, *named, each.model, each.provider, each.token, each.status)
                money[key] += each.nano_usd
                unknown[key] += each.unknown
        for key in sorted(money):
            _change(connection, table, key, money[key], unknown[key])


def _change(
    connection: Connection, table: Table, key: tuple[Any, ...], nano_usd: int, unknown: int
) -> None:
    at = [column.name for column in table.primary_key.columns].index("model")
    # Beyond the models that an hour has room for, they are counted together.
    for model in (key[at], OTHER_MODELS):
        values = (*key[:at], model, *key[at + 1 :])
        same = (
            column == value for column, value in zip(table.primary_key.columns, values, strict=True)
        )
        changed = connection.execute(
            update(table)
            .where(*same)
            .values(
                cost_nano_usd=table.c.cost_nano_usd + nano_usd,
                cost_unknown=table.c.cost_unknown + unknown,
            )
        )
        if changed.rowcount:
            return
    # Roll-ups of a minute go with time, before those of hours and days.
