"""Requests, attempts, audit log, roll-ups, and how far the writers are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# What is on record is not changed, only taken out when its time has come.
_APPEND_ONLY = {
    "sqlite": [
        """
        CREATE TRIGGER audit_append_only BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
        """
    ],
    "postgresql": [
        """
        CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation';
        END $$
        """,
        """
        CREATE TRIGGER audit_append_only BEFORE UPDATE ON audit
        FOR EACH ROW EXECUTE FUNCTION audit_append_only()
        """,
    ],
}


def upgrade() -> None:
    _requests()
    _attempts()
    _audit()
    _rollups()
    op.create_table(
        "writers",
        sa.Column("id", sa.Text),
        sa.Column("batch", sa.BigInteger, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_writers"),
    )


def _requests() -> None:
    op.create_table(
        "requests",
        sa.Column("id", _ID, autoincrement=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("token", sa.Text),
        sa.Column("model", sa.Text),
        sa.Column("provider", sa.Text),
        sa.Column("provider_model", sa.Text),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("cached", sa.Boolean, nullable=False),
        sa.Column("status", sa.SmallInteger, nullable=False),
        sa.Column("end_reason", sa.Text, nullable=False),
        sa.Column("failed", sa.Boolean, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("error_code", sa.Text),
        sa.Column("input_tokens", sa.BigInteger),
        sa.Column("output_tokens", sa.BigInteger),
        sa.Column("cached_tokens", sa.BigInteger),
        sa.Column("reasoning_tokens", sa.BigInteger),
        sa.Column("cost_nano_usd", sa.BigInteger),
        sa.Column("latency_us", sa.BigInteger, nullable=False),
        sa.Column("first_event_us", sa.BigInteger),
        sa.Column("attempts", sa.SmallInteger, nullable=False),
        sa.Column("events", sa.Integer, nullable=False),
        sa.Column("malformed_events", sa.Integer, nullable=False),
        sa.Column("user", sa.Text),
        sa.Column("session", sa.Text),
        sa.Column("client_ip", sa.Text),
        sa.Column("user_agent", sa.Text),
        sa.Column("trace_id", sa.Text),
        sa.Column("metadata", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_requests"),
    )
    op.create_index("ix_requests_request_id", "requests", ["request_id"])
    for column in ("model", "provider", "token"):
        op.create_index(f"ix_requests_{column}_id", "requests", [column, "id"])


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("request", _ID, autoincrement=False),
        sa.Column("number", sa.SmallInteger, autoincrement=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("cause", sa.Text),
        sa.Column("status", sa.SmallInteger),
        sa.Column("error", sa.Text),
        sa.Column("wait_us", sa.BigInteger, nullable=False),
        sa.Column("duration_us", sa.BigInteger, nullable=False),
        sa.Column("first_event_us", sa.BigInteger),
        sa.Column("cost_nano_usd", sa.BigInteger),
        sa.PrimaryKeyConstraint("request", "number", name="pk_attempts"),
        sqlite_with_rowid=False,
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", _ID, autoincrement=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("actor_kind", sa.Text, nullable=False),
        sa.Column("actor", sa.Text),
        sa.Column("client_ip", sa.Text),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("target", sa.Text),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("previous", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_time_id", "audit", ["time", "id"])
    op.create_index("ix_audit_action_time_id", "audit", ["action", "time", "id"])
    for statement in _APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)


def _rollups() -> None:
    sums = ("requests", "errors", "cached", "attempts")
    tokens = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
    durations = ("latency_us", "first_event_us")
    buckets = [f"{kind}_{n:02}" for kind in ("latency", "first_event") for n in range(20)]
    op.create_table(
        "rollups",
        sa.Column("period", sa.Integer, autoincrement=False),
        sa.Column("start", sa.BigInteger, autoincrement=False),
        sa.Column("model", sa.Text),
        sa.Column("provider", sa.Text),
        sa.Column("token", sa.Text),
        sa.Column("status", sa.SmallInteger, autoincrement=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in (*sums, *tokens, "cost_nano_usd", *durations)
        ),
        *(sa.Column(name, sa.Integer, nullable=False) for name in buckets),
        sa.PrimaryKeyConstraint(
            "period", "start", "model", "provider", "token", "status", name="pk_rollups"
        ),
        sqlite_with_rowid=False,
    )
