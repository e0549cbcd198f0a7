from __future__ import annotations

import pytest

from gateway.core.records.client_metadata import kept_headers, note_client
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
