"""More kinds of tokens, costs as providers report them, and how many costs are not known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    for name in (
        *("cache_write_tokens", "input_audio_tokens", "output_audio_tokens"),
        *("input_image_tokens", "output_image_tokens", "reported_cost_nano_usd"),
    ):
        op.add_column("requests", sa.Column(name, sa.BigInteger))
    # With a constant default neither engine writes the rows again.
    for name in ("cache_write_tokens", "cost_unknown", "reported_cost_nano_usd"):
        op.add_column("rollups", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
