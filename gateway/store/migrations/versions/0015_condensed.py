"""Sums of finished hours and days by one dimension; the running gateway fills them in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_BUCKETS = 20


def upgrade() -> None:
    sums = (
        *("requests", "errors", "cached", "attempts", "input_tokens", "output_tokens"),
        *("cached_tokens", "reasoning_tokens"),
    )
    later = ("cache_write_tokens", "cost_unknown", "reported_cost_nano_usd")
    ordered = (
        *sums,
        *("cache_write_tokens", "cost_nano_usd", "cost_unknown", "reported_cost_nano_usd"),
        *("latency_us", "first_event_us"),
    )
    buckets = (f"{name}_{at:02}" for name in ("latency", "first_event") for at in range(_BUCKETS))
    op.create_table(
        "condensed_rollups",
        sa.Column("period", sa.Integer, autoincrement=False),
        sa.Column("dimension", sa.Text),
        sa.Column("start", sa.BigInteger, autoincrement=False),
        sa.Column("value", sa.Text),
        *(
            sa.Column(
                name,
                sa.BigInteger,
                nullable=False,
                server_default="0" if name in later else None,
            )
            for name in ordered
        ),
        *(sa.Column(name, sa.Integer, nullable=False) for name in buckets),
        sa.PrimaryKeyConstraint(
            "period", "dimension", "start", "value", name="pk_condensed_rollups"
        ),
        sqlite_with_rowid=False,
    )
