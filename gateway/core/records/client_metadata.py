"""What a request's head says about its sender, for its record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from .record import Record
from .shown_name import shortened

_USER_AGENT: Final = b"user-agent"


class KeptHeaders(msgspec.Struct, frozen=True):
    """Which headers of a request stand in its record, in lower case.

    The first of `session` that is there is its session; `metadata` are kept by name.
    """

    session: tuple[bytes, ...] = ()
    metadata: tuple[bytes, ...] = ()


def kept_headers(session: Iterable[str], metadata: Iterable[str]) -> KeptHeaders:
    return KeptHeaders(_lower(session), _lower(metadata))


def note_client(record: Record, headers: Mapping[bytes, bytes], kept: KeptHeaders) -> None:
    """Write down what `kept` asks for; `headers` are by lower-case name."""
    agent = headers.get(_USER_AGENT)
    if agent is not None:
        record.user_agent = _text(agent)
    for name in kept.session:
        session = headers.get(name)
        if session:
            record.session = _text(session)
            break
    for name in kept.metadata:
        value = headers.get(name)
        if value is not None:
            if record.metadata is None:
                record.metadata = {}
            record.metadata[name.decode("ascii")] = _text(value)


def _text(value: bytes) -> str:
    # The caller chose it. Latin-1, of which nothing is invalid (RFC 9110 section 5.5).
    return shortened(value.decode("latin-1"))


def _lower(names: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(name.lower().encode("ascii") for name in names)
