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
_IDS: Final = 64


# Whether the answer has no body, and the name of the API whose shape it has.
Kind = tuple[bool, str]


class Dismissal:
    """`fields` returns what every answer's head has, the same object while that is the same."""

    def __init__(self, fields: Callable[[], Fields]) -> None:
        self._fields = fields
        self._rendered_with: Fields | None = None
        self._parts: dict[tuple[bool, Kind], list[list[bytes]]] = {}
        self._number = 0
        self._random = b""

    def __repr__(self) -> str:
        return f"<Dismissal, {self._number} given>"

    def kind(self, request: bytes) -> Kind:
        """Return what is to be known of `request`, of which the head is enough, to answer it."""
        dialect = dialect_of_head(request)
        return request.startswith(b"HEAD "), "" if dialect is None else dialect.name

    def render(self, request: bytes, *, close: bool, kind: Kind | None = None) -> bytes:
        """Return the answer to `request`; `kind` is its own, where that is known."""
        fields = self._fields()
        if fields is not self._rendered_with:
            self._rendered_with = fields
            self._parts.clear()
        key = close, self.kind(request) if kind is None else kind
        each = self._parts.get(key)
        if each is None:
            each = self._parts[key] = [_parts(after, fields, request, *key) for after in _AFTER]
        # One after the other spreads them as well as chance does.
        self._number += 1
        if not self._random:
            # For many at once: a system call for each would be a twentieth of its price.
            self._random = secrets.token_hex(16 * _IDS).encode()
        identity, self._random = self._random[:32], self._random[32:]
        return (b"req_" + identity).join(each[self._number % len(each)])


def _parts(after: int, fields: Fields, request: bytes, close: bool, kind: Kind) -> list[bytes]:
    text = gate.render(
        *(gate.too_much(after), _ID), date=fields, bodiless=kind[0], head=request, close=close
    )
    return text.split(_ID.encode())
