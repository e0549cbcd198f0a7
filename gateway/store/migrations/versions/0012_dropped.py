"""What of a request its provider was not sent, since its API cannot say it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("requests", sa.Column("dropped", sa.Text))
