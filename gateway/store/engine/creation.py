"""The tables with their indexes, and a new SQLite file that has them.

Whoever compares or changes the schema takes `metadata` from here. The rest of the gateway needs no
index by name. Partial ones have the same condition on PostgreSQL, where revisions alone make them;
to say so here makes SQLAlchemy import all drivers for it, 30 ms and 4 MB of a first start.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Index, text

from .condensed_table import metadata
from .control_tables import api_keys, deployments
from .kept_tables import kept_responses
from .schema import audit, requests, sessions, sign_in_failures, users

__all__ = ["create", "metadata"]

# Alembic's own (alembic/runtime/migration.py, `_version`).
_VERSION_TABLE: Final = """
CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)
"""
# What is on record is not changed, only taken out when its time has come.
_APPEND_ONLY: Final = """
CREATE TRIGGER audit_append_only BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
"""


def create(connection: Connection, revision: str) -> None:
    """Make everything in an SQLite file without tables, as the revisions up to `revision` would.

    They take four times as long, most of it for the import of Alembic.
    """
    metadata.create_all(connection, checkfirst=False)
    for statement in (_APPEND_ONLY, _VERSION_TABLE):
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (revision,))


# Queries go by one of these and then by time. SQLite appends the row id to every index.
Index(None, requests.c.request_id)
Index(None, requests.c.model, requests.c.id)
Index(None, requests.c.provider, requests.c.id)
Index(None, requests.c.token, requests.c.id)
# Sessions and users are added up from these alone, without a look at the rows; requests that have
# neither take no room in them. The third one finds the sessions of a time.
_SUMMED: Final = ("failed", "input_tokens", "output_tokens", "cached_tokens", "cost_nano_usd")
for _name in ("session", "user"):
    _given = requests.c[_name].is_not(None)
    Index(
        f"ix_requests_{_name}",
        requests.c[_name],
        requests.c.id,
        *(requests.c[each] for each in _SUMMED),
        sqlite_where=_given,
    )
Index(
    "ix_requests_id_session",
    requests.c.id,
    requests.c.session,
    sqlite_where=requests.c.session.is_not(None),
)
# What failed is looked for, and a status such as 429. Most rows are both, and both engines take
# the index for either condition alone: sqlite.org/partialindex.html, section 3, rule 1, and
# PostgreSQL's `predicate_implied_by`.
_FAILURE: Final = text("failed OR status >= 400")
Index("ix_requests_failed", requests.c.id, sqlite_where=_FAILURE)
# The audit log is read newest first; of equal times the key tells the order.
Index(None, audit.c.time, audit.c.id)
Index(None, audit.c.action, audit.c.time, audit.c.id)
Index("uq_users_name", users.c.name, unique=True)
Index(None, sessions.c.user_id)
Index(None, sessions.c.expires)
Index(None, sign_in_failures.c.last)
Index("ix_api_keys_digest", api_keys.c.digest, unique=True)
Index(None, api_keys.c.generation)
Index(None, api_keys.c.team)
Index(None, deployments.c.generation)
Index(None, kept_responses.c.created)
Index(None, kept_responses.c.owner, kept_responses.c.created)
Index(None, kept_responses.c.request_id)
