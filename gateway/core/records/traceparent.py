"""W3C Trace Context: which trace a request is part of, and what its providers are told.

    traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
                 version, trace, the caller's span, flags

Sections named below are those of the Recommendation (www.w3.org/TR/trace-context-1). Pure:
chance comes in as `bits`, such as `random.getrandbits`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from ..routing.call import Headers

# Returns so many random bits.
Bits = Callable[[int], int]

# What is passed on of a tracestate at most, in characters: section 3.3.1.5 wants at least so
# much, and every provider gets it with every call.
STATE_CHARS: Final = 512
# Section 3.3.1.5: when something must go, entries longer than this go first.
_LONG_ENTRY: Final = 128
_MAX_ENTRIES: Final = 32

_OWS: Final = b" \t"
_PARENT: Final = re.compile(
    rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL
)
# Level 1's keys, either simple or tenant@system. Level 2's draft lets a simple one begin with a
# digit, which OpenTelemetry's SDK does not take.
_ENTRY: Final = re.compile(
    rb"([a-z][_0-9a-z*/-]{0,255}|[a-z0-9][_0-9a-z*/-]{0,240}@[a-z][_0-9a-z*/-]{0,13})"
    rb"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_SAMPLED: Final = 1
_NO_TRACE: Final = b"0" * 32
_NO_SPAN: Final = b"0" * 16
_LOWER_HALF: Final = (1 << 64) - 1


class Trace(msgspec.Struct, frozen=True, gc=False):
    """A request's place in a trace; ids are lower-case hexadecimal.

    `span_id` is the request's own span. `parent_id` is the caller's, None where the trace
    begins here. `sampled` says whether spans are kept. `state` is the caller's tracestate.
    """

    trace_id: str
    span_id: str
    parent_id: str | None = None
    sampled: bool = True
    state: str = ""

    def headers(self, span_id: str) -> Headers:
        """Return the headers of a call that is made in the span `span_id`."""
        flags = "01" if self.sampled else "00"
        parent = (b"traceparent", f"00-{self.trace_id}-{span_id}-{flags}".encode("ascii"))
        if not self.state:
            return (parent,)
        return (parent, (b"tracestate", self.state.encode("ascii")))


class Parent(msgspec.Struct, frozen=True, gc=False):
    """What a valid traceparent says."""

    trace_id: str
    span_id: str
    sampled: bool


def begin(pairs: Iterable[tuple[bytes, bytes]], bits: Bits, sample: float) -> Trace:
    """Return the trace that a request's headers go on with, else a new one.

    Names of `pairs` are lower-case. A caller's word on sampling holds; of the traces that
    begin here the fraction `sample` is kept.
    """
    given: bytes | None = None
    states: bytes | None = None
    repeated = False
    for name, value in pairs:
        if name == b"traceparent":
            repeated = given is not None
            given = value
        elif name == b"tracestate":
            # Section 3.3.1: several are one list (RFC 9110 section 5.3).
            states = value if states is None else states + b"," + value
    # Two of them contradict each other; W3C's own conformance tests want a new trace then.
    parent = None if given is None or repeated else parse(given)
    if parent is None:
        # Section 3.3: without a traceparent there is no meaning in a tracestate.
        number = bits(128) or 1
        return Trace(f"{number:032x}", new_span_id(bits), sampled=is_kept(number, sample))
    state = "" if states is None else parse_state(states)
    return Trace(parent.trace_id, new_span_id(bits), parent.span_id, parent.sampled, state)


def new_span_id(bits: Bits) -> str:
    """Draw an id; never the forbidden one of all zeroes."""
    return f"{bits(64) or 1:016x}"


def is_kept(trace_id: int, sample: float) -> bool:
    """Say whether a trace is among the fraction `sample` of all.

    By the id alone, as OpenTelemetry's TraceIdRatioBased has it: services that keep the same
    fraction keep the same traces.
    """
    return (trace_id & _LOWER_HALF) < round(sample * (1 << 64))


def parse(value: bytes) -> Parent | None:
    """Read a traceparent; None for one that must be ignored (section 3.2)."""
    match = _PARENT.fullmatch(value.strip(_OWS))
    if match is None:
        return None
    version, trace, span, flags, rest = match.groups()
    # Later versions may only add to what there is (section 3.2.4); `ff` never is one.
    if version == b"ff" or (version == b"00" and rest is not None):
        return None
    if trace == _NO_TRACE or span == _NO_SPAN:
        return None
    # A bit field: the other bits may be set without a meaning that is known to us.
    sampled = bool(int(flags, 16) & _SAMPLED)
    return Parent(trace.decode("ascii"), span.decode("ascii"), sampled)


def parse_state(value: bytes) -> str:
    """Return a tracestate as it is passed on; empty for one that is not sane.

    Optional white space and empty entries go, and what is more than `STATE_CHARS`; the order
    stays (section 3.3).
    """
    entries: dict[bytes, str] = {}
    for piece in value.split(b","):
        entry = piece.strip(_OWS)
        if not entry:
            continue
        match = _ENTRY.fullmatch(entry)
        if match is None or match[1] in entries or len(entries) == _MAX_ENTRIES:
            return ""
        entries[match[1]] = entry.decode("ascii")
    kept = ",".join(entries.values())
    return kept if len(kept) <= STATE_CHARS else ",".join(_shortened(list(entries.values())))


def _shortened(entries: list[str]) -> list[str]:
    """Leave out whole entries until the rest is short enough, those at the end first."""
    over = sum(map(len, entries)) + len(entries) - 1 - STATE_CHARS
    for too_long in (True, False):
        for index in range(len(entries) - 1, -1, -1):
            if over <= 0:
                return entries
            if not too_long or len(entries[index]) > _LONG_ENTRY:
                over -= len(entries.pop(index)) + 1
    return entries
