"""The deadlines of a request, and how a provider or a route changes them."""

from __future__ import annotations

import math
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(ge=0)]
T = TypeVar("T", bound=msgspec.Struct)


class TimeoutOverrides(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Like `Timeouts`; what is absent is inherited."""

    connect: Seconds | None = None
    first_event: Seconds | None = None
    idle: Seconds | None = None
    total: Seconds | None = None


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Deadlines in seconds; 0 is off.

    connect      DNS, TCP and TLS of one attempt
    first_event  from the start of an attempt to the first meaningful event of its stream.
                 An answer that is not streamed has no events: `total` bounds the wait for it,
                 since a provider says nothing until all of it is generated.
    idle         silence within an answer that has begun; any byte ends it, comments too
    total        the whole request, from its arrival to its last byte, retries and waits
                 included. 600 s is openai-python's own default.
    """

    connect: Seconds = 5.0
    first_event: Seconds = 60.0
    idle: Seconds = 60.0
    total: Seconds = 600.0

    def override(self, other: TimeoutOverrides) -> Timeouts:
        """Return these timeouts with what `other` sets."""
        return overridden(self, other)


def overridden(base: T, other: msgspec.Struct) -> T:
    """Return `base` with every field of `other` that is not None."""
    changes = {
        name: value
        for name in other.__struct_fields__
        if (value := getattr(other, name)) is not None
    }
    return msgspec.structs.replace(base, **changes)


def deadline(now: float, seconds: float) -> float:
    """Return when `seconds` from `now` is; never, if they are 0."""
    return now + seconds if seconds else math.inf
