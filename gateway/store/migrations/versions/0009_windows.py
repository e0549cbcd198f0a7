"""Keys that are captured for a while, and grants: secrets for minutes that stand for a key."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "capture_windows",
        sa.Column("token", sa.Text),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("opened_by", sa.Text),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("token", name="pk_capture_windows"),
    )
    op.create_table(
        "grants",
        sa.Column("digest", sa.Text),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("granted_to", sa.Text),
        sa.PrimaryKeyConstraint("digest", name="pk_grants"),
    )
