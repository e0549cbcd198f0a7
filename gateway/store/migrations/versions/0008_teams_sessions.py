"""Teams that operators make; indexes that sessions and users are added up from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_SUMMED = ("failed", "input_tokens", "output_tokens", "cached_tokens", "cost_nano_usd")


def upgrade() -> None:
    op.create_table(
        "teams",
        sa.Column("name", sa.Text),
        sa.Column("terms", sa.Text, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("changed_by", sa.Text),
        sa.PrimaryKeyConstraint("name", name="pk_teams"),
    )
    op.create_index("ix_api_keys_team", "api_keys", ["team"])
    for name, columns in (
        ("ix_requests_session", ("session", "id", *_SUMMED)),
        ("ix_requests_user", ("user", "id", *_SUMMED)),
        ("ix_requests_id_session", ("id", "session")),
    ):
        given = sa.column("user" if columns[0] == "user" else "session").is_not(None)
        op.create_index(name, "requests", [*columns], sqlite_where=given, postgresql_where=given)
