"""What a request's head says about its sender, for its record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from .record import Record
from .shown_name import shortened

_USER_AGENT: Final = b"user-agent"
# What the gateway itself adds to the metadata of a record: the operator who has called as a key
# that is another's, and the request that this one repeats, by the header that says so.
GRANTED_TO: Final = "granted_to"
REPLAY_OF: Final = "replay_of"
_REPLAY_OF: Final = b"x-gateway-replay-of"


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
    if replayed := headers.get(_REPLAY_OF):
        record.metadata = {**(record.metadata or {}), REPLAY_OF: _text(replayed)}


def note_caller(
    record: Record,
    token: str,
    team: str | None,
    labels: dict[str, str] | None,
    granted_to: str | None,
) -> None:
    """Write down whose key a request came with, and who has called in its name."""
    record.token, record.team, record.labels = token, team, labels
    if granted_to is not None:
        record.metadata = {**(record.metadata or {}), GRANTED_TO: granted_to}


def _text(value: bytes) -> str:
    # The caller chose it. Latin-1, of which nothing is invalid (RFC 9110 section 5.5).
    return shortened(value.decode("latin-1"))


def _lower(names: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(name.lower().encode("ascii") for name in names)
