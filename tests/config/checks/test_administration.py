"""Where the admin API may be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.api import routes
from gateway.config.checks.administration import TAKEN, check_admin
from gateway.core.sign_in import AdminSettings


def problems(**settings: str) -> list[str]:
    def url(*_: str) -> Iterator[str]:
        yield from ()

    return list(check_admin(AdminSettings(**settings), "127.0.0.1:8080", url))  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["/admin", "/ops/gate", "/~ann/g.w_1-x", "/A", "/v1x", "/ops/v1"])
def test_a_path(path: str) -> None:
    assert problems(path=path) == []


@pytest.mark.parametrize(
    "path",
    ["", "/", "admin", "/admin/", "//admin", "/a//b", "/a b", "/a\n", "/ä", "/a;b", "/..", "/.",
     '/a"b', "/a/../b", "/a%20"],
)  # fmt: skip
def test_what_is_no_path(path: str) -> None:
    (problem,) = problems(path=path)
    assert problem.startswith("[admin] path: ")


def test_where_models_are_served_there_is_no_room() -> None:
    for each in ("/v1", "/health/x", "/metrics", "/v1/admin"):
        assert "where the API for models is" in problems(path=each)[0]
        # At an address of its own it is in the way of nothing.
        assert problems(path=each, bind="127.0.0.1:9090") == []
    assert {path.split("/")[1] for path in routes._EXACT} <= TAKEN


def test_an_address() -> None:
    assert problems(bind="unix:/run/admin.sock") == []
    assert "is the address of [server]" in problems(bind="127.0.0.1:8080")[0]
