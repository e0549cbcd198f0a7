"""What one of several processes does for all of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("name", sa.Text),
        sa.Column("due", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_jobs"),
    )
