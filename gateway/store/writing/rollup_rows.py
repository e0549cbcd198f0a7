"""What a batch of requests adds to the roll-ups: one row for each minute, hour and day it is in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ...core.records.histogram import BUCKETS, bucket_of
from ...core.records.periods import DAY, HOUR, MINUTE
from ...core.records.record import EndReason
from ..engine.schema import requests
from .rows import Row

OTHER_MODELS: Final = "(other)"
# A wildcard lets callers invent names, and every name is a row for each minute.
MODELS_PER_HOUR: Final = 1000
# Late records are of the hour before; those of a replayed journal may be of any.
_HOURS: Final = 4

_SECOND: Final = 1_000_000
_SUMS: Final = 14
_FIRST_EVENT: Final = _SUMS + BUCKETS
_COLUMNS: Final = _SUMS + 2 * BUCKETS
# Columns of a roll-up's key: period, start, model, provider, token, status.
_KEYS: Final = 6

_at: Final = {column.name: place for place, column in enumerate(requests.columns)}
_TIME, _TOKEN, _MODEL, _PROVIDER = (_at[n] for n in ("time", "token", "model", "provider"))
_STATUS, _END, _CODE = _at["status"], _at["end_reason"], _at["error_code"]
_FAILED, _TEAM = _at["failed"], _at["team"]
_CACHED, _ATTEMPTS, _COST = _at["cached"], _at["attempts"], _at["cost_nano_usd"]
_INPUT, _OUTPUT = _at["input_tokens"], _at["output_tokens"]
_CACHED_TOKENS, _REASONING = _at["cached_tokens"], _at["reasoning_tokens"]
_WRITTEN, _REPORTED = _at["cache_write_tokens"], _at["reported_cost_nano_usd"]
_LATENCY, _FIRST = _at["latency_us"], _at["first_event_us"]

_REJECTED: Final = EndReason.REJECTED.value
# Error codes of limits. Limits are checked only after the model is known to exist.
_LIMITS: Final = {"rate_limit_exceeded", "insufficient_quota"}

# The start, the texts of the key in its order, the status.
_Key = tuple[int | str, ...]


class RollupModels:
    """Which models have roll-ups of their own: the first `limit` of each hour."""

    def __init__(self, limit: int = MODELS_PER_HOUR) -> None:
        self._limit = limit
        self._hours: dict[int, set[str]] = {}

    def __repr__(self) -> str:
        return f"<RollupModels { ({hour: len(names) for hour, names in self._hours.items()}) }>"

    def label(self, model: str, hour: int) -> str:
        """Return the name that `model` is counted under in `hour`, a number that identifies it."""
        names = self._hours.get(hour)
        if names is None:
            while len(self._hours) >= _HOURS:
                self._hours.pop(next(iter(self._hours)), None)
            names = self._hours[hour] = set()
        if model in names:
            return model
        if len(names) >= self._limit:
            return OTHER_MODELS
        names.add(model)
        return model


def rollup_rows(rows: Iterable[Row], models: RollupModels) -> list[Row]:
    """Return the rows of `rollups` that the rows of `requests` add up to, sorted by their key.

    All processes lock the rows in that order, so two of them never wait for each other.
    """
    return _added_up(((_key_of(row, models), row) for row in rows), _KEYS)


def team_rollup_rows(rows: Iterable[Row], models: RollupModels) -> list[Row]:
    """Return the same for `team_rollups`, of the rows that have a team."""
    found = ((_key_of(row, models), row) for row in rows if row[_TEAM])
    return _added_up((((key[0], row[_TEAM], *key[1:]), row) for key, row in found), _KEYS + 1)


def _key_of(row: Row, models: RollupModels) -> _Key:
    time = row[_TIME]
    return (
        time - time % (MINUTE * _SECOND),
        _model(row, models),
        row[_PROVIDER] or "",
        row[_TOKEN] or "",
        row[_STATUS],
    )


def _added_up(keyed: Iterable[tuple[_Key, Row]], keys: int) -> list[Row]:
    """Return sums by minute, hour and day; a row begins with `keys` columns of a key."""
    minutes: dict[_Key, list[int]] = {}
    for key, row in keyed:
        sums = minutes.get(key)
        if sums is None:
            sums = minutes[key] = [0] * _COLUMNS
        sums[0] += 1
        sums[1] += row[_FAILED]
        sums[2] += row[_CACHED]
        sums[3] += row[_ATTEMPTS]
        sums[4] += row[_INPUT] or 0
        sums[5] += row[_OUTPUT] or 0
        sums[6] += row[_CACHED_TOKENS] or 0
        sums[7] += row[_REASONING] or 0
        sums[8] += row[_WRITTEN] or 0
        cost, first = row[_COST], row[_FIRST]
        if cost is not None:
            sums[9] += cost
        elif first is not None or row[_INPUT] is not None:
            # Answered, so it costs something.
            sums[10] += 1
        sums[11] += row[_REPORTED] or 0
        latency = row[_LATENCY]
        sums[12] += latency
        sums[_SUMS + bucket_of(latency)] += 1
        if first is not None:
            sums[13] += first
            sums[_FIRST_EVENT + bucket_of(first)] += 1
    hours = _wider(minutes, HOUR)
    found = [
        (period, *key, *sums)
        for period, totals in ((MINUTE, minutes), (HOUR, hours), (DAY, _wider(hours, DAY)))
        for key, sums in totals.items()
    ]
    found.sort(key=lambda row: row[:keys])
    return found


def _model(row: Row, models: RollupModels) -> str:
    model: str | None = row[_MODEL]
    if not model:
        return ""
    if (
        row[_END] == _REJECTED
        and not row[_ATTEMPTS]
        and not row[_CACHED]
        and row[_CODE] not in _LIMITS
    ):
        # The model is unknown or not allowed: a caller that tries names must not fill the table.
        return ""
    return models.label(model, row[_TIME] // (HOUR * _SECOND))


def _wider(totals: dict[_Key, list[int]], period: int) -> dict[_Key, list[int]]:
    """Add up periods to longer ones."""
    width = period * _SECOND
    wider: dict[_Key, list[int]] = {}
    for (start, *rest), sums in totals.items():
        assert isinstance(start, int)
        key: _Key = (start - start % width, *rest)
        sofar = wider.get(key)
        wider[key] = sums if sofar is None else [a + b for a, b in zip(sofar, sums, strict=True)]
    return wider
