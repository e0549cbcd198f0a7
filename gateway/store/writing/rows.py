"""A `Record` as the rows of its request and of its attempts, fit for both engines.

Whatever came from outside is bounded here: a text that a database refuses, or a number that does
not fit its column, would otherwise take the rest of its batch with it.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from ...core.records.record import WELL, AttemptRecord, Record, SkipRecord

# PostgreSQL's text cannot hold NUL, and UTF-8 no lone surrogates, which JSON can contain.
UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_REPLACEMENT: Final = "\ufffd"

# In characters. Names are in indexes, the roll-ups' three in one, where PostgreSQL has room for
# 2,704 bytes a row (a third of a page); a character has up to four.
NAME: Final = 200
ERROR: Final = 4096
USER_AGENT: Final = 512
_METADATA: Final = 1024
_METADATA_ENTRIES: Final = 32
# A model has rarely more deployments than this.
_SKIPPED_ENTRIES: Final = 64
_NAMES_ENTRIES: Final = 32

# Sums of these must fit 63 bits, or no batch with that roll-up could be written any more:
# 9 million requests a day with the most tokens fit, 90,000 with the highest cost.
MOST_TOKENS: Final = 10**12
MOST_NANO_USD: Final = 10**14
MOST_US: Final = 10**13
# What the primary key has room for (`store/engine/ids.py`), and a double still holds exactly.
MOST_TIME_US: Final = 2**53 - 1
_SMALL: Final = 2**15 - 1
_INTEGER: Final = 2**31 - 1

Row = tuple[Any, ...]

_json: Final = msgspec.json.Encoder()


def time_us(record: Record) -> int:
    """Return the time of a request in microseconds since 1970."""
    return _scaled(record.time, 1e6, MOST_TIME_US)


def request_row(record: Record, row_id: int) -> Row:
    """Return the row of `requests`. Raises TypeError if a field is not what it should be."""
    return (
        row_id,
        text(record.request_id, NAME),
        time_us(record),
        text(record.operation, NAME),
        text(record.token, NAME),
        text(record.model, NAME),
        text(record.provider, NAME),
        text(record.provider_model, NAME),
        bool(record.stream),
        bool(record.cached),
        clamped(record.status, _SMALL),
        text(record.end_reason, NAME),
        record.end_reason not in WELL,
        text(record.error, ERROR),
        text(record.error_code, NAME),
        clamped(record.input_tokens, MOST_TOKENS),
        clamped(record.output_tokens, MOST_TOKENS),
        clamped(record.cached_tokens, MOST_TOKENS),
        clamped(record.reasoning_tokens, MOST_TOKENS),
        clamped(record.cache_write_tokens, MOST_TOKENS),
        clamped(record.input_audio_tokens, MOST_TOKENS),
        clamped(record.output_audio_tokens, MOST_TOKENS),
        clamped(record.input_image_tokens, MOST_TOKENS),
        clamped(record.output_image_tokens, MOST_TOKENS),
        clamped(record.cost_nano_usd, MOST_NANO_USD),
        clamped(record.reported_cost_nano_usd, MOST_NANO_USD),
        _scaled(record.latency_ms, 1e3, MOST_US),
        None if record.first_event_ms is None else _scaled(record.first_event_ms, 1e3, MOST_US),
        clamped(len(record.attempts), _SMALL),
        clamped(record.events, _INTEGER),
        clamped(record.malformed_events, _INTEGER),
        text(record.user, NAME),
        text(record.session, NAME),
        text(record.client, NAME),
        text(record.user_agent, USER_AGENT),
        text(record.trace_id, NAME),
        None if not record.metadata else _metadata(record.metadata),
        text(record.fallback_model, NAME),
        None if not record.skipped else _skipped(record.skipped),
        text(record.team, NAME),
        None if not record.labels else _metadata(record.labels),
        None if not record.dropped else _names(record.dropped),
        text(record.price_source, NAME),
        text(record.counted_by, NAME),
        clamped(record.cache_write_1h_tokens, MOST_TOKENS),
    )


def attempt_row(attempt: AttemptRecord, row_id: int, number: int) -> Row:
    """Return the row of `attempts` of the attempt `number`, from 1, at the request `row_id`."""
    first = attempt.first_event_ms
    return (
        row_id,
        number,
        text(attempt.provider, NAME),
        text(attempt.model, NAME),
        text(attempt.cause, NAME),
        clamped(attempt.status, _SMALL),
        text(attempt.error, ERROR),
        _scaled(attempt.wait_ms, 1e3, MOST_US),
        _scaled(attempt.duration_ms, 1e3, MOST_US),
        None if first is None else _scaled(first, 1e3, MOST_US),
        clamped(attempt.cost_nano_usd, MOST_NANO_USD),
    )


def attempt_rows(record: Record, row_id: int) -> list[Row]:
    """Return the rows of `attempts`, in the order in which they were begun."""
    return [
        attempt_row(attempt, row_id, number)
        for number, attempt in enumerate(record.attempts[:_SMALL], 1)
    ]


def text(value: str | None, limit: int) -> str | None:
    """Return at most `limit` characters of `value`, all of which both engines store."""
    if value is None:
        return None
    if len(value) > limit:
        value = value[:limit]
    # `isascii` costs nothing: CPython stores with each text whether it is ASCII.
    if value.isascii() and "\0" not in value:
        # An enum's member is written by its value, which psycopg would not do.
        return value if type(value) is str else str(value)
    return UNSTORABLE.sub(_REPLACEMENT, value)


def clamped(value: int | None, most: int) -> int | None:
    """Return `value` if it is within ±`most`, else the nearer bound."""
    if value is None or -most <= value <= most:
        return value if value is None else int(value)
    return most if value > 0 else -most


def _scaled(value: float, scale: float, most: int) -> int:
    # A wrong time, NaN included, must not cost the rest of the row.
    units = value * scale
    if 0 <= units <= most:
        return int(units + 0.5)
    return most if units > most else 0


def _metadata(metadata: dict[str, str]) -> str:
    bounded = {
        text(name, NAME): text(value, _METADATA)
        for name, value in list(metadata.items())[:_METADATA_ENTRIES]
    }
    return _json.encode(bounded).decode()


def _names(names: list[str]) -> str:
    return _json.encode([text(each, NAME) for each in names[:_NAMES_ENTRIES]]).decode()


def _skipped(skipped: list[SkipRecord]) -> str:
    bounded = [
        SkipRecord(
            provider=text(each.provider, NAME) or "",
            model=text(each.model, NAME) or "",
            reason=each.reason,
            at_ms=each.at_ms,
        )
        for each in skipped[:_SKIPPED_ENTRIES]
    ]
    return _json.encode(bounded).decode()
