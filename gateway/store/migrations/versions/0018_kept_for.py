"""The request and the token that a kept response was made for, by which it can be erased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    # Responses that were kept before have neither.
    op.add_column("kept_responses", sa.Column("request_id", sa.Text))
    op.add_column("kept_responses", sa.Column("token", sa.Text))
    op.create_index("ix_kept_responses_request_id", "kept_responses", ["request_id"])
