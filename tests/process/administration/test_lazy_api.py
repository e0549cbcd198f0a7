"""The admin API is made when somebody asks for it, and a failure is answered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.core.sign_in import AdminSettings
from gateway.errors import ClientGone, GatewayError, SendStalled
from gateway.process.administration.lazy_api import AdminParts, LazyAdminApi

SCOPE: dict[str, Any] = {"type": "http", "method": "GET", "raw_path": b"/admin/api/status"}


SNAPSHOT: Any = SimpleNamespace(admin_settings=AdminSettings())


class Caller:
    """A client that is refused; `error` is raised then."""

    def __init__(self, error: Exception | None = None) -> None:
        self.refused: list[GatewayError] = []
        self._error = error

    async def refuse(self, error: GatewayError) -> None:
        self.refused.append(error)
        if self._error is not None:
            raise self._error


def broken(monkeypatch: pytest.MonkeyPatch, error: Exception) -> LazyAdminApi:
    def fails(_: LazyAdminApi) -> None:
        raise error

    monkeypatch.setattr(LazyAdminApi, "_make", fails)
    nothing: Any = None
    return LazyAdminApi(nothing, nothing, nothing, nothing, lambda: SNAPSHOT)


@pytest.mark.parametrize("error", [ImportError("no starlette"), OSError(24, "Too many open files")])
async def test_where_it_cannot_be_made_the_answer_says_so(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    administration = broken(monkeypatch, error)
    for _ in range(2):
        caller: Any = Caller()
        with capture_logs() as lines:
            await administration.serve(SCOPE, caller, None)
        ((refused,), (line,)) = (caller.refused, lines)
        assert (refused.status, refused.code) == (500, "internal_error")
        assert str(error) not in refused.message
        assert (line["event"], line["exc_info"]) == ("the admin API cannot be made", True)
    # The next asks for it again.
    made: Any = Made()
    monkeypatch.setattr(LazyAdminApi, "_make", lambda _: AdminParts(made, made))
    await administration.serve(SCOPE, caller, b"key")
    assert made.served == [b"key"]


class Made:
    def __init__(self) -> None:
        self.served: list[bytes | None] = []

    async def serve(self, scope: Any, client: Any, key: bytes | None) -> None:
        self.served.append(key)


@pytest.mark.slow
async def test_nothing_but_a_stalled_caller_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    administration = broken(monkeypatch, ImportError())
    caller: Any = Caller(ClientGone())
    await administration.serve(SCOPE, caller, None)
    caller = Caller(SendStalled())
    with pytest.raises(SendStalled):
        await administration.serve(SCOPE, caller, None)
