"""Who an attempt was made for, and with which body."""

from __future__ import annotations

import msgspec


class Source(msgspec.Struct, frozen=True, gc=False):
    """The caller and the body of a request.

    `caller` is None where callers are not told apart, since there are no tokens. Each body then
    stands for a caller of its own.
    """

    caller: str | None
    body: bytes

    @property
    def digest(self) -> int:
        """Return what tells this body from others, in this process. Python keeps it."""
        return hash(self.body)

    @property
    def name(self) -> str | int:
        """Return what tells this caller from others."""
        return self.digest if self.caller is None else self.caller
