"""What a provider's refusal means: a table for each kind of provider, and how it is read.

Some classes of errors have a status of their own, others only words. Only marks that a provider
documents are looked for, never a caller's own words: a refusal may quote them.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from .causes import Cause


class Mark(msgspec.Struct, frozen=True):
    """Words in a refusal's body, and the cause that they stand for.

    They count where the status alone would mean one of `instead_of`, and, unless that is empty,
    where the status is one of `statuses`.
    """

    words: bytes
    cause: Cause
    instead_of: frozenset[Cause]
    statuses: frozenset[int] = frozenset()


class RefusalTable(msgspec.Struct, frozen=True):
    """How one kind of provider says no. `statuses` are those that mean more than their class."""

    statuses: Mapping[int, Cause]
    marks: tuple[Mark, ...] = ()

    def of_status(self, status: int) -> Cause | None:
        """Return why an answer with `status` is a failed attempt; None if it is not one."""
        if 200 <= status < 300:
            return None
        if status in self.statuses:
            return self.statuses[status]
        if status >= 500:
            return Cause.SERVER_ERROR
        if status >= 400:
            return Cause.REJECTED
        # Redirects are not followed: the key would travel to a place that no file names.
        return Cause.PROTOCOL_VIOLATION

    def of_body(self, cause: Cause, status: int, body: bytes) -> Cause:
        """Return what the words of a refusal make of `cause`, the meaning of its status.

        The first mark that is found counts.
        """
        for mark in self.marks:
            if cause not in mark.instead_of or mark.words not in body:
                continue
            if not mark.statuses or status in mark.statuses:
                return mark.cause
        return cause
