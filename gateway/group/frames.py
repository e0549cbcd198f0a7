"""How workers and their supervisor speak of limits: msgpack, each message behind its length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ..core.limits.operations import LimitCall

# A hundred endings or scopes are 30 KiB.
LARGEST: Final = 16 * 1024 * 1024
_HEAD: Final = 4
# The number of what nobody has asked for: another worker's announcement.
ANNOUNCED: Final = 0


class LimitAsk(msgspec.Struct, frozen=True, array_like=True):
    """One call; its answer has the same number."""

    number: int
    call: LimitCall


class LimitReply(msgspec.Struct, frozen=True, array_like=True):
    """What the call's type says, or why there is no answer."""

    number: int
    answer: Any = None
    failed: str = ""


def frame(body: bytes) -> bytes:
    return len(body).to_bytes(_HEAD, "big") + body


def frames(got: bytearray) -> Iterator[bytes]:
    """Take each whole message out of `got`."""
    start = 0
    while len(got) - start >= _HEAD:
        end = start + _HEAD + int.from_bytes(got[start : start + _HEAD], "big")
        if len(got) < end:
            break
        yield bytes(got[start + _HEAD : end])
        start = end
    del got[:start]
