"""What a provider's refusal means: a table for each kind of provider, and how it is read.

Some classes of errors have a status of their own, others only words. A provider's body is first
taken apart by `read`, so that marks look at its codes and its message alone: a refusal may quote
the caller, whose own words must decide nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from .blame.doubts import DOUBTFUL
from .causes import Cause


class Refusal(msgspec.Struct, frozen=True):
    """The body of a refusal, taken apart.

    `codes` are what programs read (codes, types, reasons), in lower case. `message` is for
    people, without what stands in quotes. `wait` is what the body asks for, in seconds.
    """

    codes: frozenset[str] = frozenset()
    message: str = ""
    wait: float | None = None


NOTHING = Refusal()


class Mark(msgspec.Struct, frozen=True):
    """Codes or words in a refusal's body, and the cause that they stand for.

    They count where the status alone would mean one of `instead_of`, and, unless that is empty,
    where the status is one of `statuses`. `words` is asked whether the message is meant.
    """

    cause: Cause
    instead_of: frozenset[Cause]
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    words: Callable[[str], object] | None = None

    def counts(self, cause: Cause, status: int) -> bool:
        """Say whether a refusal of `cause` with `status` is looked at."""
        return cause in self.instead_of and (not self.statuses or status in self.statuses)

    def found_in(self, refusal: Refusal) -> bool:
        """Say whether `refusal` has one of the codes, or the words."""
        if not self.codes.isdisjoint(refusal.codes):
            return True
        return self.words is not None and bool(self.words(refusal.message))


class RefusalTable(msgspec.Struct, frozen=True):
    """How one kind of provider says no. `statuses` are those that mean more than their class.

    `read` takes a body apart, whatever the bytes are. `confidential` is asked whether a message
    speaks of our account with the provider, which is for the operator alone.
    """

    statuses: Mapping[int, Cause]
    marks: tuple[Mark, ...] = ()
    read: Callable[[bytes], Refusal] = lambda _: NOTHING
    confidential: Callable[[str], object] = lambda _: True

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
        marks = [mark for mark in self.marks if mark.counts(cause, status)]
        if not marks or not body:
            return cause
        refusal = self.read(body)
        return next((mark.cause for mark in marks if mark.found_in(refusal)), cause)

    def to_tell(self, cause: Cause, status: int, message: str) -> str:
        """Return the `message` of a refusal that may be about the request, "" if it is not told.

        The words are not known, and the status may stand for a fault of the key as well.
        """
        doubtful = cause is Cause.AUTH_FAILED and status in DOUBTFUL
        return message if doubtful and message and not self.confidential(message) else ""

    def wait_of(self, body: bytes) -> float | None:
        """Return the seconds that a refusal's body asks callers to wait; None if it does not."""
        return self.read(body).wait if body else None
