"""What is recognised of a request that is passed on unread: its model, and whether it streams.

Only for records, prices and reserves, so lenient: nothing is refused for it.
"""

from __future__ import annotations

from typing import Protocol

import msgspec


class Asked(Protocol):
    """What a record says of any request."""

    @property
    def model(self) -> str: ...

    @property
    def stream(self) -> bool: ...

    @property
    def user(self) -> str | None: ...


class Recognised(msgspec.Struct, frozen=True):
    """`answer_tokens` are those that the caller allows; 0 if it does not say."""

    model: str
    stream: bool = False
    user: str | None = None
    answer_tokens: int = 0


_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


def recognised(body: bytes, content_type: bytes) -> Recognised | None:
    """Return what a JSON body says that has a model; None for any other."""
    if b"json" not in content_type.lower() or not body:
        return None
    try:
        found = _DECODER.decode(body)
        model = _text(found.get("model"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not model:
        return None
    return Recognised(
        model,
        stream=bytes(found.get("stream", b"")) == b"true",
        user=_text(found.get("user")),
        answer_tokens=max(_number(found.get(name)) for name in _LIMITS),
    )


def _text(raw: msgspec.Raw | None) -> str | None:
    try:
        return None if raw is None else msgspec.json.decode(raw, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _number(raw: msgspec.Raw | None) -> int:
    try:
        return 0 if raw is None else max(0, min(msgspec.json.decode(raw, type=int), 2**31))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 0
