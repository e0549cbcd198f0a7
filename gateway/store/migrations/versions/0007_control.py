"""Keys, drains and processes; the team and the labels of requests, and roll-ups by team."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

# Two histograms of 20 buckets each, as `core/records/histogram.py` had them.
_BUCKETS = 20


def upgrade() -> None:
    op.add_column("requests", sa.Column("team", sa.Text))
    op.add_column("requests", sa.Column("labels", sa.Text))
    _control()
    _team_rollups()


def _control() -> None:
    op.create_table(
        "generations",
        sa.Column("name", sa.Text),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_generations"),
    )
    op.create_table(
        "api_keys",
        sa.Column("name", sa.Text),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("previous", sa.Text),
        sa.Column("previous_until", sa.BigInteger),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("terms", sa.Text, nullable=False),
        sa.Column("team", sa.Text),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("changed_by", sa.Text),
        sa.PrimaryKeyConstraint("name", name="pk_api_keys"),
    )
    op.create_index("ix_api_keys_digest", "api_keys", ["digest"], unique=True)
    op.create_index("ix_api_keys_generation", "api_keys", ["generation"])
    op.create_table(
        "deployments",
        sa.Column("name", sa.Text),
        sa.Column("drained_until", sa.BigInteger),
        sa.Column("drained_by", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("resets", sa.BigInteger, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_deployments"),
    )
    op.create_index("ix_deployments_generation", "deployments", ["generation"])
    op.create_table(
        "cancellations",
        sa.Column("request_id", sa.Text),
        sa.Column("asked", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("request_id", name="pk_cancellations"),
    )
    op.create_table(
        "processes",
        sa.Column("id", sa.Text),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("started", sa.BigInteger, nullable=False),
        sa.Column("seen", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_processes"),
    )


def _team_rollups() -> None:
    sums = (
        *("requests", "errors", "cached", "attempts", "input_tokens", "output_tokens"),
        *("cached_tokens", "reasoning_tokens", "cache_write_tokens", "cost_nano_usd"),
        *("cost_unknown", "reported_cost_nano_usd", "latency_us", "first_event_us"),
    )
    buckets = (f"{name}_{at:02}" for name in ("latency", "first_event") for at in range(_BUCKETS))
    keys = ("period", "start", "team", "model", "provider", "token", "status")
    op.create_table(
        "team_rollups",
        sa.Column("period", sa.Integer, autoincrement=False),
        sa.Column("start", sa.BigInteger, autoincrement=False),
        *(sa.Column(name, sa.Text) for name in ("team", "model", "provider", "token")),
        sa.Column("status", sa.SmallInteger, autoincrement=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in sums),
        *(sa.Column(name, sa.Integer, nullable=False) for name in buckets),
        sa.PrimaryKeyConstraint(*keys, name="pk_team_rollups"),
        sqlite_with_rowid=False,
    )
