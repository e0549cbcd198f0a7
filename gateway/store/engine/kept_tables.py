"""What the gateway keeps for callers: responses, and where a provider keeps their objects."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, LargeBinary, Table, Text

from .control_tables import metadata

__all__ = ["kept_objects", "kept_responses", "metadata"]

kept_responses: Final = Table(
    "kept_responses",
    metadata,
    # SHA-256 of the key that it was made for, in hexadecimal; "" where no key is needed.
    Column("owner", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("created", BigInteger, nullable=False),
    # Of both as they are, in bytes; what is stored is compressed (zlib).
    Column("size", BigInteger, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("input", LargeBinary, nullable=False),
    # What it was made for; NULL of what was kept before there were these columns.
    Column("request_id", Text),
    Column("token", Text),
)

kept_objects: Final = Table(
    "kept_objects",
    metadata,
    # The provider's own id.
    Column("id", Text, primary_key=True),
    # The name of the key that it was made for.
    Column("owner", Text, nullable=False),
    Column("provider", Text, nullable=False),
    # Which of the provider's keys, by its digest; "" where it needs none.
    Column("account", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    # The batch whose results it is.
    Column("part_of", Text),
    # Of a batch: when its cost was put on record; null: it was not.
    Column("charged", BigInteger),
)
