"""Where a price came from, who counted the tokens, and what a cache keeps for an hour."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("requests", sa.Column("price_source", sa.Text))
    op.add_column("requests", sa.Column("counted_by", sa.Text))
    op.add_column("requests", sa.Column("cache_write_1h_tokens", sa.BigInteger))
