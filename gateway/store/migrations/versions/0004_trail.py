"""The trail of a request: which fallback model answered, and what it went past."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("requests", sa.Column("fallback_model", sa.Text))
    op.add_column("requests", sa.Column("skipped", sa.Text))
