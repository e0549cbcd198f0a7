"""A tool that a provider runs itself, in canonical form."""

from __future__ import annotations

import msgspec

Raw = msgspec.Raw


class Location(msgspec.Struct, omit_defaults=True):
    """About where the user of a web search is."""

    city: str | None = None
    country: str | None = None
    region: str | None = None
    timezone: str | None = None


class OwnTool(msgspec.Struct):
    """`kind` is `web_search`, or what its vendor calls it; `path` is where it is asked for.

    `type` is its vendor's name for it. The other members are of web searches: `context` is how much
    of what is found the model reads (low, medium, high), `max_uses` how often it may search;
    `offline` ones look into an index that only OpenAI has.
    """

    kind: str
    type: str
    path: str
    offline: bool = False
    context: str | None = None
    max_uses: Raw | None = None
    allowed_domains: list[str] = []
    blocked_domains: list[str] = []
    location: Location | None = None
    cache: Raw | None = None

    @property
    def searches(self) -> bool:
        return self.kind == "web_search"

    @property
    def member(self) -> str:
        """Return what the request calls it."""
        return f"{self.path} ({self.type})" if self.type else self.path
