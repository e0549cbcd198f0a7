"""Requests to paths that are not served: operators want to see what their clients ask for.

Anyone may ask for anything, so what is kept is bounded. The count goes by paths that other
gateways and providers serve, and "other" for the rest; the log shows the path itself, a few
lines a minute.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

import structlog

# What OpenAI's, Anthropic's and Gemini's clients ask for below their base URL.
_PATHS: Final = (
    *("/assistants", "/audio", "/batches", "/chat", "/complete", "/completions", "/embeddings"),
    *("/files", "/fine_tuning", "/health", "/images", "/messages", "/metrics", "/models"),
    *("/moderations", "/realtime", "/rerank", "/responses", "/skills", "/threads", "/uploads"),
    *("/vector_stores", "/api/chat", "/api/generate", "/api/tags", "/api/hello"),
)
WEBSOCKET: Final = "WEBSOCKET"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", WEBSOCKET})
OTHER: Final = "other"
# Several of /v1 at the beginning are a base URL gone wrong; Gemini's own are v1beta.
_PREFIX: Final = re.compile(r"^(/v1|/v1beta)+(?=/)")
_UNSHOWN: Final = re.compile(r"[^!-~]")
LONGEST: Final = 200
# Lines in the log in `PERIOD` seconds. A scanner asks for hundreds of paths.
LINES: Final = 10
PERIOD: Final = 60.0

_log = structlog.get_logger(__name__)


class UnservedRequests:
    """Counts and logs them. `counts` are by method, path and status, all bounded."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self._since = 0.0
        self._shown: set[tuple[str, str]] = set()
        self._unshown = 0

    def __repr__(self) -> str:
        return f"<UnservedRequests, {self.counts.total()}>"

    def note(self, method: str, path: str, status: int, now: float) -> None:
        """Take note of a request that is refused for its `path` with `status`."""
        method = method if method in _METHODS else OTHER
        self.counts[method, known_path(path), str(status)] += 1
        if now - self._since >= PERIOD:
            if self._unshown:
                _log.info("more paths that are not served were asked for", requests=self._unshown)
            self._since, self._unshown = now, 0
            self._shown.clear()
        shown = shown_path(path)
        if (method, shown) in self._shown:
            return
        if len(self._shown) >= LINES:
            self._unshown += 1
            return
        self._shown.add((method, shown))
        _log.info("path not served", method=method, path=shown, status=status)


def known_path(path: str) -> str:
    """Return the path without what differs from client to client; "other" if it is unknown."""
    rest = _PREFIX.sub("", path).rstrip("/")
    return next((each for each in _PATHS if rest == each or rest.startswith(f"{each}/")), OTHER)


def shown_path(path: str) -> str:
    """Return the path as a log may show it: printable ASCII, and not too much of it."""
    shown = _UNSHOWN.sub("?", path)
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 3] + "..."
