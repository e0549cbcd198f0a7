"""What goes over a WebSocket (RFC 6455): frames of messages, and the close."""

from __future__ import annotations

import re
from typing import Final

import msgspec

# RFC 6455 section 7.4.1.
NORMAL: Final = 1000
GOING_AWAY: Final = 1001
NO_CODE: Final = 1005
LOST: Final = 1006
POLICY: Final = 1008
TOO_BIG: Final = 1009
FAILED: Final = 1011
# These are said of a connection, and never sent on one (section 7.4.1).
_UNSENT: Final = frozenset({LOST, 1015})
# What a frame counts for beside its data, in bytes: a message may have any number of empty ones.
FRAME_COST: Final = 64
# In bytes, beside the code (section 5.5).
_LONGEST_REASON: Final = 123


# What a subprotocol may be called: a token (RFC 6455 section 4.1, RFC 9110 section 5.6.2).
SUBPROTOCOL: Final = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")


class SocketFrame(msgspec.Struct, frozen=True):
    """A text or bytes; with `more`, the message goes on in the next frame."""

    data: str | bytes
    more: bool = False


class SocketClose(msgspec.Struct, frozen=True):
    """`code` is `LOST` where the connection ended without a close."""

    code: int = NORMAL
    reason: str = ""

    @property
    def sendable(self) -> SocketClose:
        """Return what can be sent of it: its code, if one may be, and as much reason as fits."""
        code = FAILED if self.code in _UNSENT else self.code
        reason = self.reason.encode("utf-8", "replace")[:_LONGEST_REASON].decode("utf-8", "ignore")
        return SocketClose(code, reason)


class SocketRefused(msgspec.Struct, frozen=True):
    """The answer to an opening that opened nothing. Names of headers are in lower case."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
