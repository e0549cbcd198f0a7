"""What all changes have in common: who makes them and when, and of which state they are made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from ..core.records.audit import AuditAction
from ..errors import InvalidRequest, PreconditionFailed, PreconditionRequired

_TAG: Final = re.compile(r'"v(0|[1-9][0-9]{0,17})"')


class Actor(NamedTuple):
    """Who changes something, by the name in the audit log, and when: Unix seconds."""

    name: str | None
    now: float


class AuditNote(NamedTuple):
    """What the audit log says of a change: never a secret."""

    action: AuditAction
    target: str
    details: Mapping[str, Any]


class Precondition:
    """An If-Match header: which versions a change was made of (RFC 9110, 13.1.1)."""

    def __init__(self, header: str | None = None, *, required: bool = False) -> None:
        self._header = header
        self._required = required

    def check(self, version: int) -> None:
        """Raise PreconditionRequired (428) or PreconditionFailed (412) unless the change may be."""
        if self._header is None:
            if self._required:
                raise PreconditionRequired(
                    "Say with If-Match which version you have changed: its ETag, as the answer to"
                    " GET has it."
                )
            return
        if self._header.strip() == "*":
            return
        tags = [each.strip() for each in self._header.split(",")]
        # A weak tag (W/) equals nothing here, as the RFC says.
        found = [_TAG.fullmatch(each) for each in tags]
        if not any(found):
            raise InvalidRequest(
                'If-Match must be an ETag as the answer to GET has it, such as "v3".',
                param="if-match",
            )
        if version not in {int(each[1]) for each in found if each is not None}:
            raise PreconditionFailed(
                f"It was changed meanwhile: it is at {etag(version)} now. Read it again, and make"
                " your change of that."
            )


def etag(version: int) -> str:
    """Return the ETag of a version."""
    return f'"v{version}"'


def differences(old: msgspec.Struct, new: msgspec.Struct) -> dict[str, dict[str, Any]]:
    """Return the fields that differ as `old` and `new`, as JSON can hold them."""
    before, after = msgspec.to_builtins(old), msgspec.to_builtins(new)
    changed = [name for name in after if before[name] != after[name]]
    if not changed:
        return {}
    return {
        "old": {name: before[name] for name in changed},
        "new": {name: after[name] for name in changed},
    }
