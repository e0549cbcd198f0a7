"""What the application hands requests to that are no calls."""

from __future__ import annotations

from typing import Protocol

from ..proxy.protocols import Client
from .requests.served_request import Message as Scope


class AdminEndpoint(Protocol):
    async def serve(self, scope: Scope, client: Client, key: bytes | None) -> None:
        """Answer a request for a path under /admin/. Raises nothing but SendStalled."""
        ...


class MetricsScraper(Protocol):
    async def scrape(self, accept: str | None) -> tuple[bytes, bytes]:
        """Return content type and body of what Prometheus reads."""
        ...
