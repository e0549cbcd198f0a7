"""Which paths are WebSockets."""

from __future__ import annotations

from gateway.core.dialects.openai_realtime.dialect import (
    REALTIME,
    REALTIME_TRANSLATIONS,
    RESPONSES_SOCKET,
)
from gateway.core.dialects.sessions.paths import session_dialect


def test_where_sessions_are_opened() -> None:
    for path, dialect in (
        ("/v1/realtime", REALTIME),
        ("/realtime", REALTIME),
        ("/v1/v1/realtime/", REALTIME),
        ("//v1//realtime", REALTIME),
        ("/openai/realtime", REALTIME),
        ("/openai/v1/realtime", REALTIME),
        ("/v1/realtime/translations", REALTIME_TRANSLATIONS),
        ("/v1/responses", RESPONSES_SOCKET),
        ("/responses", RESPONSES_SOCKET),
        ("/openai/v1/responses", RESPONSES_SOCKET),
        ("/v1/realtime/calls", None),
        ("/v1/responses/resp_1", None),
        ("/v2/realtime", None),
        ("/v1/realtime/../chat", None),
        ("/openai/deployments/m/realtime", None),
        ("/v1/chat/completions", None),
        ("/", None),
    ):
        assert session_dialect(path) is dialect, path
