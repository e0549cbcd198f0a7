"""The answer 503 to those for whom there is no room, rendered once a second but for its id."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Final

from ...core.dialects.refused_heads import dialect_of_head
from ...core.limits.shedding import LATEST, SOONEST
from .. import gate

Fields = Sequence[tuple[bytes, bytes]]

_AFTER: Final = range(int(SOONEST), int(LATEST) + 1)
_ID: Final = "req_" + 32 * "0"


class Dismissal:
    """`fields` returns what every answer's head has, the same object while that is the same."""

    def __init__(self, fields: Callable[[], Fields]) -> None:
        self._fields = fields
        self._rendered_with: Fields | None = None
        self._parts: dict[tuple[bool, bool, int, str], list[bytes]] = {}
        self._number = 0

    def __repr__(self) -> str:
        return f"<Dismissal, {self._number} given>"

    def render(self, request: bytes, *, close: bool) -> bytes:
        """Return the answer to `request`, of which the first line is enough."""
        fields = self._fields()
        if fields is not self._rendered_with:
            self._rendered_with = fields
            self._parts.clear()
        # One after the other spreads them as well as chance does.
        self._number += 1
        after = _AFTER[self._number % len(_AFTER)]
        bodiless = request.startswith(b"HEAD ")
        dialect = dialect_of_head(request)
        key = (close, bodiless, after, "" if dialect is None else dialect.name)
        parts = self._parts.get(key)
        if parts is None:
            text = gate.render(
                *(gate.too_much(after), _ID),
                date=fields,
                bodiless=bodiless,
                head=request,
                close=close,
            )
            parts = self._parts[key] = text.split(_ID.encode())
        return f"req_{secrets.token_hex(16)}".encode().join(parts)
