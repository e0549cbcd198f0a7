"""Where sessions are opened, and in which dialect."""

from __future__ import annotations

import re
from typing import Final

from ..openai_realtime.dialect import REALTIME, REALTIME_TRANSLATIONS, RESPONSES_SOCKET
from .base import SessionDialect

_BY_PATH: Final[dict[str, SessionDialect]] = {
    "realtime": REALTIME,
    "realtime/translations": REALTIME_TRANSLATIONS,
    "responses": RESPONSES_SOCKET,
}
# Base URLs are given with and without /v1, and some clients add a second one. Azure's clients ask
# below /openai, with /v1 or an `api-version`.
_PATH: Final = re.compile(rf"/{{1,4}}(?:openai/)?(?:v1/){{0,2}}({'|'.join(_BY_PATH)})/?")


def session_dialect(path: str) -> SessionDialect | None:
    """Return the dialect of the sessions that are opened at `path`; None if there are none."""
    found = _PATH.fullmatch(re.sub("/{2,}", "/", path))
    return None if found is None else _BY_PATH[found[1]]


def is_session_path(path: str) -> bool:
    """Say whether a WebSocket can be opened at `path`."""
    return session_dialect(path) is not None
