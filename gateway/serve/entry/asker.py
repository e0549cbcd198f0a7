"""Who asks, as far as the first bytes of a connection or a request tell.

Nothing is checked here, so it may be false. Whoever makes keys up is many askers, each with a turn of
its own: between them it is then first come, first served, as it would be without turns.
"""

from __future__ import annotations

import re
from typing import Final

# Where API keys stand: `api/request.py` reads the same.
_KEY: Final = re.compile(rb"\r\n(?:authorization|x-api-key)[ \t]*:[ \t]*([^\r\n]+)", re.IGNORECASE)
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,15})[ \t]*\r\n", re.IGNORECASE)
# What makes the end of a request something that this module does not judge.
_UNCLEAR: Final = re.compile(
    rb"\r\n(?:transfer-encoding|expect|upgrade|connection)[ \t]*:", re.IGNORECASE
)
_PROBES: Final = (b"GET /health/", b"HEAD /health/")


def asker(data: bytes, address: str) -> str:
    """Return a name for who sent `data`: by its key, else by its address.

    Not the key itself, which must not show in logs.
    """
    found = _KEY.search(data)
    return address if found is None else f"{hash(found[1]):x}"


def is_probe(data: bytes) -> bool:
    """Say whether `data` begins a request for the health of the process."""
    return data.startswith(_PROBES)


def body_length(head: bytes) -> int | None:
    """Return how long the body behind `head` is; None if only a parser should say so.

    To be right where it answers matters more than to answer always: a length that another parser
    reads differently would let requests be smuggled in (RFC 9112 section 11.2).
    """
    if _UNCLEAR.search(head) or b"HTTP/1.1\r\n" not in head:
        return None
    mentions = head.lower().count(b"content-length")
    if not mentions:
        return 0
    lengths = _LENGTH.findall(head)
    return int(lengths[0]) if mentions == len(lengths) == 1 else None
