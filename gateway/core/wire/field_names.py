"""Names of header fields that another server in the row may take for those that decide.

CGI, and what has followed it, writes `-` and `_` alike, and some servers leave out characters that
they do not expect. Behind such a one `Content_Length` frames a body and `X_Api_Key` is a key.
"""

from __future__ import annotations

import re
from typing import Final

# What frames a message, says whom it is for, or who sends it.
_DECISIVE: Final = (
    *(b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade", b"te"),
    *(b"trailer", b"host", b"authorization", b"proxy-authorization", b"x-api-key"),
    b"x-goog-api-key",
    *(b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"),
)
_SEPARATORS: Final = re.compile(rb"[^a-z0-9]+")
# Callers choose the names, so what is remembered of them is bounded.
_MOST: Final = 1024
_LONGEST: Final = 64


class _LookAlikes(dict[bytes, bool]):
    """Whether a name, in lower case, is like a decisive one and not it."""

    def __missing__(self, name: bytes) -> bool:
        found = name not in _DECISIVE and _SEPARATORS.sub(b"", name) in _PLAIN
        if len(name) <= _LONGEST:
            if len(self) >= _MOST:
                self.clear()
            self[name] = found
        return found


_PLAIN: Final = frozenset(_SEPARATORS.sub(b"", name) for name in _DECISIVE)
LOOK_ALIKES: Final = _LookAlikes()
