"""Responses that the gateway keeps itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "kept_responses",
        sa.Column("owner", sa.Text),
        sa.Column("id", sa.Text),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("response", sa.LargeBinary, nullable=False),
        sa.Column("input", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("owner", "id", name="pk_kept_responses"),
    )
    op.create_index("ix_kept_responses_created", "kept_responses", ["created"])
    op.create_index("ix_kept_responses_owner_created", "kept_responses", ["owner", "created"])
