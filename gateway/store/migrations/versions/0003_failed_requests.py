"""An index of the requests that failed, or have the status of an error."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
heavy = True

_UNWELL = sa.text("failed OR status >= 400")


def upgrade() -> None:
    # One that was interrupted leaves an index that is not used and stands in the way.
    op.drop_index("ix_requests_failed", "requests", if_exists=True, postgresql_concurrently=True)
    op.create_index(
        "ix_requests_failed",
        "requests",
        ["id"],
        sqlite_where=_UNWELL,
        postgresql_where=_UNWELL,
        postgresql_concurrently=True,
    )
