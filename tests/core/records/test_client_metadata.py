from __future__ import annotations

import pytest

from gateway.core.records.client_metadata import (
    AgentName,
    agent_of,
    kept_headers,
    note_client,
    session_of_user,
)
from gateway.core.records.record import Record

KEPT = kept_headers(["X-Session-Id", "session_id"], ["X-Agent", "x-team"])


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, (None, None, None)),
        ({b"user-agent": b"OpenAI/Python 3.1"}, ("OpenAI/Python 3.1", None, None)),
        ({b"session_id": b"2"}, (None, "2", None)),
        ({b"session_id": b"2", b"x-session-id": b"1"}, (None, "1", None)),
        ({b"session_id": b"2", b"x-session-id": b""}, (None, "2", None)),
        ({b"x-team": b"a", b"x-agent": b""}, (None, None, {"x-agent": "", "x-team": "a"})),
        ({b"authorization": b"Bearer canary", b"x-other": b"1"}, (None, None, None)),
        ({b"user-agent": b"caf\xe9"}, ("caf\xe9", None, None)),
        ({b"x-session-id": "café ✓".encode()}, (None, "café ✓", None)),
    ],
)
def test_what_is_kept(headers: dict[bytes, bytes], expected: tuple[object, ...]) -> None:
    record = Record(request_id="r", time=0)
    note_client(record, headers, KEPT)
    assert (record.user_agent, record.session, record.metadata) == expected


def test_what_is_long_is_shortened() -> None:
    record = Record(request_id="r", time=0)
    note_client(record, {b"user-agent": b"x" * 10_000}, KEPT)
    assert record.user_agent is not None
    assert len(record.user_agent) == 256


@pytest.mark.parametrize(
    ("user", "session"),
    [
        # As Claude Code has written it before and since version 2.1.
        (f"user_{'0a' * 32}_account_1b-2c_session_3d-4e", "3d-4e"),
        (f"user_{'0a' * 32}_account__session_3d-4e", "3d-4e"),
        ('{"device_id":"d","account_uuid":"","session_id":"5f"}', "5f"),
        ('{"session_id":""}', None),
        ('{"session_id":7}', None),
        ('{"session_id":"5f"', None),
        ("{" * 399, None),
        ('{"session_id":"' + "x" * 1000 + '"}', None),
        ("user_1_session_2", None),
        ("ann@example.org", None),
        ("\ud800", None),
        ('{"session_id":"\ud800"}', None),
        ("", None),
    ],
)
def test_the_session_inside_of_a_user(user: str, session: str | None) -> None:
    assert session_of_user(user) == session


def test_subagents_are_told_by_their_headers() -> None:
    assert agent_of({}) is None
    assert agent_of({"x-claude-code-agent-id": "a"}) == AgentName("a")
    assert agent_of({"x-claude-code-agent-id": "a", "x-claude-code-parent-agent-id": "b"}) == (
        AgentName("a", "b")
    )
    # Codex names its thread always, and the one before it in subagents alone.
    assert agent_of({"thread-id": "t"}) is None
    assert agent_of({"thread-id": "t", "x-codex-parent-thread-id": "r"}) == AgentName("t", "r")
