"""The table of responses that the gateway keeps for providers that keep none."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text

from .control_tables import metadata

__all__ = ["kept_responses", "metadata"]

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
)

Index(None, kept_responses.c.created)
Index(None, kept_responses.c.owner, kept_responses.c.created)
