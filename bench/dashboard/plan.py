"""What people do on the dashboard while requests for models are measured, and what they got."""

from __future__ import annotations

from typing import Final

import msgspec

# Pages that stay open, each with its stream of server-sent events.
LIVE: Final = ("live/overview", "live/in-flight", "live/requests", "live/overview?range=7d")
# Where people go from there, over and over: every kind of query.
VISITED: Final = (
    "", "requests", "requests?sort=latency", "requests?text=nothing-has-this", "sessions", "keys",
    "models", "usage", "usage?group_by=token", "in-flight", "settings",
)  # fmt: skip


class CrowdPlan(msgspec.Struct, frozen=True):
    """`open` pages are looked at all the time; `people` open another one every `pause` seconds."""

    port: int
    key: str
    open: int = 12
    people: int = 4
    pause: float = 1.0


class CrowdCounts(msgspec.Struct, frozen=True):
    """Pages that were opened, their times in ms, events on open pages, and what went wrong."""

    pages: int
    p50_ms: float
    p95_ms: float
    events: int
    errors: dict[str, int]
