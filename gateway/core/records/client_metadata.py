"""What a request's head says about its sender, for its record."""

from __future__ import annotations

import re
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


# What agents call themselves: a header with the agent's id, one with the id of who started it.
# Codex sends the first with each request, and the second only if a subagent sends it.
_CLAUDE_CODE: Final = ("x-claude-code-agent-id", "x-claude-code-parent-agent-id")
_CODEX: Final = ("thread-id", "x-codex-parent-thread-id")
AGENT_HEADERS: Final = (*_CLAUDE_CODE, *_CODEX)


class AgentName(msgspec.Struct, frozen=True):
    """A subagent, and who started it, as far as that is said."""

    id: str
    parent: str | None = None


def agent_of(metadata: Mapping[str, str]) -> AgentName | None:
    """Return the subagent that sent a request, by what is kept of its head; None if none did."""
    agent, parent = _CLAUDE_CODE
    if agent in metadata:
        return AgentName(metadata[agent], metadata.get(parent))
    thread, parent = _CODEX
    if thread in metadata and parent in metadata:
        return AgentName(metadata[thread], metadata[parent])
    return None


# Claude Code before it had a header of its own: `user_HASH_account_ID_session_ID` as the `user_id`
# of its metadata. Since 2.1 that is a JSON object, with a `session_id`.
_SESSION_IN_USER: Final = re.compile(r"user_[0-9a-f]{64}_account_[0-9a-f-]*_session_([0-9a-f-]+)")
# Both are of about 150 characters.
_MOST_USER: Final = 400


class _UserObject(msgspec.Struct, frozen=True):
    session_id: str


_USER_OBJECT: Final = msgspec.json.Decoder(_UserObject)


def session_of_user(user: str) -> str | None:
    """Return the session that an agent names inside of a request's `user`; None for any other."""
    if len(user) > _MOST_USER:
        return None
    if user.startswith("{"):
        try:
            return _USER_OBJECT.decode(user).session_id or None
        except (msgspec.MsgspecError, UnicodeEncodeError):
            return None
    found = _SESSION_IN_USER.fullmatch(user)
    return None if found is None else found[1]


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


def note_user(record: Record, user: str | None) -> None:
    """Write down a request's `user`, and the session in it if no header has named one."""
    if user is None:
        record.user = None
        return
    record.user = shortened(user)
    if record.session is None:
        record.session = session_of_user(user)


def _text(value: bytes) -> str:
    # The caller chose it. What is UTF-8 was meant so; anything else is Latin-1, of which nothing is
    # invalid (RFC 9110 section 5.5).
    try:
        return shortened(value.decode())
    except UnicodeDecodeError:
        return shortened(value.decode("latin-1"))


def _lower(names: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(name.lower().encode("ascii") for name in names)
