"""The tables, one schema for SQLite and PostgreSQL.

Times are microseconds since 1970 in UTC, durations microseconds, money billionths of a US dollar,
all as integers: both engines compare and add them exactly, and sort by them without parsing.

A request's `id` begins with its time (see `ids.py`), so that the primary key is the order of
time, new rows go to its end, and a page of any filter is "the next n before this id".

The indexes are in `creation.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
)

from ...core.records.histogram import BUCKETS
from ...core.records.periods import BY_NAME

# Names that are the same on both engines, which later revisions need to alter them.
metadata: Final = MetaData(
    naming_convention={"pk": "pk_%(table_name)s", "ix": "ix_%(table_name)s_%(column_0_N_name)s"}
)

# SQLite makes only an INTEGER the row id itself.
_Id = BigInteger().with_variant(Integer(), "sqlite")

LATENCY: Final = tuple(f"latency_{number:02}" for number in range(BUCKETS))
FIRST_EVENT: Final = tuple(f"first_event_{number:02}" for number in range(BUCKETS))

PERIODS: Final = tuple(BY_NAME.values())

requests: Final = Table(
    "requests",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("request_id", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("operation", Text, nullable=False),
    Column("token", Text),
    Column("model", Text),
    Column("provider", Text),
    Column("provider_model", Text),
    Column("stream", Boolean, nullable=False),
    Column("cached", Boolean, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("end_reason", Text, nullable=False),
    # True if `end_reason` is not in `core.records.record.WELL`.
    Column("failed", Boolean, nullable=False),
    Column("error", Text),
    Column("error_code", Text),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("cache_write_tokens", BigInteger),
    Column("input_audio_tokens", BigInteger),
    Column("output_audio_tokens", BigInteger),
    Column("input_image_tokens", BigInteger),
    Column("output_image_tokens", BigInteger),
    # NULL where it is not known.
    Column("cost_nano_usd", BigInteger),
    # What the provider itself says.
    Column("reported_cost_nano_usd", BigInteger),
    Column("latency_us", BigInteger, nullable=False),
    Column("first_event_us", BigInteger),
    Column("attempts", SmallInteger, nullable=False),
    Column("events", Integer, nullable=False),
    Column("malformed_events", Integer, nullable=False),
    Column("user", Text),
    Column("session", Text),
    Column("client_ip", Text),
    Column("user_agent", Text),
    Column("trace_id", Text),
    # A JSON object of texts: what else of the request's head was asked to be kept.
    Column("metadata", Text),
    # The public name of the fallback model that answered.
    Column("fallback_model", Text),
    # A JSON list of the deployments that the request went past: provider, model, reason, at_ms.
    Column("skipped", Text),
    # What the key says of itself: its team, and a JSON object of texts.
    Column("team", Text),
    Column("labels", Text),
    # A JSON list of texts: the members of the request that the provider was not sent.
    Column("dropped", Text),
    # The prices that it was charged by: "route", "litellm 1.110.2", ...
    Column("price_source", Text),
    # Who counted the tokens that it was charged for.
    Column("counted_by", Text),
    # Of `cache_write_tokens`, those to be kept for an hour.
    Column("cache_write_1h_tokens", BigInteger),
)

attempts: Final = Table(
    "attempts",
    metadata,
    # The `id` of its request.
    Column("request", _Id, primary_key=True, autoincrement=False),
    # From 1, in the order in which they were begun.
    Column("number", SmallInteger, primary_key=True, autoincrement=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("cause", Text),
    Column("status", SmallInteger),
    Column("error", Text),
    Column("wait_us", BigInteger, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("first_event_us", BigInteger),
    Column("cost_nano_usd", BigInteger),
    sqlite_with_rowid=False,
)

audit: Final = Table(
    "audit",
    metadata,
    # 1, 2, 3 and so on: a gap means that a row was removed.
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("time", BigInteger, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor", Text),
    Column("client_ip", Text),
    Column("action", Text, nullable=False),
    Column("target", Text),
    Column("result", Text, nullable=False),
    # A JSON object.
    Column("details", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
)


def _rollups(name: str, first: tuple[str, ...]) -> Table:
    """Return a table of roll-ups by time, by `first`, and by what all of them are kept by.

    Texts are "" where a request had none, since NULLs are never equal to each other.
    """
    return Table(
        name,
        metadata,
        Column("period", Integer, primary_key=True, autoincrement=False),
        Column("start", BigInteger, primary_key=True, autoincrement=False),
        *(Column(each, Text, primary_key=True) for each in (*first, "model", "provider", "token")),
        Column("status", SmallInteger, primary_key=True, autoincrement=False),
        *sum_columns(),
        sqlite_with_rowid=False,
    )


def sum_columns() -> Iterator[Column[int]]:
    """Yield the columns of what is added up; each table needs its own."""
    yield from (
        Column("requests", BigInteger, nullable=False),
        # Those that failed.
        Column("errors", BigInteger, nullable=False),
        Column("cached", BigInteger, nullable=False),
        Column("attempts", BigInteger, nullable=False),
        Column("input_tokens", BigInteger, nullable=False),
        Column("output_tokens", BigInteger, nullable=False),
        Column("cached_tokens", BigInteger, nullable=False),
        Column("reasoning_tokens", BigInteger, nullable=False),
        Column("cache_write_tokens", BigInteger, nullable=False, server_default="0"),
        # The sum of the costs that are known, and how many requests were answered at another.
        Column("cost_nano_usd", BigInteger, nullable=False),
        Column("cost_unknown", BigInteger, nullable=False, server_default="0"),
        Column("reported_cost_nano_usd", BigInteger, nullable=False, server_default="0"),
        Column("latency_us", BigInteger, nullable=False),
        Column("first_event_us", BigInteger, nullable=False),
        # A day has fewer requests than 2**31; of eight bytes each, these would be most of the data.
        *(Column(name, Integer, nullable=False) for name in (*LATENCY, *FIRST_EVENT)),
    )


rollups: Final = _rollups("rollups", ())
# The same of requests with a team. What has none is what is left of `rollups`.
team_rollups: Final = _rollups("team_rollups", ("team",))

# How far each writer has come; a batch and its mark are one transaction, so that whether an
# interrupted batch was written can be told afterwards, and none is written twice.
writers: Final = Table(
    "writers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("batch", BigInteger, nullable=False),
    Column("time", BigInteger, nullable=False),
)

# Jobs that one of several processes does for all, and when they are due again.
jobs: Final = Table(
    "jobs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("due", BigInteger, nullable=False),
)

# People who sign in to the admin API. `name` is in lower case; `password` is an Argon2 hash in its
# usual text form (PHC string). `version` goes up with every change and is the ETag of the row.
users: Final = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("password", Text, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("password_changed", BigInteger, nullable=False),
    Column("last_sign_in", BigInteger),
)

# Sessions of users. `digest` is the SHA-256 of the token in the cookie: whoever reads the table
# cannot sign in with what is in it.
sessions: Final = Table(
    "sessions",
    metadata,
    Column("digest", Text, primary_key=True),
    # The `id` of its user.
    Column("user_id", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    # The last request, to a minute.
    Column("seen", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("client_ip", Text),
    Column("user_agent", Text),
)

# Sign-ins that failed, by account and by address; `subject` is a hash, since people type passwords
# where a name should go.
sign_in_failures: Final = Table(
    "sign_in_failures",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("failures", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    # No attempt is looked at before.
    Column("locked_until", BigInteger, nullable=False),
)

# One-time links to make the first user with; `digest` is the SHA-256 of the token in the link.
setup_links: Final = Table(
    "setup_links",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
)
