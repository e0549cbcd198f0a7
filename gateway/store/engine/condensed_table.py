"""Sums of finished hours and days by one dimension alone, or by none.

Roll-ups are kept by model, provider, key and status together, which of many keys are hardly fewer
than requests; a dashboard shows sums by one of these. The table has nothing of its own: it is made
of the roll-ups, and made again when they have changed (`store/rollups/`).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, Table, Text

from .kept_tables import metadata
from .schema import sum_columns

__all__ = ["ALONE", "WHOLE", "condensed_rollups", "metadata"]

# The dimensions, each by itself; and the sums of all, by no dimension.
ALONE: Final = ("model", "provider", "token")
WHOLE: Final = ""

condensed_rollups: Final = Table(
    "condensed_rollups",
    metadata,
    Column("period", Integer, primary_key=True, autoincrement=False),
    Column("dimension", Text, primary_key=True),
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    # "" where a request had no such thing, as in the roll-ups.
    Column("value", Text, primary_key=True),
    *sum_columns(),
    sqlite_with_rowid=False,
)
