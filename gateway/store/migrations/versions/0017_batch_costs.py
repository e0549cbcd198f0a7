"""Which batch a file is the result of, and which batches' costs are on record."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    with op.batch_alter_table("kept_objects") as table:
        table.add_column(sa.Column("part_of", sa.Text))
        table.add_column(sa.Column("charged", sa.BigInteger))
