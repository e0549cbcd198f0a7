"""What a body must be changed in for a server that differs from the API that it speaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from .json_scan import JsonMember
from .splice import members, splice


class BodyFit(msgspec.Struct, frozen=True):
    """`refuses` are members that the server answers with an error, by their names.

    Of those `hints` change nothing in the answer, nor does any whose value is `neutral`. `renames`
    have another name there. `rewrite` changes the rest, and returns what it got if there is nothing
    to change. `most_bytes` is the largest body that it takes.
    """

    refuses: frozenset[str] = frozenset()
    hints: frozenset[str] = frozenset()
    neutral: Callable[[str, bytes], bool] = lambda name, value: False
    renames: Mapping[str, str] = {}
    rewrite: Callable[[bytes], bytes] | None = None
    most_bytes: int | None = None

    def asked(self, body: bytes, found: Sequence[JsonMember]) -> tuple[str, ...]:
        """Return what is refused and asks for something, which has to be left out of `body`."""
        return tuple(
            each.key
            for each in found
            if each.key in self.refuses
            and not self.neutral(each.key, body[each.value_start : each.end])
        )

    def matters(self, asked: Sequence[str]) -> str | None:
        """Return the first of `asked` without which the answer would be another one."""
        return next((name for name in asked if name not in self.hints), None)

    def fitted(self, body: bytes) -> bytes:
        """Return `body`, a valid request, as the server takes it."""
        if self.refuses or self.renames:
            body = self._members(body)
        return body if self.rewrite is None else self.rewrite(body)

    def _members(self, body: bytes) -> bytes:
        found = members(body)
        present = {each.key for each in found}
        moved = {
            # The old name goes; under the new one the value is put, but for one that stands there.
            name: body[each.value_start : each.end]
            for each in found
            if (name := self.renames.get(each.key)) is not None and name not in present
        }
        remove = (present & self.refuses) | (present & self.renames.keys())
        return splice(body, put=moved, remove=remove, known=found) if remove else body
