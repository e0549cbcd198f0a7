"""Processes and hosts that operators have taken out of service for a while."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "process_drains",
        sa.Column("target", sa.Text),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("drained_by", sa.Text),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("target", name="pk_process_drains"),
    )
