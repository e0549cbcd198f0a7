"""What the debug log keeps of a session: the messages of both sides, in their order.

They are written as a stream of events, which is what the debug log reads and takes secrets out of.
"""

from __future__ import annotations

import structlog
import trio

from ...core.capture.capture import Capture
from ..protocols import HeaderPairs

_log = structlog.get_logger(__name__)


class SessionNotes:
    """Notes into `capture`; a fault of the debug log's own costs a capture and no session."""

    def __init__(self, capture: Capture | None) -> None:
        self._capture = capture

    def __repr__(self) -> str:
        return f"<SessionNotes {self._capture!r}>"

    def opened(self, status: int, headers: HeaderPairs) -> None:
        """Note that the session is open."""
        if self._capture is not None and self._capture.status is None:
            try:
                self._capture.head(status, headers, trio.current_time(), stream=True)
            except Exception:  # noqa: BLE001  # see above
                self._give_up(self._capture)

    def caller(self, text: str | None) -> None:
        """Note a message of the caller; None: it is no text."""
        self._note(b"caller", text)

    def provider(self, text: str | None) -> None:
        """Note a message of the provider."""
        self._note(b"provider", text)

    def _note(self, side: bytes, text: str | None) -> None:
        capture = self._capture
        if capture is None or capture.given_up:
            return
        try:
            data = (text or "").encode("utf-8", "replace").replace(b"\n", b"\ndata: ")
            capture.add(b"event: " + side + b"\ndata: " + data + b"\n\n", trio.current_time())
        except Exception:  # noqa: BLE001  # see above
            self._give_up(capture)

    def _give_up(self, capture: Capture) -> None:
        if not capture.given_up:
            _log.exception("a session could not be captured")
        capture.given_up = True
        capture.release()
